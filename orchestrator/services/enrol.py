"""Events heard: runs begin, are woken, or end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import EndReason, Enrolment, EnrolmentUpdate, NewEnrolment
from orchestrator.domain.entries import FlowIndex, index_of, lets_in
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import Event
from orchestrator.domain.facts import run_facts
from orchestrator.domain.flows import EventTrigger, Flow, FlowBook
from orchestrator.domain.hearing import hear
from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId, VersionHash
from orchestrator.domain.journey import key_text
from orchestrator.domain.messages import CancelledReason
from orchestrator.ports import Clock, Database, FlowLibrary, Ids, Lane, Metrics, UnitOfWork
from orchestrator.services.decisions import Decisions
from orchestrator.services.entering import Door, EntryKey, end_replaced
from orchestrator.services.listeners import Listeners
from orchestrator.services.runs import Backdrop, read_backdrop

log = logging.getLogger(__name__)

BATCH: Final = 200
TRIES: Final = 5
RETRY_AFTER: Final = timedelta(seconds=10)
EXITED: Final = EndReason.EXITED.value


@dataclass(slots=True)
class _Plan:
    """What hearing a batch of events comes to, written at once at the end."""

    begun: dict[EntryKey, NewEnrolment] = field(default_factory=dict)
    noted: dict[EnrolmentId, Mapping[str, Any]] = field(default_factory=dict)
    woken: set[EnrolmentId] = field(default_factory=set)
    ended: dict[EnrolmentId, datetime] = field(default_factory=dict)
    heard: list[EventId] = field(default_factory=list)
    failed: list[EventId] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Somebody whom a trigger lets in, before the re-entry rule is asked."""

    flow: Flow
    key: str


