"""Where the fields of `contact` stand in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, false, func, or_, select

from orchestrator.domain.consent import ALL_TOPICS, ConsentStatus
from orchestrator.storage.expression_sql.dialects import Database, Sql
from orchestrator.storage.tables import consent_state, contact, contact_identity

_PLAIN = "email phone first_name last_name locale timezone country tracking created_at last_seen_at"
_COLUMNS: dict[tuple[str, ...], Sql] = {
    **{(name,): contact.c[name] for name in _PLAIN.split()},
    **{
        ("orders", name): contact.c[f"orders_{name}"]
        for name in ("count", "total", "first_at", "last_at")
    },
}
_JSON: dict[tuple[str, ...], Sql] = {
    ("tags",): contact.c.tags,
    ("orders", "skus"): contact.c.orders_skus,
    ("orders", "categories"): contact.c.orders_categories,
}


def json_place(path: Sequence[str]) -> tuple[Sql, Sequence[str]] | None:
    """The JSON column and the keys of a field below `contact`, or None when it is a column."""
    path = tuple(path)
    if path in _JSON:
        return _JSON[path], ()
    if path[0] == "source":
        return contact.c.source, path[1:]
    if path in _COLUMNS or path[0] in {"id", "orders", "consent"}:
        return None
    return contact.c.attributes, path


def column(path: Sequence[str], database: Database, now: datetime) -> Sql:
    """The column, or what stands for it, of a field that is not in JSON."""
    match tuple(path):
        case ("id",):
            return _shop_id(database)
        case ("consent", channel, topic):
            return _consented(channel, topic, now)
        case ("orders", "average"):
            return database.calculate("/", contact.c.orders_total, contact.c.orders_count)
        case known:
            return _COLUMNS[known]


def _shop_id(database: Database) -> Sql:
    """The shop's own id, chosen among several as contacts are read; without one, ours."""
    told = (
        select(func.min(contact_identity.c.value))
        .where(contact_identity.c.contact_id == contact.c.id, contact_identity.c.kind == "id")
        .scalar_subquery()
    )
    known: Sql = func.coalesce(told, database.identity(contact.c.id))
    return known


def _consented(channel: str, topic: str, now: datetime) -> Sql:
    """Whether marketing is allowed: the topic's own state decides, else that of all topics."""
    return func.coalesce(_granted(channel, topic, now), _granted(channel, ALL_TOPICS, now), false())


def _granted(channel: str, topic: str, now: datetime) -> Sql:
    state = consent_state.c
    lasting = or_(state.expires_at.is_(None), state.expires_at > now)
    return (
        select(and_(state.status == ConsentStatus.GRANTED.value, lasting))
        .where(state.contact_id == contact.c.id, state.channel == channel, state.topic == topic)
        .scalar_subquery()
    )
