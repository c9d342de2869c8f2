"""The gate at work: under the contacts' locks, in the transaction that makes rows `sending`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from orchestrator.domain.consent import ALL_TOPICS, permission
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import Event
from orchestrator.domain.gate import (
    Allow,
    Block,
    Cancel,
    GateFacts,
    Hold,
    Verdict,
    gate,
)
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId
from orchestrator.domain.journey import exits_on
from orchestrator.domain.messages import (
    WAITING_STATES,
    Message,
    MessageState,
    NotSentReason,
)
from orchestrator.ports import Clock, FlowLibrary, MessageChange, RenderedMessage, UnitOfWork
from orchestrator.services.runs import Backdrop, read_backdrop

IN_DOUBT_AFTER: Final = timedelta(minutes=2)
"""How long a `sending` row may be without a result before it is called `unknown`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A claimed message: rendered, or with what kept it from being rendered."""

    message: Message
    rendered: RenderedMessage | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the verdicts of a batch rest on, read under the contacts' locks."""

    people: Mapping[ContactId, Contact]
    runs: Mapping[EnrolmentId, Enrolment]
    waiting: Mapping[ContactId, Sequence[Event]]
    backdrop: Backdrop
    suppressed: Mapping[tuple[Any, str], bool]
    now: datetime


class Gatekeeper:
    """Decides about batches of drafts and writes every verdict with its reason."""

    def __init__(self, library: FlowLibrary, clock: Clock) -> None:
        self._library = library
        self._clock = clock

    def judge(self, uow: UnitOfWork, drafts: Sequence[Draft], token: str) -> list[Draft]:
        """The drafts that are `sending` now; all others have got their verdict instead.

        Consent, suppressions and unprocessed events are read in this transaction, after the
        contacts are locked, so an opt-out accepted before it commits is always seen.
        """
        ground = self._read(uow, drafts)
        proofs: dict[MessageId, Mapping[str, Any]] = {}
        changes: list[MessageChange] = []
        woken: list[EnrolmentId] = []
        for draft in drafts:
            verdict = self._verdict(draft, ground)
            if isinstance(verdict, Allow):
                proofs[draft.message.id] = _record(draft, verdict, ground.now)
                continue
            changes.append(_change(draft, verdict, ground.now))
            if isinstance(verdict, Block):
                woken.append(draft.message.enrolment_id)
        uow.messages.apply(changes, ground.now)
        uow.enrolments.wake(woken, ground.now)
        sending = uow.messages.mark_sending(proofs, token, ground.now, IN_DOUBT_AFTER)
        return [draft for draft in drafts if draft.message.id in sending]

    def _read(self, uow: UnitOfWork, drafts: Sequence[Draft]) -> _Ground:
        messages = [draft.message for draft in drafts]
        people = uow.contacts.lock({message.contact_id for message in messages})
        waiting = uow.events.unprocessed(people)
        runs = uow.enrolments.load({message.enrolment_id for message in messages})
        events = [event for batch in waiting.values() for event in batch]
        addresses = {
            (message.channel, address)
            for message in messages
            if (person := people.get(message.contact_id))
            and (address := person.address(message.channel))
        }
        return _Ground(
            people=people,
            runs=runs,
            waiting=waiting,
            backdrop=read_backdrop(uow, runs.values(), people, events),
            suppressed=uow.suppressions.find(addresses),
            now=self._clock.now(),
        )

    def _verdict(self, draft: Draft, ground: _Ground) -> Verdict:
        message = draft.message
        person, run = ground.people[message.contact_id], ground.runs[message.enrolment_id]
        address = person.address(message.channel)
        states = ground.backdrop.states.get(person.id, ())
        verdict = gate(
            GateFacts(
                message=message,
                contact=person,
                permission=permission(
                    states, message.channel, message.topic or ALL_TOPICS, ground.now
                ),
                suppressed=ground.suppressed.get((message.channel, address or "")),
                exited=run.ended_at is not None or self._exits(run, ground),
                now=ground.now,
            )
        )
        if isinstance(verdict, Allow) and draft.rendered is None:
            return Block(NotSentReason.RENDER_ERROR)
        return verdict

    def _exits(self, run: Enrolment, ground: _Ground) -> bool:
        """Whether an event that journeys have not heard yet ends this run."""
        events = ground.waiting.get(run.contact_id, ())
        if not events:
            return False
        situation = ground.backdrop.situation(self._library, run, ground.now)
        return situation is not None and any(exits_on(situation, event) for event in events)


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


def _change(draft: Draft, verdict: Verdict, now: datetime) -> MessageChange:
    message, record = draft.message, _record(draft, verdict, now)
    match verdict:
        case Block():
            state, reason, until = MessageState.NOT_SENT, verdict.reason.value, None
        case Hold():
            state, reason, until = MessageState.HELD, verdict.reason.value, verdict.until
        case Cancel():
            state, reason, until = MessageState.CANCELLED, verdict.reason.value, None
        case Allow():
            msg = "an allowed message becomes `sending` by mark_sending"
            raise ValueError(msg)
        case _:
            assert_never(verdict)
    return MessageChange(
        id=message.id,
        state=state,
        leaving=WAITING_STATES,
        reason=reason,
        not_before=until,
        decision=record,
    )
