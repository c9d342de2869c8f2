"""The gate at work: under the contacts' locks, in the transaction that makes rows `sending`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final, assert_never

from orchestrator.domain.caps import longest, room_at
from orchestrator.domain.consent import ALL_TOPICS, permission
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import FINISHED, Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.flows import Channel, MessageClass, SendStep
from orchestrator.domain.gate import (
    Allow,
    Block,
    Cancel,
    GateFacts,
    Hold,
    Verdict,
    gate,
)
from orchestrator.domain.hearing import exits_on
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId
from orchestrator.domain.journey import channels_left
from orchestrator.domain.messages import (
    WAITING_STATES,
    HeldReason,
    Message,
    MessageState,
    NotSentReason,
)
from orchestrator.ports import Clock, FlowLibrary, MessageChange, RenderedMessage, UnitOfWork
from orchestrator.services.notices import is_about_policy, superseded
from orchestrator.services.runs import Backdrop, read_backdrop

IN_DOUBT_AFTER: Final = timedelta(minutes=2)
"""How long a `sending` row may be without a result before it is called `unknown`."""

GIVE_WAY: Final = timedelta(seconds=30)
"""How long a message waits for a more important one that is due and may fill the cap."""

MOST_SINCE: Final = 1_000
"""How many of a person's newest events are looked at for an exit after a run's own end."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A claimed message: rendered, or with what kept it from being rendered."""

    message: Message
    rendered: RenderedMessage | None = None
    problem: str | None = None
    reason: NotSentReason = NotSentReason.RENDER_ERROR
    """What the problem is called."""
    stumbled: bool = False
    """Rendering raised an error of ours: that says nothing about the message."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the verdicts of a batch rest on, read under the contacts' locks.

    `sent` grows as messages of the batch are allowed: it is the reservation under the caps.
    """

    people: Mapping[ContactId, Contact]
    runs: Mapping[EnrolmentId, Enrolment]
    waiting: Mapping[ContactId, Sequence[Event]]
    afterwards: Mapping[EnrolmentId, Sequence[Event]]
    backdrop: Backdrop
    suppressed: Mapping[tuple[Channel, str], bool]
    sent: dict[tuple[ContactId, Channel], list[datetime]]
    rivals: Mapping[tuple[ContactId, Channel], Sequence[Message]]
    replaced: frozenset[EnrolmentId]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict, and the channel it is about."""

    verdict: Verdict
    channel: Channel


class Gatekeeper:
    """Decides about batches of drafts and writes every verdict with its reason."""

    def __init__(self, library: FlowLibrary, clock: Clock) -> None:
        self._library = library
        self._clock = clock

    def judge(self, uow: UnitOfWork, drafts: Sequence[Draft], token: str) -> list[Draft]:
        """The drafts that are `sending` now; all others have got their verdict instead.

        Consent, suppressions, caps and unprocessed events are read in this transaction, after
        the contacts are locked, so an opt-out accepted before it commits is always seen, and
        no two workers fill the same place under a cap.
        """
        ground = self._read(uow, drafts)
        proofs: dict[MessageId, Mapping[str, Any]] = {}
        changes: list[MessageChange] = []
        woken: list[EnrolmentId] = []
        for draft in sorted(drafts, key=_by_priority):
            judged = self._choose(draft, ground)
            if isinstance(judged.verdict, Allow) and judged.channel is draft.message.channel:
                proofs[draft.message.id] = _record(draft, judged.verdict, ground.now)
                continue
            changes.append(_change(draft, judged, ground.now))
            if isinstance(judged.verdict, Block):
                woken.append(draft.message.enrolment_id)
        uow.messages.apply(changes, ground.now)
        uow.enrolments.wake(woken, ground.now)
        sending = uow.messages.mark_sending(proofs, token, ground.now, IN_DOUBT_AFTER)
        return [draft for draft in drafts if draft.message.id in sending]

    def _read(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> _Ground:
        messages = [draft.message for draft in drafts]
        people = uow.contacts.lock({message.contact_id for message in messages})
        now = self._clock.now()
        runs = uow.enrolments.load({message.enrolment_id for message in messages})
        waiting = self._unheard(uow, people, runs.values())
        afterwards = _since_the_end(uow, runs.values())
        events = [event for batch in [*waiting.values(), *afterwards.values()] for event in batch]
        addresses = {
            (channel, address)
            for person in people.values()
            for channel in Channel
            if (address := person.address(channel))
        }
        return _Ground(
            people=people,
            runs=runs,
            waiting=waiting,
            afterwards=afterwards,
            backdrop=read_backdrop(
                uow,
                runs.values(),
                people,
                events,
                lambda run: run.contact_id in waiting or run.id in afterwards,
                messages,
            ),
            suppressed=uow.suppressions.find(addresses),
            sent=self._counted(uow, messages, now),
            rivals=_rivals(uow, messages, now),
            replaced=self._replaced(uow, runs.values()),
            now=now,
        )

    def _unheard(
        self, uow: UnitOfWork, people: Iterable[ContactId], runs: Iterable[Enrolment]
    ) -> dict[ContactId, list[Event]]:
        """What journeys have not heard yet: each person's own events, and those of nobody."""
        flows = (self._library.book(run.version).flows[run.flow] for run in runs)
        nameless = uow.events.unheard_nameless({one.event for flow in flows for one in flow.exits})
        own = uow.events.unheard(people, parked=True)
        if not nameless:
            return own
        return {contact_id: [*own.get(contact_id, ()), *nameless] for contact_id in people}

    def _replaced(self, uow: UnitOfWork, runs: Iterable[Enrolment]) -> frozenset[EnrolmentId]:
        """Runs that tell of a privacy policy which a newer one has replaced."""
        told = [
            run for run in runs if is_about_policy(self._library.book(run.version).flows[run.flow])
        ]
        privacy = self._library.book(self._library.live()).brand.privacy
        if not told or privacy is None:
            return frozenset()
        old = superseded(uow.privacy_versions.known(), privacy.version)
        return frozenset(run.id for run in told if run.key in old)

    def _counted(
        self, uow: UnitOfWork, messages: Sequence[Message], now: datetime
    ) -> dict[tuple[ContactId, Channel], list[datetime]]:
        capped = [m for m in messages if m.message_class is MessageClass.MARKETING]
        caps = [cap for m in capped for caps in self._step(m).policy.caps.values() for cap in caps]
        if not caps:
            return {}
        since = now - longest(caps)
        return uow.messages.marketing_since({message.contact_id for message in capped}, since)

    def _step(self, message: Message) -> SendStep:
        """The step a message is of, in the version its run entered with."""
        step = self._library.book(message.version).flows[message.flow].program[message.step]
        if not isinstance(step, SendStep):
            msg = f"step {message.step} of {message.flow} sends nothing"
            raise TypeError(msg)
        return step

    def _choose(self, draft: Draft, ground: _Ground) -> _Judged:
        """The first channel of the step's order that may be used now.

        Where none may: the one whose cap has room first, else the first refusal. A channel that
        may be used in a moment is waited for: another is no better than a short wait.
        """
        message = draft.message
        step = self._step(message)
        others = [
            other
            for other in ground.backdrop.messages.get(message.enrolment_id, ())
            if other.step == message.step and other.id != message.id
        ]
        refused: _Judged | None = None
        held: list[tuple[datetime, _Judged]] = []
        for channel in channels_left(step, others) or (message.channel,):
            judged = _Judged(self._verdict(message, channel, step, ground), channel)
            match judged.verdict:
                case Block():
                    refused = refused or judged
                case Hold(until, HeldReason.CAP) if until > ground.now + GIVE_WAY:
                    held.append((until, judged))
                case _:
                    return self._taken(draft, judged, ground)
        if held:
            return min(held, key=itemgetter(0))[1]
        return refused or _Judged(Block(NotSentReason.UNREACHABLE), message.channel)

    def _taken(self, draft: Draft, judged: _Judged, ground: _Ground) -> _Judged:
        """An allowed message takes its place under the caps, unless it cannot be rendered."""
        message = draft.message
        if isinstance(judged.verdict, Allow) and judged.channel is message.channel:
            if draft.rendered is None:
                return _Judged(Block(draft.reason), message.channel)
            if message.message_class is MessageClass.MARKETING:
                place = (message.contact_id, message.channel)
                ground.sent.setdefault(place, []).append(ground.now)
        return judged

    def _verdict(
        self, message: Message, channel: Channel, step: SendStep, ground: _Ground
    ) -> Verdict:
        person, run = ground.people[message.contact_id], ground.runs[message.enrolment_id]
        states = ground.backdrop.states.get(person.id, ())
        address = person.address(channel) or ""
        return gate(
            GateFacts(
                message=message,
                contact=person,
                permission=permission(states, channel, message.topic or ALL_TOPICS, ground.now),
                suppressed=ground.suppressed.get((channel, address)),
                exited=self._exits(run, ground),
                now=ground.now,
                replaced=run.id in ground.replaced,
                channel=channel,
                room_at=_room_at(message, channel, step, ground),
                if_late=step.if_late,
            )
        )

    def _exits(self, run: Enrolment, ground: _Ground) -> bool:
        """Whether this run was ended, or is by an event that journeys have not heard yet.

        One that came to its own end is asked about what has come since: a message that somebody
        releases later goes if its run would still be there.
        """
        if run.ended_at is not None and run.end_reason not in FINISHED:
            return True
        events = [*ground.waiting.get(run.contact_id, ()), *ground.afterwards.get(run.id, ())]
        if not events:
            return False
        situation = ground.backdrop.situation(self._library, run, ground.now)
        return situation is not None and any(exits_on(situation, event) for event in events)


