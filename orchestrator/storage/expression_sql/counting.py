"""`count_events` in SQL: for everybody as a part of a condition, or for one person alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, func, select

from orchestrator.domain.expressions import Kind, Value
from orchestrator.storage.expression_sql.dialects import TYPES, Database, Sql, fixed, is_of
from orchestrator.storage.tables import event

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def counted(
    event_type: str, window: timedelta, fields: Iterable[Sql], now: datetime
) -> Iterator[Sql]:
    """What makes an event count: its type, its time in `(now - window, now]`, its fields."""
    yield event.c.type == event_type
    yield event.c.occurred_at <= now
    if now - _EARLIEST >= window:
        yield event.c.occurred_at > now - window
    yield from fields


def field_equals(database: Database, name: str, value: Sql, kind: Kind) -> Sql:
    """Whether the field that `count_events` means by a name equals a value of a kind."""
    return database.ordered("==", database.event_field(event.c.payload, name, kind), value, kind)


def count_of(
    database: Database,
    contact_id: str,
    event_type: str,
    window: timedelta,
    where: Mapping[str, Value],
    now: datetime,
) -> Select[int]:
    """How many events of one contact count; what an `EventCounter` asks."""
    fields = [
        field_equals(database, name, fixed(value, kind), kind)
        for name, value in where.items()
        for kind in TYPES
        if is_of(value, kind)
    ]
    counting = select(func.count()).select_from(event).where(event.c.contact_id == contact_id)
    return counting.where(*counted(event_type, window, fields, now))
