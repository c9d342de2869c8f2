"""People entered by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final

from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import LastEntry
from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import Event, IncomingEvent
from orchestrator.domain.flows import Flow, ManualTrigger
from orchestrator.domain.identifiers import EnrolmentId, EventId
from orchestrator.ports import NewEvent, UnitOfWork
from orchestrator.services.entering import Door, Wish, enter_people

SOURCE: Final = "manual"
EVENT_TYPE: Final = "flow.triggered"
"""What a run entered by hand knows as `event.type`."""


class Outcome(StrEnum):
    """What came of entering somebody by hand."""

    ENTERED = "entered"
    INSIDE = "inside"  # a run of this person and key is under way
    NOT_AGAIN = "not_again"  # the re-entry rule refuses
    NOT_MEANT = "not_meant"  # the flow's audience leaves this person out
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class ManualEntry:
    """What came of it, with the run that began."""

    outcome: Outcome
    flow: Flow
    run: EnrolmentId | None = None
    last: LastEntry | None = None
    """The run that stands in the way."""

    @property
    def meant_for_hands(self) -> bool:
        """Whether the flow says `when: manual`."""
        return any(isinstance(trigger, ManualTrigger) for trigger in self.flow.triggers)


def enter_by_hand(
    uow: UnitOfWork, door: Door, flow_name: str, person: Contact, fields: Mapping[str, Any]
) -> ManualEntry:
    """Enter a person into any flow of the live version, whatever else lets people in.

    `fields` are those of an event: the run knows them as `event`, and its key is taken from
    them. Re-entry rule and audience hold as always. Raises NotFound for an unknown flow, naming
    the nearest one.
    """
    ids, now = door.ids, door.now
    flow = door.book.flows.get(flow_name)
    if flow is None:
        raise NotFound(_unknown(flow_name, list(door.book.flows)))
    if person.erased_at is not None:
        return ManualEntry(Outcome.ERASED, flow)
    event = Event(
        id=EventId(ids.new()),
        source=SOURCE,
        source_id=ids.new(),
        type=EVENT_TYPE,
        contact_id=person.id,
        occurred_at=now,
        received_at=now,
        payload=dict(fields),
    )
    runs = enter_people(uow, door, Wish(flow, [person.id], event=event))
    if runs:
        uow.events.insert([_stored(event)])
        return ManualEntry(Outcome.ENTERED, flow, run=runs[0])
    last = next(iter(door.last.values()), None)
    if last is None:
        return ManualEntry(Outcome.NOT_MEANT, flow)
    return ManualEntry(Outcome.INSIDE if last.live else Outcome.NOT_AGAIN, flow, last=last)


def _stored(event: Event) -> NewEvent:
    """The event as a row of the journal that no journey hears."""
    incoming = IncomingEvent(
        source=event.source,
        source_id=event.source_id,
        type=event.type,
        occurred_at=event.occurred_at,
        contact=None,
        payload=event.payload,
    )
    return NewEvent(event.id, event.contact_id, event.received_at, incoming, processed=True)


def _unknown(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(names) or 'none'}"
    return f'no flow is called "{name}"; {hint}'