def _since_the_end(
    uow: UnitOfWork, runs: Iterable[Enrolment]
) -> dict[EnrolmentId, Sequence[Event]]:
    """What has come since for people whose run was over before its message: rare, and by hand."""
    over = [run for run in runs if run.ended_at is not None and run.end_reason in FINISHED]
    return {
        run.id: [
            event
            for event in uow.events.of_contact(run.contact_id, MOST_SINCE)
            if run.ended_at is not None and event.received_at >= run.ended_at
        ]
        for run in over
    }


def _by_priority(draft: Draft) -> tuple[int, datetime, str]:
    return -draft.message.priority, draft.message.not_before, draft.message.id


def _rivals(
    uow: UnitOfWork, messages: Sequence[Message], now: datetime
) -> dict[tuple[ContactId, Channel], list[Message]]:
    """Due marketing messages of the same people that are not in this batch."""
    people = {m.contact_id for m in messages if m.message_class is MessageClass.MARKETING}
    mine = [message.id for message in messages]
    found: dict[tuple[ContactId, Channel], list[Message]] = defaultdict(list)
    for other in uow.messages.due_marketing(people, now, mine) if people else ():
        found[other.contact_id, other.channel].append(other)
    return found


def _room_at(
    message: Message, channel: Channel, step: SendStep, ground: _Ground
) -> datetime | None:
    """When there is room under the step's caps; more important messages that are due go first."""
    caps = step.policy.caps.get(channel, ())
    if not caps or message.message_class is not MessageClass.MARKETING:
        return None
    place = (message.contact_id, channel)
    sent = ground.sent.get(place, [])
    free = room_at(caps, sent, ground.now)
    if free is not None:
        return free
    ahead = [r for r in ground.rivals.get(place, ()) if r.priority > message.priority]
    contested = room_at(caps, [*sent, *(ground.now for _ in ahead)], ground.now)
    return ground.now + GIVE_WAY if contested is not None else None


