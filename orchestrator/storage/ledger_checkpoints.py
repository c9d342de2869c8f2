"""Signed checkpoints: which chain heads existed, each statement chained to the one before."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.domain.consent import GENESIS, Checkpoint, canonical, checkpoint_root
from orchestrator.ports.ledger import CheckpointSigner
from orchestrator.storage.tables import (
    consent_checkpoint,
    consent_checkpoint_head,
    consent_subject,
)
from orchestrator.storage.tables.ledger import GROWN


def make(
    connection: Connection, now: datetime, signer: CheckpointSigner, limit: int
) -> Checkpoint | None:
    """Sign the heads of up to `limit` chains that have grown; None if none has.

    Chains locked by a writer wait for the next checkpoint. Two processes cannot make the same
    one: the second finds its number taken and leaves everything as it is.
    """
    grown = connection.execute(
        select(consent_subject)
        .where(GROWN)
        .order_by(consent_subject.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not grown:
        return None
    checkpoint = _signed(connection, now, signer, [(row.id, row.length, row.head) for row in grown])
    if not _insert(connection, checkpoint):
        return None
    connection.execute(
        consent_checkpoint_head.insert(),
        [
            {
                "number": checkpoint.number,
                "subject_id": row.id,
                "seq": row.length,
                "head": row.head,
            }
            for row in grown
        ],
    )
    connection.execute(
        update(consent_subject)
        .where(consent_subject.c.id.in_([row.id for row in grown]))
        .values(checkpointed=consent_subject.c.length)
    )
    return checkpoint


def statement_of(root: str) -> bytes:
    """What a checkpoint's signature is made over."""
    return canonical(["consent checkpoint", root])


def _signed(
    connection: Connection,
    now: datetime,
    signer: CheckpointSigner,
    heads: list[tuple[str, int, str]],
) -> Checkpoint:
    last = connection.execute(
        select(consent_checkpoint).order_by(consent_checkpoint.c.number.desc()).limit(1)
    ).first()
    number, previous = (last.number + 1, last.root) if last else (1, GENESIS)
    root, count = checkpoint_root(number, now, previous, heads)
    key_id, signature = signer.sign(statement_of(root))
    return Checkpoint(number, now, count, previous, root, key_id, signature)


def _insert(connection: Connection, checkpoint: Checkpoint) -> bool:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(consent_checkpoint)
        .values(
            number=checkpoint.number,
            made_at=checkpoint.made_at,
            heads=checkpoint.heads,
            root=checkpoint.root,
            previous=checkpoint.previous,
            key_id=checkpoint.key_id,
            signature=checkpoint.signature,
        )
        .on_conflict_do_nothing()
        .returning(consent_checkpoint.c.number)
    )
    return connection.execute(statement).first() is not None
