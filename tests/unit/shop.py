"""A small shop for tests of journeys: flows in a marketer's words, and a person in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from textwrap import indent
from typing import Any

from orchestrator.domain.consent import ConsentState
from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.facts import contact_names, event_names
from orchestrator.domain.flows import Channel, Flow, FlowBook, MessageClass
from orchestrator.domain.hearing import Heard, exits_on, hear
from orchestrator.domain.identifiers import (
    ContactId,
    EnrolmentId,
    EventId,
    MessageId,
    VersionHash,
)
from orchestrator.domain.journey import Decision, Situation, advance
from orchestrator.domain.messages import Message, MessageState
from orchestrator.flowfile import load_text

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ADA = ContactId("ada")

_BRAND = """
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <news@northwind.example>
  sms: "+15005550006"
  postal_address: Keskuskatu 1, 00100 Helsinki, Finland
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  offers: {title: Offers}
attributes: {points: number, due: time, pause: number}
"""


def book_of(flows: str, more: str = "") -> FlowBook:
    """A compiled file with these flows; `more` holds further keys of the file."""
    loaded = load_text(_BRAND + more + "\nflows:\n" + indent(flows, "  "))
    assert loaded.book is not None, loaded.findings
    return loaded.book


@cache
def flow_of(steps: str, keys: str = "", more: str = "") -> tuple[FlowBook, Flow]:
    """A file with one flow `f`: its steps, and further keys of the flow."""
    head = "f:\n  class: marketing\n  topic: offers\n"
    if not any(line.startswith("when:") for line in keys.splitlines()):
        head += "  when: {event: checkout.started}\n"
    book = book_of(head + indent(keys, "  ") + "\n  steps:\n" + indent(steps, "    "), more)
    return book, book.flows["f"]


def contact(**fields: Any) -> Contact:
    """Ada, whom mail and text messages reach."""
    known: dict[str, Any] = {
        "id": ADA,
        "email": "ada@example.com",
        "phone": "+358401234567",
        "first_name": "Ada",
        "last_name": None,
        "locale": None,
        "timezone": None,
        "country": "FI",
        "tracking": False,
        "tags": (),
        "attributes": {},
        "source": {},
        "orders": OrderHistory(),
        "created_at": START,
        "last_seen_at": None,
    }
    return Contact(**{**known, **fields})


def event(
    event_type: str,
    at: datetime = START,
    contact_id: ContactId | None = ADA,
    **payload: Any,
) -> Event:
    """An event received the moment it happened."""
    name = f"{event_type}@{at.isoformat()}"
    return Event(EventId(name), "standard", name, event_type, contact_id, at, at, payload)


def message(step: str, state: MessageState, at: datetime = START, **fields: Any) -> Message:
    """A message of Ada's run, as read back."""
    known: dict[str, Any] = {
        "id": MessageId(f"message of {step}"),
        "enrolment_id": EnrolmentId("run"),
        "contact_id": ADA,
        "flow": "f",
        "version": VersionHash("v"),
        "step": step,
        "channel": Channel.EMAIL,
        "template": "cart/reminder",
        "locale": None,
        "variant": None,
        "message_class": MessageClass.MARKETING,
        "topic": "offers",
        "priority": 50,
        "state": state,
        "reason": None,
        "not_before": at,
        "expires_at": None,
        "created_at": at,
        "sending_at": None,
        "sent_at": None,
        "attempts": 0,
        "provider": None,
        "provider_id": None,
        "decision": {},
    }
    return Message(**{**known, **fields})


@dataclass
class Run:
    """Ada's run of a flow: `advance` and `hear` act as the engine does, in memory."""

    book: FlowBook
    flow: Flow
    zone: tzinfo = UTC
    person: Contact = field(default_factory=contact)
    consent: Sequence[ConsentState] = ()
    trigger: Event = field(default_factory=lambda: event("checkout.started", checkout_id="c1"))
    key: str = ""
    messages: list[Message] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)
    enrolment: Enrolment = field(init=False)

    def __post_init__(self) -> None:
        self.enrolment = Enrolment(
            id=EnrolmentId("run"),
            flow=self.flow.name,
            version=VersionHash(self.book.version_hash),
            contact_id=ADA,
            key=self.key,
            entry=1,
            event_id=self.trigger.id,
            step=None,
            step_started_at=None,
            due_at=START,
            outputs={},
            entered_at=START,
            ended_at=None,
            end_reason=None,
            attempts=0,
        )

    @classmethod
    def of(cls, steps: str, keys: str = "", more: str = "", **fields: Any) -> Run:
        """A run of a flow with these steps."""
        book, flow = flow_of(steps, keys, more)
        return cls(book, flow, **fields)

    @property
    def step(self) -> str | None:
        return self.enrolment.step

    @property
    def due(self) -> timedelta | None:
        """How long after the start the run is due; None if only an event wakes it."""
        due_at = self.enrolment.due_at
        return None if due_at is None else due_at - START

    @property
    def ended(self) -> str | None:
        return self.enrolment.end_reason

    def situation(self, now: datetime) -> Situation:
        names: Mapping[str, Any] = {
            "contact": contact_names(self.person, self.consent, self.book.topics, now),
            "event": event_names(self.trigger),
            "checkout": {},
            "order": {},
            "key": self.key or None,
        }
        return Situation(self.book, self.flow, self.enrolment, names, self.messages, self.zone, now)

    def advance(self, later: timedelta = timedelta()) -> Decision:
        """Decide at a moment after the start, and keep what was decided."""
        now = START + later
        decision = advance(self.situation(now))
        update = decision.update
        self.enrolment = replace(
            self.enrolment,
            step=update.step,
            step_started_at=update.step_started_at,
            due_at=update.due_at,
            outputs=update.outputs,
            ended_at=update.ended_at,
            end_reason=update.end_reason,
        )
        if decision.send is not None:
            self.sends.append(decision.send.step.id)
            self.messages.append(message(decision.send.step.id, MessageState.QUEUED, now))
        return decision

    def settle(self, state: MessageState, **fields: Any) -> None:
        """Something becomes of the newest message."""
        self.messages[-1] = replace(self.messages[-1], state=state, **fields)

    def hear(self, heard: Event) -> Heard:
        """Let the run hear an event, and keep what it notes."""
        meaning = hear(self.situation(heard.received_at), heard)
        if meaning.outputs is not None:
            self.enrolment = replace(self.enrolment, outputs=meaning.outputs)
        return meaning

    def exits_on(self, heard: Event) -> bool:
        return exits_on(self.situation(heard.received_at), heard)
