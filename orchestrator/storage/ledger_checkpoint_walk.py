"""The walk along the checkpoints: signatures, their order, and the heads they vouch for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, select

from orchestrator.domain.consent import GENESIS, VerifyReport, checkpoint_root
from orchestrator.ports.ledger import CheckpointSigner
from orchestrator.storage.ledger_checkpoints import statement_of
from orchestrator.storage.tables import (
    consent_checkpoint,
    consent_checkpoint_head,
    consent_record,
)


def walk_checkpoints(
    connection: Connection, signer: CheckpointSigner, report: VerifyReport
) -> None:
    """Check every checkpoint in order; memory holds the heads of one."""
    number, previous = 0, GENESIS
    while True:
        row = connection.execute(
            select(consent_checkpoint)
            .where(consent_checkpoint.c.number > number)
            .order_by(consent_checkpoint.c.number)
            .limit(1)
        ).first()
        if row is None:
            break
        if row.number != number + 1:
            report.found(f"checkpoint {number + 1} is gone")
        if row.previous != previous:
            report.found(f"checkpoint {row.number} does not follow the one before it")
        _check(connection, row, signer, report)
        report.checkpoints += 1
        number, previous = row.number, row.root
        report.newest = row.root
    _find_orphans(connection, report)


def _check(
    connection: Connection, row: Row[Any], signer: CheckpointSigner, report: VerifyReport
) -> None:
    heads = _heads(connection, row.number)
    listed = [(head.subject_id, head.seq, head.head) for head in heads]
    root, count = checkpoint_root(row.number, row.made_at, row.previous, listed)
    name = f"checkpoint {row.number}"
    if root != row.root or count != row.heads:
        report.found(f"{name} or its list of heads was altered")
    match signer.verify(row.key_id, statement_of(row.root), row.signature):
        case None:
            report.found(f"{name} is signed with a key that is not in SECRET_KEY")
        case False:
            report.found(f"{name} has a forged signature")
    for head in heads:
        if head.hash is None:
            what = f"{name} vouches for this record, and it is gone"
            report.found(what, head.subject_id, head.seq)
        elif head.hash != head.head:
            what = f"{name} vouches for another record here"
            report.found(what, head.subject_id, head.seq)


def _heads(connection: Connection, number: int) -> Sequence[Any]:
    head, record = consent_checkpoint_head.c, consent_record.c
    joined = consent_checkpoint_head.outerjoin(
        consent_record, and_(record.subject_id == head.subject_id, record.seq == head.seq)
    )
    return connection.execute(
        select(head.subject_id, head.seq, head.head, record.hash)
        .select_from(joined)
        .where(head.number == number)
        .order_by(head.subject_id)
    ).all()


def _find_orphans(connection: Connection, report: VerifyReport) -> None:
    head = consent_checkpoint_head.c
    lost = (
        select(head.number)
        .where(~exists().where(consent_checkpoint.c.number == head.number))
        .distinct()
        .order_by(head.number)
    )
    for number in connection.scalars(lost):
        report.found(f"checkpoint {number} is gone, its list of heads is left")
