"""The one door into journeys: who may come in (again), and the run that begins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import EndReason, LastEntry, NewEnrolment
from orchestrator.domain.entries import Admission, admission
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import Event
from orchestrator.domain.expressions import holds
from orchestrator.domain.facts import run_facts
from orchestrator.domain.flows import Flow, FlowBook
from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId, VersionHash
from orchestrator.domain.journey import key_text
from orchestrator.domain.messages import CancelledReason
from orchestrator.domain.timing import zone_of
from orchestrator.ports import FlowLibrary, Ids, UnitOfWork
from orchestrator.services.runs import Backdrop, read_backdrop

log = logging.getLogger(__name__)

EntryKey = tuple[str, ContactId, str]
"""Flow, person and key: at most one run of these is live."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A run that begins, and the live one whose place it takes."""

    run: NewEnrolment
    replaces: EnrolmentId | None = None


@dataclass(slots=True)
class Door:
    """Lets people in during one transaction, into the live version at one moment.

    `last` holds the newest entry of every key that may be asked for, and keeps up with what
    begins and ends meanwhile.
    """

    book: FlowBook
    version: VersionHash
    ids: Ids
    now: datetime
    last: dict[EntryKey, LastEntry] = field(default_factory=dict)

    @classmethod
    def open(cls, library: FlowLibrary, ids: Ids, now: datetime) -> Door:
        """The door into the live version; raises NotFound before the first publishing."""
        version = library.live()
        return cls(library.book(version), version, ids, now)

    def remember(self, uow: UnitOfWork, keys: Iterable[EntryKey]) -> None:
        """Read the newest entries of these keys with one query."""
        wanted = set(keys)
        if wanted:
            self.last |= uow.enrolments.last_entries(wanted)

    def admit(
        self,
        flow: Flow,
        key: str,
        person: Contact,
        event_id: EventId | None,
        at: datetime | None = None,
    ) -> Admitted | None:
        """A run that begins `at` a moment, else now, if the re-entry rule admits it.

        The moment may lie in the past, when an event was received, but not before the end of
        the last run: two of a person and key never overlap.
        """
        place: EntryKey = (flow.name, person.id, key)
        last = self.last.get(place)
        zone = zone_of(person.timezone, self.book.brand.timezone)
        at = min(at or self.now, self.now)
        if last is not None and last.ended_at is not None:
            at = max(at, last.ended_at)
        verdict = admission(flow.reenter, last, at, zone)
        if verdict is Admission.REFUSE:
            return None
        run = NewEnrolment(
            id=EnrolmentId(self.ids.new()),
            flow=flow.name,
            version=self.version,
            contact_id=person.id,
            key=key,
            entry=last.entry + 1 if last else 1,
            event_id=event_id,
            step=None,
            entered_at=at,
            due_at=at,
        )
        self.last[place] = LastEntry(run.id, run.entry, at, live=True)
        replaces = last.id if last and verdict is Admission.RESTART else None
        return Admitted(run, replaces)

    def over(self, place: EntryKey, at: datetime) -> None:
        """Note that the live run of a key has ended."""
        if place in self.last:
            self.last[place] = replace(self.last[place], live=False, ended_at=at)


def end_replaced(uow: UnitOfWork, runs: Mapping[EnrolmentId, datetime], now: datetime) -> None:
    """End runs when new ones take their place: two live ones would break their key."""
    uow.enrolments.end_at(runs, EndReason.RESTARTED.value)
    uow.messages.cancel_waiting(runs, CancelledReason.REPLACED, now)


@dataclass(frozen=True, slots=True)
class Wish:
    """People to be let into a flow, by what let them in.

    `key` is the default where the flow names none; `event` is what the runs know as `event`.
    """

    flow: Flow
    people: Sequence[ContactId]
    key: str = ""
    event: Event | None = None


def enter_people(uow: UnitOfWork, door: Door, wish: Wish) -> list[EnrolmentId]:
    """Let in, under their locks, those whom audience and re-entry rule admit; returns the runs.

    Merged and erased people stay outside. Of one for whom an expression raises, the log tells.
    """
    locked = uow.contacts.lock(wish.people)
    people = {
        one.id: one for one in locked.values() if one.erased_at is None and one.merged_into is None
    }
    backdrop = read_backdrop(uow, (), people, [wish.event] if wish.event else ())
    keys: dict[ContactId, str] = {}
    for person in people.values():
        try:
            key = key_for(door, backdrop, wish, person)
        except TransientError:
            raise
        except Exception:
            log.exception("somebody cannot be let in", extra={"flow": wish.flow.name})
            continue
        if key is not None:
            keys[person.id] = key
    door.remember(uow, [(wish.flow.name, contact_id, key) for contact_id, key in keys.items()])
    event_id = wish.event.id if wish.event else None
    let_in = [door.admit(wish.flow, key, people[one], event_id) for one, key in keys.items()]
    admitted = [one for one in let_in if one is not None]
    replaced = {one.replaces: one.run.entered_at for one in admitted if one.replaces}
    end_replaced(uow, replaced, door.now)
    return sorted(uow.enrolments.insert([one.run for one in admitted]))


def key_for(door: Door, backdrop: Backdrop, wish: Wish, person: Contact) -> str | None:
    """The key under which a person enters; None where the flow's audience leaves them out."""
    flow = wish.flow
    if flow.audience is None and flow.key is None:
        return wish.key
    names = backdrop.unread_names(door.book, person, wish.event, door.now)
    counter = backdrop.counting(person.id, door.now)
    scope = run_facts(door.book, names, door.now, {}, counter)
    if flow.audience is not None and not holds(flow.audience, scope):
        return None
    return wish.key if flow.key is None else key_text(flow.key, scope)
