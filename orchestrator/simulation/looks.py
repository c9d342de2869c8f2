"""When segments are worth a look although nothing falls due: time itself lets people join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import FlowBook, SegmentTrigger
from orchestrator.domain.turning import watched_spans
from orchestrator.ports import Database, UnitOfWork
from orchestrator.services.audiences import EVERY
from orchestrator.simulation.driver import NextLook, never

AFTER: Final = timedelta(seconds=1)
"""How long after its moment a change is looked for: `<` holds only then."""
OFTEN: Final = timedelta(hours=1)
"""How often segments are looked at where their moments cannot be known."""
_MOST: Final = 1_000


def looks_for(book: FlowBook, database: Database) -> NextLook:
    """When to look at the segments of a book, for a handful of people."""
    if not any(
        isinstance(one, SegmentTrigger) for flow in book.flows.values() for one in flow.triggers
    ):
        return never
    spans = watched_spans(book)
    if spans is None:
        return lambda now: now + OFTEN

    def next_look(now: datetime) -> datetime | None:
        with database.read() as uow:
            known = set(_moments(uow))
        # A look is taken five minutes after the one before at the earliest.
        lags = (AFTER, AFTER + EVERY)
        looks = (one + span + lag for one in known for span in spans for lag in lags)
        return min((look for look in looks if look > now), default=None)

    return next_look


def _moments(uow: UnitOfWork) -> Iterator[datetime]:
    """Everything that has a time in these people's lives."""
    for person in uow.contacts.page(None, _MOST):
        yield from (one for one in _times(person) if one is not None)
        for event in uow.events.of_contact(person.id, _MOST):
            yield from (event.received_at, event.occurred_at)


def _times(person: Contact) -> Iterable[datetime | None]:
    orders = person.orders
    yield from (person.created_at, person.last_seen_at, orders.first_at, orders.last_at)
    yield from map(_time_of, person.attributes.values())


def _time_of(value: Any) -> datetime | None:
    """The moment in an attribute, if it is one."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
