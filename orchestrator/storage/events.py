"""The journal of events in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    insert,
    or_,
    select,
    update,
)

from orchestrator.domain.events import Event
from orchestrator.domain.expressions import Value
from orchestrator.domain.identifiers import ContactId, EventId, shard_of
from orchestrator.ports.people import NewEvent
from orchestrator.ports.runtime import Clock
from orchestrator.storage.batches import (
    AnyRow,
    among,
    insert_new,
    listed,
    listing,
    recorded,
    recording,
    takes_locks,
)
from orchestrator.storage.expression_sql import count_statement
from orchestrator.storage.tables import contact, event, event_key
from orchestrator.storage.types import UtcDateTime, moment

V: Final = event.c
K: Final = event_key.c
_KEY: Final = (K.source, K.source_id)
_FIELDS: Final = (
    V.id,
    V.source,
    V.source_id,
    V.type,
    V.contact_id,
    V.occurred_at,
    V.received_at,
    V.payload,
)
_WAITING: Final = and_(V.processed_at.is_(None), V.parked_at.is_(None))
_AT: Final = bindparam("at", type_=UtcDateTime())
_NEW_EVENT: Final = insert(event)
_FIRST_LOOK: Final = 4
"""Events looked at per contact wanted, before looking further."""


class SqlEvents:
    """`ports.Events` on one connection."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def known(self, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which (source, source id) pairs are stored already."""
        asked = [{"source": source, "source_id": source_id} for source, source_id in keys]
        dialect = self._connection.dialect.name
        rows = {"rows": recording(dialect, _KEY, asked)}
        return {
            (row.source, row.source_id) for row in self._connection.execute(_known(dialect), rows)
        }

    def insert(self, events: Sequence[NewEvent]) -> set[EventId]:
        """Store events not stored yet; returns the ids of the new ones."""
        ordered = sorted(events, key=lambda new: (new.event.source, new.event.source_id))
        fresh: set[EventId] = insert_new(
            self._connection, event_key, [_key(new) for new in ordered], K.event_id
        )
        if rows := [_row(new) for new in events if new.id in fresh]:
            self._connection.execute(_NEW_EVENT, rows)
        return fresh

    def lock_waiting_contacts(self, limit: int) -> list[ContactId]:
        """Lock up to `limit` contacts that have unprocessed events, skipping locked ones.

        Contacts whose first event waits for its `retry_at` are left out.
        """
        now = self._clock.now()
        window = limit * _FIRST_LOOK
        while True:
            found = self._connection.scalars(_WAITING_PEOPLE, {"at": now, "most": window}).all()
            locked = self._lock_contacts(list(dict.fromkeys(found)), limit)
            if locked or len(found) < window:
                return locked
            window *= _FIRST_LOOK

    def _lock_contacts(self, ids: Sequence[ContactId], limit: int) -> list[ContactId]:
        """The first `limit` that are free. Skipping needs no order: it never waits."""
        if not takes_locks(self._connection):
            return sorted(ids[:limit])
        locked: list[ContactId] = []
        dialect = self._connection.dialect.name
        for start in range(0, len(ids), limit):
            some = listing(dialect, contact.c.id, ids[start : start + limit])
            values = {"ids": some, "most": limit - len(locked)}
            locked += self._connection.scalars(_free_people(dialect), values)
            if len(locked) == limit:
                break
        return sorted(locked)

    def unprocessed(self, ids: Iterable[ContactId]) -> dict[ContactId, list[Event]]:
        """Their unprocessed events in the order received, parked ones left out.

        A person's list ends before the first event that waits for its `retry_at`.
        """
        dialect = self._connection.dialect.name
        values = {"ids": listing(dialect, V.contact_id, ids), "at": self._clock.now()}
        found: dict[ContactId, list[Event]] = defaultdict(list)
        for one in self._events(_unprocessed(dialect), values):
            if one.contact_id is not None:
                found[one.contact_id].append(one)
        return dict(found)

    def unheard(self, ids: Iterable[ContactId], *, parked: bool) -> dict[ContactId, list[Event]]:
        """Every event of theirs that journeys have not heard yet, in the order received."""
        dialect = self._connection.dialect.name
        mine = {"ids": listing(dialect, V.contact_id, ids)}
        events = self._events(_unheard(dialect), mine)
        if parked:  # asked apart: each of the two has its own small index
            given_up = self._events(_given_up(dialect), mine)
            events = sorted([*events, *given_up], key=lambda one: one.id)
        found: dict[ContactId, list[Event]] = defaultdict(list)
        for one in events:
            if one.contact_id is not None:
                found[one.contact_id].append(one)
        return dict(found)

    def unheard_nameless(self, types: Iterable[str]) -> list[Event]:
        """Every event of these types that names nobody and that journeys have not heard yet."""
        wanted = sorted(set(types))
        return self._events(_NAMELESS, {"types": wanted}) if wanted else []

    def lock_without_contact(self, limit: int) -> list[Event]:
        """Lock unprocessed events that name nobody, skipping locked ones.

        Only those before which no event of somebody is left to hear.
        """
        return self._events(_NAMELESS_WAITING, {"at": self._clock.now(), "most": limit})

    def count(
        self,
        contact_id: ContactId,
        event_type: str,
        window: timedelta,
        where: Mapping[str, Value],
        now: datetime,
    ) -> int:
        """A person's events of a type in `(now - window, now]` whose fields equal `where`."""
        dialect = self._connection.dialect.name
        counting = count_statement(contact_id, event_type, window, where, now=now, dialect=dialect)
        return self._connection.execute(counting).scalar_one()

    def load(self, ids: Iterable[EventId]) -> dict[EventId, Event]:
        """Events by id."""
        dialect = self._connection.dialect.name
        wanted = {"ids": listing(dialect, V.id, ids)}
        return {one.id: one for one in self._events(_events_by_id(dialect), wanted)}

    def of_contact(
        self, contact_id: ContactId, limit: int, before: EventId | None = None
    ) -> list[Event]:
        """A person's events, the newest first; `before` is the last of the page before."""
        wanted = select(*_FIELDS).where(V.contact_id == contact_id)
        if before is not None:
            wanted = wanted.where(V.id < before)
        rows = self._connection.execute(wanted.order_by(V.id.desc()).limit(limit))
        return [_event(row) for row in rows]

    def mark_processed(self, ids: Iterable[EventId], now: datetime) -> None:
        """Journeys have heard these."""
        if wanted := list(ids):
            dialect = self._connection.dialect.name
            values = {"ids": listing(dialect, V.id, wanted), "at": now}
            self._connection.execute(_hearing(dialect), values)

    def unpark(self, event_id: EventId) -> bool:
        """Let journeys hear a parked event, with no tries behind it; False if it is not parked."""
        parked = update(event).where(V.id == event_id, V.parked_at.is_not(None))
        done = self._connection.execute(parked.values(parked_at=None, retry_at=None, attempts=0))
        return done.rowcount > 0

    def fail(self, ids: Iterable[EventId], now: datetime, retry_at: datetime, tries: int) -> None:
        """Count a failed try: the event waits until `retry_at`, and after `tries` is parked."""
        self._connection.execute(
            update(event)
            .where(among(self._connection, V.id, ids))
            .values(
                attempts=V.attempts + 1,
                retry_at=retry_at,
                parked_at=case((V.attempts + 1 >= tries, moment(now)), else_=None),
            )
        )

    def _events(self, wanted: Select[Any], values: Mapping[str, Any] | None = None) -> list[Event]:
        return [_event(row) for row in self._connection.execute(wanted, values).all()]


