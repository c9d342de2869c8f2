"""Rows of the ledger as the domain's records and states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from orchestrator.domain.consent import ConsentAction, ConsentState, ConsentStatus, LedgerRecord
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId
from orchestrator.storage.batches import listed, listing
from orchestrator.storage.tables import contact_merge

BATCH: Final = 500
"""Ids in one statement, subjects in one step of a walk."""
_MERGES: Final = select(contact_merge.c.merged_id, contact_merge.c.kept_id)


def rows_of(
    connection: Connection, statement: Select[Any], column: Any, ids: Iterable[str]
) -> list[Row[Any]]:
    """Rows of a statement whose column is one of `ids`, some hundred ids at a time."""
    wanted = sorted(set(ids))
    dialect = connection.dialect.name
    return [
        row
        for start in range(0, len(wanted), BATCH)
        for row in connection.execute(
            _narrowed(dialect, statement, column),
            {"ids": listing(dialect, column, wanted[start : start + BATCH])},
        )
    ]


@lru_cache(maxsize=64)
def _narrowed(dialect: str, statement: Select[Any], column: Any) -> Select[Any]:
    """Kept by the statement's identity: worth its while for those that are constants."""
    return statement.where(listed(dialect, column))


def survivors(connection: Connection, ids: Collection[str]) -> dict[str, ContactId]:
    """Where each contact lives on after merges; itself if it was never merged."""
    kept: dict[str, ContactId] = {}
    unknown: set[str] = set(ids)
    while unknown:
        rows = rows_of(connection, _MERGES, contact_merge.c.merged_id, unknown)
        news = {str(row.merged_id): ContactId(row.kept_id) for row in rows}
        kept |= news
        unknown = {str(owner) for owner in news.values()} - kept.keys()
    return {contact_id: _end_of(kept, contact_id) for contact_id in ids}


def _end_of(kept: Mapping[str, ContactId], contact_id: str) -> ContactId:
    seen: set[str] = set()
    while contact_id in kept and contact_id not in seen:  # a damaged table may hold a circle
        seen.add(contact_id)
        contact_id = kept[contact_id]
    return ContactId(contact_id)


def record_of(row: Row[Any]) -> LedgerRecord:
    """A stored record; raises ValueError for a channel or action that does not exist."""
    known = {
        name: value
        for name, value in row._mapping.items()  # noqa: SLF001 - SQLAlchemy's public accessor
        if name not in ("shard", "contact_id")
    }
    known["channel"] = Channel(known["channel"])
    known["action"] = ConsentAction(known["action"])
    return LedgerRecord(**known)


def state_of(row: Row[Any]) -> ConsentState:
    """A stored state; raises ValueError for a channel or status that does not exist."""
    return ConsentState(
        contact_id=ContactId(row.contact_id),
        channel=Channel(row.channel),
        topic=row.topic,
        status=ConsentStatus(row.status),
        legal_basis=row.legal_basis,
        subject_id=row.subject_id,
        seq=row.seq,
        changed_at=row.changed_at,
        expires_at=row.expires_at,
    )
