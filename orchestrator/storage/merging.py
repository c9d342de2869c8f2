"""Two contacts turn out to be one person: the older one stays, nothing is lost or doubled.

Both contacts are locked by the caller. Locks are taken in the order of the whole program:
contacts, consent subjects, enrolments, messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, func, insert, select, update

from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.domain.messages import CancelledReason
from orchestrator.storage.batches import AnyRow, insert_new, rows_of
from orchestrator.storage.enrolments import SqlEnrolments
from orchestrator.storage.messages import SqlMessages
from orchestrator.storage.tables import (
    attempt,
    checkout,
    consent_subject,
    contact,
    contact_identity,
    contact_merge,
    coupon,
    enrolment,
    event,
    message,
    segment_member,
    segment_watch,
    shop_order,
)

Refold = Callable[[Sequence[ContactId], datetime], object]

C: Final = contact.c
E: Final = enrolment.c
S: Final = segment_member.c
_SHARDED: Final = (message, event)
"""Tables of the contact's shard; runs apart, whose entries are numbered anew."""
_NAMED: Final = (contact_identity, checkout, shop_order, coupon)
"""Tables sharded by a key of their own that only name the contact."""
_TOLD: Final = (
    "email",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "country",
)


def merge(
    connection: Connection,
    kept: ContactId,
    merged: ContactId,
    kind: str,
    now: datetime,
    refold: Refold,
) -> None:
    """Move everything of `merged` to `kept` and record it; `kind` of identity told."""
    _join_consent(connection, kept, merged, now, refold)
    _join_enrolments(connection, kept, merged, now)
    _join_segments(connection, kept, merged)
    for table in _SHARDED:
        _give(connection, table, kept, merged, shard=shard_of(kept))
    for table in _NAMED:
        _give(connection, table, kept, merged)
    _join_contact(connection, kept, merged, now)
    connection.execute(
        insert(contact_merge).values(
            merged_id=merged, shard=shard_of(merged), kept_id=kept, kind=kind, merged_at=now
        )
    )


def _give(
    connection: Connection, table: Table, kept: ContactId, merged: ContactId, **values: Any
) -> None:
    connection.execute(
        update(table).where(table.c.contact_id == merged).values(contact_id=kept, **values)
    )


def _join_consent(
    connection: Connection, kept: ContactId, merged: ContactId, now: datetime, refold: Refold
) -> None:
    """The fold over both chains decides: what either had withdrawn stays withdrawn."""
    subjects = select(consent_subject.c.id).where(consent_subject.c.contact_id.in_([kept, merged]))
    connection.execute(subjects.order_by(consent_subject.c.id).with_for_update()).all()
    _give(connection, consent_subject, kept, merged)
    refold([kept], now)


def _join_enrolments(
    connection: Connection, kept: ContactId, merged: ContactId, now: datetime
) -> None:
    """Of two live runs of a flow and key the older goes on; entries count on."""
    live = (
        select(E.id, E.flow, E.key, E.entered_at)
        .where(E.contact_id.in_([kept, merged]), E.ended_at.is_(None))
        .order_by(E.id)
        .with_for_update()
    )
    runs = sorted(connection.execute(live), key=lambda row: (row.entered_at, row.id))
    seen: set[tuple[str, str]] = set()
    doubled = []
    for run in runs:
        if (run.flow, run.key) in seen:
            doubled.append(run.id)
        seen.add((run.flow, run.key))
    SqlEnrolments(connection).end(doubled, EndReason.MERGED, now)
    SqlMessages(connection).cancel_waiting(doubled, CancelledReason.MERGED, now)
    sent = select(message.c.id).where(message.c.contact_id == merged)
    connection.execute(
        update(attempt).where(attempt.c.message_id.in_(sent)).values(shard=shard_of(kept))
    )
    _give_enrolments(connection, kept, merged)


def _give_enrolments(connection: Connection, kept: ContactId, merged: ContactId) -> None:
    """Contact and entry in one statement: one after the other would break a unique key."""
    counted = select(E.flow, E.key, func.max(E.entry)).where(E.contact_id == kept)
    last = {
        (flow, key): entry
        for flow, key, entry in connection.execute(counted.group_by(E.flow, E.key))
    }
    runs = connection.execute(select(E.id, E.flow, E.key, E.entry).where(E.contact_id == merged))
    entries = [
        {"id": run.id, "entry": run.entry + last.get((run.flow, run.key), 0)} for run in runs
    ]
    new = rows_of(connection, (E.id, E.entry), entries)
    connection.execute(
        update(enrolment)
        .where(E.id == new.c.id)
        .values(contact_id=kept, shard=shard_of(kept), entry=new.c.entry)
    )


def _join_segments(connection: Connection, kept: ContactId, merged: ContactId) -> None:
    """Whoever was known inside a segment is no newcomer under the other's id."""
    mine = (
        select(S.flow, S.segment, S.since)
        .join(
            segment_watch,
            and_(segment_watch.c.flow == S.flow, segment_watch.c.segment == S.segment),
        )
        .where(S.contact_id == merged)
    )
    rows = [
        {**row, "contact_id": kept, "shard": shard_of(kept)}
        for row in connection.execute(mine.order_by(S.flow, S.segment)).mappings()
    ]
    insert_new(connection, segment_member, rows, S.contact_id)


def _join_contact(
    connection: Connection, kept: ContactId, merged: ContactId, now: datetime
) -> None:
    rows = {
        row.id: row for row in connection.execute(select(contact).where(C.id.in_([kept, merged])))
    }
    together = _together(rows[kept], rows[merged])
    connection.execute(update(contact).where(C.id == kept).values(**together, updated_at=now))
    # What was personal lives on in one place only, so that erasure finds all of it.
    empty = dict.fromkeys(_TOLD) | {
        "tags": [],
        "attributes": {},
        "source": {},
        "orders_count": 0,
        "orders_total": 0,
        "orders_first_at": None,
        "orders_last_at": None,
        "orders_skus": [],
        "orders_categories": [],
        "tracking": False,
    }
    connection.execute(
        update(contact).where(C.id == merged).values(**empty, merged_into=kept, updated_at=now)
    )
    connection.execute(update(contact).where(C.merged_into == merged).values(merged_into=kept))


def _together(kept: AnyRow, merged: AnyRow) -> dict[str, Any]:
    """The columns of both: the older contact's word counts, orders add up."""
    told = {name: _known(getattr(kept, name), getattr(merged, name)) for name in _TOLD}
    return told | {
        "tracking": kept.tracking and merged.tracking,  # consent is never merged upwards
        "tags": _union(kept.tags, merged.tags),
        "attributes": {**merged.attributes, **kept.attributes},
        "source": {**merged.source, **kept.source},
        "orders_count": kept.orders_count + merged.orders_count,
        "orders_total": kept.orders_total + merged.orders_total,
        "orders_first_at": _of(min, kept.orders_first_at, merged.orders_first_at),
        "orders_last_at": _of(max, kept.orders_last_at, merged.orders_last_at),
        "orders_skus": _union(kept.orders_skus, merged.orders_skus),
        "orders_categories": _union(kept.orders_categories, merged.orders_categories),
        "last_seen_at": _of(max, kept.last_seen_at, merged.last_seen_at),
    }


def _known(one: Any, other: Any) -> Any:
    return other if one is None else one


def _union(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _of(choose: Callable[[list[datetime]], datetime], *moments: datetime | None) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return choose(known) if known else None
