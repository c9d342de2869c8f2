"""Reading what decisions about runs rest on, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from orchestrator.domain.consent import ConsentState
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.expressions import EventCounter, Value
from orchestrator.domain.facts import contact_names, event_names
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId
from orchestrator.domain.journey import Situation
from orchestrator.domain.messages import Message
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.domain.timing import zone_of
from orchestrator.ports import FlowLibrary, UnitOfWork


@dataclass(frozen=True, slots=True)
class Backdrop:
    """People, events and purchases that a batch of runs is about, read in a few queries."""

    people: Mapping[ContactId, Contact]
    states: Mapping[ContactId, Sequence[ConsentState]]
    events: Mapping[EventId, Event]
    checkouts: Mapping[str, CheckoutState]
    orders: Mapping[str, OrderState]
    messages: Mapping[EnrolmentId, Sequence[Message]]
    counting: Callable[[ContactId, datetime], EventCounter]

    def names(
        self, book: FlowBook, contact: Contact, event: Event | None, now: datetime
    ) -> dict[str, Any]:
        """The names of a scope: the person, and the triggering event with what it names."""
        states = self.states.get(contact.id, ())
        names: dict[str, Any] = {"contact": contact_names(contact, states, book.topics, now)}
        names["event"] = event_names(event) if event else {}
        names["checkout"] = self._purchase(self.checkouts, event, "checkout_id")
        names["order"] = self._purchase(self.orders, event, "order_id")
        return names

    @staticmethod
    def _purchase(known: Mapping[str, Any], event: Event | None, field: str) -> Mapping[str, Any]:
        name = event.payload.get(field) if event else None
        found = known.get(name) if isinstance(name, str) else None
        if found is None:
            return event.payload if event and field in event.payload else {}
        status = getattr(found, "status", None)
        began = getattr(found, "started_at", None)
        placed = getattr(found, "placed_at", None)
        times = {"started_at": began, "placed_at": placed, "updated_at": found.state_at}
        return {**found.state, "id": found.id, "status": status, **times}

    def situation(
        self, library: FlowLibrary, enrolment: Enrolment, now: datetime
    ) -> Situation | None:
        """What a decision about a run rests on; None where its person is gone."""
        person = self.people.get(enrolment.contact_id)
        if person is None:
            return None
        book = library.book(enrolment.version)
        event = self.events.get(enrolment.event_id) if enrolment.event_id else None
        names = {**self.names(book, person, event, now), "key": enrolment.key or None}
        return Situation(
            book=book,
            flow=book.flows[enrolment.flow],
            enrolment=enrolment,
            names=names,
            messages=self.messages.get(enrolment.id, ()),
            zone=zone_of(person.timezone, book.brand.timezone),
            now=now,
            counter=self.counting(person.id, now),
        )


def read_backdrop(
    uow: UnitOfWork,
    enrolments: Iterable[Enrolment],
    people: Mapping[ContactId, Contact],
    more: Iterable[Event] = (),
    deciding: Callable[[Enrolment], bool] | None = None,
) -> Backdrop:
    """Read everything once: the runs' triggering events, and purchases these and `more` name.

    Runs that are not `deciding` are left without these two: nobody will ask for their situation.
    """
    runs = list(enrolments)
    asked = filter(deciding, runs) if deciding else runs
    wanted = {run.event_id for run in asked if run.event_id}
    events = uow.events.load(wanted) if wanted else {}
    around = [*events.values(), *more]
    events = {event.id: event for event in around}
    return Backdrop(
        people=people,
        states=uow.consents.states(people),
        events=events,
        checkouts=uow.purchases.checkouts(_named(around, "checkout_id")),
        orders=uow.purchases.orders(_named(around, "order_id")),
        messages=uow.messages.of_enrolments([run.id for run in runs]),
        counting=partial(_counter, uow),
    )


def _counter(uow: UnitOfWork, contact_id: ContactId, now: datetime) -> EventCounter:
    def count(event_type: str, window: timedelta, where: Mapping[str, Value]) -> int:
        return uow.events.count(contact_id, event_type, window, where, now)

    return count


def _named(events: Iterable[Event], field: str) -> set[str]:
    named = (event.payload.get(field) for event in events)
    return {name for name in named if isinstance(name, str) and name}