def _wanted(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_FIELDS).where(*conditions).order_by(V.id)


@cache
def _known(dialect: str) -> Select[Any]:
    asked = recorded(dialect, _KEY)
    same = and_(K.source == asked.c.source, K.source_id == asked.c.source_id)
    return select(*_KEY).join(asked, same)


@cache
def _hearing(dialect: str) -> Update:
    at = bindparam("at", type_=UtcDateTime())
    return update(event).where(listed(dialect, V.id)).values(processed_at=at)


@cache
def _events_by_id(dialect: str) -> Select[Any]:
    return _wanted(listed(dialect, V.id))


@cache
def _unheard(dialect: str) -> Select[Any]:
    return _wanted(listed(dialect, V.contact_id), _WAITING)


@cache
def _given_up(dialect: str) -> Select[Any]:
    mine = listed(dialect, V.contact_id)
    return _wanted(mine, V.parked_at.is_not(None), V.processed_at.is_(None))


_NAMELESS: Final = _wanted(
    V.contact_id.is_(None), V.type.in_(bindparam("types", expanding=True)), _WAITING
)


def _ripe(columns: Any) -> ColumnElement[bool]:
    """Not put off to later than `at`."""
    return or_(columns.retry_at.is_(None), columns.retry_at <= _AT)


def _held_up() -> ColumnElement[bool]:
    """Behind an event of the same person that is put off: order matters more than speed."""
    before = event.alias("before").c
    return (
        select(before.id)
        .where(
            before.contact_id == V.contact_id,
            before.processed_at.is_(None),
            before.parked_at.is_(None),
            before.id < V.id,
            ~_ripe(before),
        )
        .correlate(event)
        .exists()
    )


_WAITING_PEOPLE: Final = (
    select(V.contact_id)
    .where(_WAITING, V.contact_id.is_not(None), _ripe(V), ~_held_up())
    .order_by(V.id)
    .limit(bindparam("most"))
)


def _in_turn() -> ColumnElement[bool]:
    """After every earlier event of somebody: those may begin runs that are to hear it."""
    before = event.alias("before").c
    oldest = (
        select(before.id)
        .where(
            before.processed_at.is_(None),
            before.parked_at.is_(None),
            before.contact_id.is_not(None),
            _ripe(before),
        )
        .order_by(before.id)
        .limit(1)
        .scalar_subquery()
    )
    return or_(oldest.is_(None), V.id < oldest)


_NAMELESS_WAITING: Final = (
    _wanted(_WAITING, V.contact_id.is_(None), _ripe(V), _in_turn())
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)


@cache
def _unprocessed(dialect: str) -> Select[Any]:
    return _wanted(listed(dialect, V.contact_id), _WAITING, _ripe(V), ~_held_up())


@cache
def _free_people(dialect: str) -> Select[Any]:
    free = select(contact.c.id).where(listed(dialect, contact.c.id)).limit(bindparam("most"))
    return free.with_for_update(skip_locked=True)


def _event(row: AnyRow) -> Event:
    return Event(*row)


def _key(new: NewEvent) -> dict[str, Any]:
    return {
        "source": new.event.source,
        "source_id": new.event.source_id,
        "shard": shard_of(f"{new.event.source}/{new.event.source_id}"),
        "event_id": new.id,
        "received_at": new.received_at,
    }


def _row(new: NewEvent) -> dict[str, Any]:
    return {
        "id": new.id,
        "shard": shard_of(new.contact_id or new.id),
        "source": new.event.source,
        "source_id": new.event.source_id,
        "type": new.event.type,
        "contact_id": new.contact_id,
        "occurred_at": new.event.occurred_at,
        "received_at": new.received_at,
        "payload": dict(new.event.payload),
        "processed_at": new.received_at if new.processed else None,
        "attempts": 0,
    }
