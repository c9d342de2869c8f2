"""Reading what decisions about runs rest on: in batches, and no more than is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from orchestrator.domain.consent import ConsentState
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.expressions import EventCounter, Value
from orchestrator.domain.facts import Unread, contact_names, event_names
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId
from orchestrator.domain.journey import Situation
from orchestrator.domain.messages import Message
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.domain.timing import zone_of
from orchestrator.ports import FlowLibrary, UnitOfWork


class Backdrop:
    """People, events and purchases that a batch of runs is about.

    Each kind is read when it is first asked for, for the whole batch with one query: a run
    that only waits or ends asks for hardly anything.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        runs: Sequence[Enrolment],
        people: Mapping[ContactId, Contact],
        more: Sequence[Event],
        deciding: Callable[[Enrolment], bool] | None,
        known: Sequence[Message],
    ) -> None:
        self._uow = uow
        self._runs = runs
        self._more = more
        self._deciding = deciding
        self._known = known
        self.people = people
        self.counting: Callable[[ContactId, datetime], EventCounter] = partial(_counter, uow)

    @cached_property
    def states(self) -> Mapping[ContactId, Sequence[ConsentState]]:
        """The consent of the batch's people."""
        return self._uow.consents.states(self.people)

    @cached_property
    def events(self) -> Mapping[EventId, Event]:
        """What let the deciding runs in, and the events given besides."""
        asked = filter(self._deciding, self._runs) if self._deciding else self._runs
        wanted = {run.event_id for run in asked if run.event_id}
        wanted -= {event.id for event in self._more}
        found = self._uow.events.load(wanted) if wanted else {}
        return {**found, **{event.id: event for event in self._more}}

    @cached_property
    def checkouts(self) -> Mapping[str, CheckoutState]:
        """The checkouts that these events name."""
        named = _named(self.events.values(), "checkout_id")
        return self._uow.purchases.checkouts(named) if named else {}

    @cached_property
    def orders(self) -> Mapping[str, OrderState]:
        """The orders that these events name."""
        named = _named(self.events.values(), "order_id")
        return self._uow.purchases.orders(named) if named else {}

    @cached_property
    def messages(self) -> Mapping[EnrolmentId, Sequence[Message]]:
        """The messages of the batch's runs."""
        runs = [run.id for run in self._runs]
        if not runs:
            return {}
        found = self._uow.messages.of_enrolments(runs, [one.id for one in self._known])
        for one in self._known:
            others = found.get(one.enrolment_id)
            found[one.enrolment_id] = sorted([*others, one], key=_by_age) if others else [one]
        return found

    def names(
        self, book: FlowBook, contact: Contact, event: Event | None, now: datetime
    ) -> dict[str, Any]:
        """The names of a scope: the person, and the triggering event with what it names."""
        return {
            "contact": contact_names(contact, self.states.get(contact.id, ()), book.topics, now),
            "event": event_names(event) if event else {},
            "checkout": self._checkout(event),
            "order": self._order(event),
        }

    def unread_names(
        self, book: FlowBook, contact: Contact, event: Event | None, now: datetime
    ) -> dict[str, Any]:
        """The same, each group made when an expression asks for it: within the transaction."""

        def person() -> Mapping[str, Any]:
            return contact_names(contact, self.states.get(contact.id, ()), book.topics, now)

        return {
            "contact": Unread(person),
            "event": event_names(event) if event else {},
            "checkout": Unread(partial(self._checkout, event)),
            "order": Unread(partial(self._order, event)),
        }

    def _checkout(self, event: Event | None) -> Mapping[str, Any]:
        named = event is not None and "checkout_id" in event.payload
        return self._purchase(self.checkouts if named else {}, event, "checkout_id")

    def _order(self, event: Event | None) -> Mapping[str, Any]:
        named = event is not None and "order_id" in event.payload
        return self._purchase(self.orders if named else {}, event, "order_id")

    @staticmethod
    def _purchase(known: Mapping[str, Any], event: Event | None, field: str) -> Mapping[str, Any]:
        name = event.payload.get(field) if event else None
        found = known.get(name) if isinstance(name, str) else None
        if found is not None and event and _is_anothers(found.contact_id, event.contact_id):
            found = (
                None  # an address was corrected: nobody sees what another filled the basket with
            )
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

        def names() -> Mapping[str, Any]:
            event = self.events.get(enrolment.event_id) if enrolment.event_id else None
            return {**self.unread_names(book, person, event, now), "key": enrolment.key or None}

        return Situation(
            book=book,
            flow=book.flows[enrolment.flow],
            enrolment=enrolment,
            names=Unread(names),
            messages=self.messages.get(enrolment.id, ()),
            zone=zone_of(person.timezone, book.brand.timezone),
            now=now,
            counter=self.counting(person.id, now),
        )


def _is_anothers(owner: ContactId | None, contact_id: ContactId | None) -> bool:
    return owner is not None and contact_id is not None and owner != contact_id


def read_backdrop(
    uow: UnitOfWork,
    enrolments: Iterable[Enrolment],
    people: Mapping[ContactId, Contact],
    more: Iterable[Event] = (),
    deciding: Callable[[Enrolment], bool] | None = None,
    known: Sequence[Message] = (),
) -> Backdrop:
    """What decisions about these runs rest on, with `more` events.

    Events and purchases of runs that are not `deciding` are left out: nobody will ask for their
    situation. Messages of these runs that are `known` are not read again.
    """
    return Backdrop(uow, list(enrolments), people, list(more), deciding, known)


def _by_age(message: Message) -> tuple[datetime, str]:
    return message.created_at, message.id


def _counter(uow: UnitOfWork, contact_id: ContactId, now: datetime) -> EventCounter:
    def count(event_type: str, window: timedelta, where: Mapping[str, Value]) -> int:
        return uow.events.count(contact_id, event_type, window, where, now)

    return count


def _named(events: Iterable[Event], field: str) -> set[str]:
    named = (event.payload.get(field) for event in events)
    return {name for name in named if isinstance(name, str) and name}