class Enrolling:
    """Turns stored events into what happens to runs."""

    def __init__(
        self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids, metrics: Metrics
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._listeners = Listeners(library, clock)
        self._index: tuple[VersionHash, FlowIndex] | None = None

    async def run_once(self, limit: int = BATCH) -> int:
        """Hear a batch of waiting events; returns how many people and events there were."""
        named = await self._hear_named(limit)
        unnamed = await self._database.run(Lane.ADVANCE, self.hear_without_contact)
        return max(named, unnamed)

    async def _hear_named(self, limit: int) -> int:
        """A batch that fails as a whole is heard person by person, the culprit put aside."""
        try:
            return await self._database.run(Lane.ADVANCE, lambda uow: self.hear_waiting(uow, limit))
        except TransientError:
            raise
        except Exception:
            if limit == 1:
                log.exception("an event cannot be heard and is put aside for a while")
                await self._database.run(Lane.ADVANCE, self.fail_oldest)
                return 1
        for _ in range(limit):
            if not await self._hear_named(1):
                break
        return limit

    def hear_waiting(self, uow: UnitOfWork, limit: int = BATCH) -> int:
        """Hear the unprocessed events of up to `limit` people; returns how many events.

        A person's events are heard in the order received, under that person's lock. One
        that raises is tried again later and parked after five tries; it holds up nobody else.
        """
        contact_ids = uow.events.lock_waiting_contacts(limit)
        if not contact_ids:
            return 0
        now = self._clock.now()
        waiting = uow.events.unprocessed(contact_ids)
        batch = _Batch.read(uow, self._library, self._ids, now, contact_ids, waiting)
        batch.prepare(self._live_index())
        for contact_id, events in waiting.items():
            batch.hear_person(contact_id, events)
        batch.begin_runs()
        batch.write()
        batch.decisions.count_ended(self._metrics)
        return batch.done

    def fail_oldest(self, uow: UnitOfWork) -> None:
        """Put aside the event that makes even a batch of one person fail."""
        now = self._clock.now()
        contact_ids = uow.events.lock_waiting_contacts(1)
        for events in uow.events.unprocessed(contact_ids).values():
            uow.events.fail([events[0].id], now, now + RETRY_AFTER, TRIES)

    def hear_without_contact(self, uow: UnitOfWork, limit: int = BATCH) -> int:
        """Hear events that name nobody: every waiting run whose `where` holds hears them.

        One that raises for somebody is tried again later. Everybody else has heard it, and
        hearing it twice changes nothing.
        """
        events = uow.events.lock_without_contact(limit)
        if not events:
            return 0
        now = self._clock.now()
        flows = self._listeners.flows(uow, {event.type for event in events})
        contact_ids = uow.enrolments.contacts_in(flows) if flows else []
        uow.contacts.lock(contact_ids)
        batch = _Batch.read(uow, self._library, self._ids, now, contact_ids, {None: events})
        for event in events:
            batch.tell_everybody(event)
        batch.write()
        return len(events)

    def _live_index(self) -> FlowIndex:
        version = self._library.live()
        if self._index is None or self._index[0] != version:
            self._index = (version, index_of(self._library.book(version)))
        return self._index[1]


@dataclass(slots=True)
class _Batch:
    """The people of a batch and their runs, while their events are heard in memory."""

    uow: UnitOfWork
    library: FlowLibrary
    door: Door
    now: datetime
    book: FlowBook
    people: Mapping[ContactId, Contact]
    backdrop: Backdrop
    events: Sequence[Event]
    live: dict[ContactId, list[Enrolment]]
    decisions: Decisions
    entries: dict[tuple[ContactId, EventId], list[_Entry]] = field(default_factory=dict)
    unreadable: set[EventId] = field(default_factory=set)
    behind: set[ContactId] = field(default_factory=set)
    """People with an event that raised: theirs are not all heard."""
    plan: _Plan = field(default_factory=_Plan)
    done: int = 0

    @classmethod
    def read(
        cls,
        uow: UnitOfWork,
        library: FlowLibrary,
        ids: Ids,
        now: datetime,
        contact_ids: Iterable[ContactId],
        waiting: Mapping[Any, Sequence[Event]],
    ) -> _Batch:
        """Read everything the batch needs in a handful of queries."""
        people = uow.contacts.load(contact_ids)
        live = uow.enrolments.live_of(people)
        events = [event for batch in waiting.values() for event in batch]
        runs = [run for batch in live.values() for run in batch]
        door = Door.open(library, ids, now)
        return cls(
            uow=uow,
            library=library,
            door=door,
            now=now,
            book=door.book,
            people=people,
            backdrop=read_backdrop(uow, runs, people, events),
            events=events,
            live=dict(live),
            decisions=Decisions(ids),
        )

    def prepare(self, index: FlowIndex) -> None:
        """Ask every trigger, then read the last entries of all it lets in with one query."""
        for event in self.events:
            person = self.people.get(event.contact_id) if event.contact_id else None
            pairs = index.by_event.get(event.type)
            if person is None or not pairs:
                continue
            try:
                self.entries[person.id, event.id] = self._let_in(pairs, person, event)
            except Exception:  # noqa: BLE001 - hear_person puts this event aside
                self.unreadable.add(event.id)
        self.door.remember(
            self.uow,
            [
                (entry.flow.name, contact_id, entry.key)
                for (contact_id, _), entries in self.entries.items()
                for entry in entries
            ],
        )

    def _let_in(
        self, pairs: Sequence[tuple[Flow, EventTrigger]], person: Contact, event: Event
    ) -> list[_Entry]:
        names = self.backdrop.unread_names(self.book, person, event, self.now)
        scope = run_facts(
            self.book, names, self.now, {}, self.backdrop.counting(person.id, self.now)
        )
        found = (
            _Entry(flow, key_text(flow.key, scope))
            for flow, trigger in pairs
            if lets_in(flow, trigger, scope)
        )
        # Two triggers of one flow that take the same event are one entry.
        return list({(entry.flow.name, entry.key): entry for entry in found}.values())

    def hear_person(self, contact_id: ContactId, events: Sequence[Event]) -> None:
        """Hear one person's events in order; after one that raises, the rest wait."""
        for event in events:
            try:
                if event.id in self.unreadable:
                    self._fail(contact_id, event)
                    return
                self.tell_runs(contact_id, event)
            except TransientError:
                raise
            except Exception:  # noqa: BLE001 - one bad event must not hold up other people
                self._fail(contact_id, event)
                return
            for entry in self.entries.get((contact_id, event.id), ()):
                self._enter(entry, self.people[contact_id], event)
            self.plan.heard.append(event.id)

    def tell_everybody(self, event: Event) -> None:
        """Let the runs of all these people hear an event that names nobody."""
        raised = False
        for contact_id in self.people:
            try:
                self.tell_runs(contact_id, event)
            except TransientError:
                raise
            except Exception:
                raised = True
                log.exception("somebody cannot hear an event", extra={"event_id": event.id})
        (self.plan.failed if raised else self.plan.heard).append(event.id)

    def _fail(self, contact_id: ContactId, event: Event) -> None:
        self.plan.failed.append(event.id)
        self.behind.add(contact_id)

    def tell_runs(self, contact_id: ContactId, event: Event) -> None:
        """Let a person's live runs hear an event: exits act, waits wake."""
        staying: list[Enrolment] = []
        ended: dict[EnrolmentId, datetime] = {}
        for run in self.live.get(contact_id, ()):
            situation = self.backdrop.situation(self.library, run, self.now)
            heard = hear(situation, event) if situation else None
            if heard is None or heard.exits:
                ended[run.id] = max(event.received_at, run.entered_at)
                self.door.over((run.flow, run.contact_id, run.key), ended[run.id])
                continue
            if heard.outputs is not None:
                run = replace(run, outputs=heard.outputs)  # noqa: PLW2901 - the run as it is now
                self.plan.noted[run.id] = heard.outputs
            if heard.wakes:
                self.plan.woken.add(run.id)
            staying.append(run)
        self.live[contact_id] = staying
        self.plan.ended |= ended

    def _enter(self, entry: _Entry, person: Contact, event: Event) -> None:
        """Begin a run, if the re-entry rule admits it."""
        admitted = self.door.admit(entry.flow, entry.key, person, event.id, event.received_at)
        if admitted is None:
            return
        if admitted.replaces is not None:
            self._restart(person.id, admitted.replaces, admitted.run.entered_at)
        place: EntryKey = (entry.flow.name, person.id, entry.key)
        if place in self.plan.begun:
            self.write()  # the one that began and ended in this batch must not stand in its way
        self.plan.begun[place] = admitted.run
        self.live.setdefault(person.id, []).append(_as_live(admitted.run))

    def _restart(self, person: ContactId, running: EnrolmentId, at: datetime) -> None:
        """End the live run of a key now: it may have begun in this very batch."""
        self.write()
        end_replaced(self.uow, {running: at}, self.now)
        self.live[person] = [run for run in self.live[person] if run.id != running]

    def begin_runs(self) -> None:
        """Take runs that begin as far as they can go at once, instead of claiming each for that.

        One that raises, or whose person has more to be heard, begins like any other due run:
        it is tried alone then, and its tries are counted.
        """
        now_live = {run.id: run for runs in self.live.values() for run in runs}
        for place, new in self.plan.begun.items():
            run = now_live.get(new.id)
            if run is None or run.contact_id in self.behind:
                continue
            try:
                situation = self.backdrop.situation(self.library, run, self.now)
                if situation is not None:
                    update = self.decisions.take(situation)
                    self.plan.begun[place] = _as_decided(new, update)
            except TransientError:
                raise
            except Exception:
                log.exception("a run cannot begin yet", extra={"flow": new.flow})

    def write(self) -> None:
        """Write what has been planned so far, in an order that keeps every key unique."""
        plan, uow = self.plan, self.uow
        begun = {run.id: run for run in plan.begun.values()}
        ended = {one: at for one, at in plan.ended.items() if one not in begun}
        uow.enrolments.end_at(ended, EXITED)
        inserted = uow.enrolments.insert([self._to_insert(run) for run in begun.values()])
        uow.enrolments.note(
            {one: outputs for one, outputs in plan.noted.items() if one not in begun}
        )
        if ended:
            uow.messages.cancel_waiting(ended, CancelledReason.EXITED, self.now)
        self.decisions.write_effects(uow, self.now, begun.keys() - inserted)
        uow.enrolments.wake(plan.woken - begun.keys(), self.now)
        uow.events.mark_processed(plan.heard, self.now)
        if plan.failed:
            uow.events.fail(plan.failed, self.now, self.now + RETRY_AFTER, TRIES)
        self.done += len(plan.heard) + len(plan.failed)
        self.plan = _Plan()

    def _to_insert(self, run: NewEnrolment) -> NewEnrolment:
        """A run that begins in this batch, with what has become of it since."""
        at = self.plan.ended.get(run.id)
        if at is not None:
            return replace(run, due_at=None, ended_at=at, end_reason=EXITED)
        if run.step is None and run.ended_at is None and run.id in self.plan.noted:
            return replace(run, outputs=self.plan.noted[run.id])
        return run


def _as_decided(new: NewEnrolment, update: EnrolmentUpdate) -> NewEnrolment:
    """A run to insert as it stands after its first decision."""
    return replace(
        new,
        step=update.step,
        step_started_at=update.step_started_at,
        due_at=update.due_at,
        outputs=update.outputs,
        ended_at=update.ended_at,
        end_reason=update.end_reason,
    )


def _as_live(new: NewEnrolment) -> Enrolment:
    """A run as it will be read back."""
    return Enrolment(
        id=new.id,
        flow=new.flow,
        version=new.version,
        contact_id=new.contact_id,
        key=new.key,
        entry=new.entry,
        event_id=new.event_id,
        step=new.step,
        step_started_at=None,
        due_at=new.due_at,
        outputs=new.outputs,
        entered_at=new.entered_at,
        ended_at=None,
        end_reason=None,
        attempts=0,
    )