def _record(draft: Draft, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """What is kept of a decision, for support and auditors."""
    record: dict[str, Any] = {"at": now.isoformat(), "verdict": type(verdict).__name__.lower()}
    if isinstance(verdict, Allow) and verdict.proof is not None:
        record["consent"] = {"subject": verdict.proof[0], "record": verdict.proof[1]}
    if draft.problem is not None:
        record["problem"] = draft.problem
    if draft.rendered is not None:
        record["rendered"] = dict(draft.rendered.details)
    return record


def _change(draft: Draft, judged: _Judged, now: datetime) -> MessageChange:
    message, verdict = draft.message, judged.verdict
    reason: str | None
    until: datetime | None
    match verdict:
        case Block():
            state, reason, until = MessageState.NOT_SENT, verdict.reason.value, None
        case Hold():
            state, reason, until = MessageState.HELD, verdict.reason.value, verdict.until
        case Cancel():
            state, reason, until = MessageState.CANCELLED, verdict.reason.value, None
        case Allow():
            # On another channel: queued anew, to be rendered for that one.
            state, reason, until = MessageState.QUEUED, None, now
        case _:
            assert_never(verdict)
    return MessageChange(
        id=message.id,
        state=state,
        leaving=WAITING_STATES,
        reason=reason,
        channel=judged.channel,
        not_before=until,
        decision=_record(draft, verdict, now),
    )
