"""Where a run goes next: a pure decision from its flow, its facts and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from orchestrator.domain.durations import Duration
from orchestrator.domain.enrolments import EndReason, Enrolment, EnrolmentUpdate
from orchestrator.domain.events import Event
from orchestrator.domain.expressions import Expression, Facts, evaluate, holds
from orchestrator.domain.facts import event_names, output_names, run_facts
from orchestrator.domain.flows import (
    ChooseStep,
    ClockMoment,
    ClockWindow,
    CouponStep,
    EventMatch,
    ExitStep,
    Flow,
    FlowBook,
    IfStep,
    NotAllowed,
    SendStep,
    Since,
    Step,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WithdrawStep,
)
from orchestrator.domain.messages import FINAL_STATES, Message, MessageState
from orchestrator.domain.timing import after, next_moment

UNKNOWN_PATIENCE: Final = timedelta(hours=72)
"""How long a run waits for a message in doubt before it goes on."""

HEARD: Final = "~heard"
"""The key of `Enrolment.outputs` under which awaited events that came are kept."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision about one run rests on. `names` are those of its scope."""

    book: FlowBook
    flow: Flow
    enrolment: Enrolment
    names: Mapping[str, Any]
    messages: Sequence[Message]
    zone: tzinfo
    now: datetime

    def scope(self, outputs: Mapping[str, Any]) -> Facts:
        """The scope with these outputs."""
        known = output_names(outputs, self.messages)
        return run_facts(self.book, self.names, self.now, known)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a run does now: where it stands afterwards, and what has to happen with it."""

    update: EnrolmentUpdate
    send: SendStep | None = None
    withdrawals: tuple[WithdrawStep, ...] = ()


@dataclass(slots=True)
class _Walk:
    """A run on its way through its program within one decision."""

    situation: Situation
    step: str | None
    started_at: datetime | None
    outputs: dict[str, Any]
    send: SendStep | None = None
    withdrawals: list[WithdrawStep] = field(default_factory=list)

    def scope(self) -> Facts:
        return self.situation.scope(self.outputs)

    def go(self, target: str | None) -> None:
        self.step, self.started_at = target, self.situation.now if target else None


@dataclass(frozen=True, slots=True)
class _Stay:
    """Remain at the step until `due_at`; None waits for an event."""

    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class _End:
    reason: EndReason


@dataclass(frozen=True, slots=True)
class _Go:
    target: str | None


def advance(situation: Situation) -> Decision:
    """Take steps until one has to wait, or the run is over.

    The deadline of a wait is always reckoned from the moment its step began, so being woken
    early changes nothing. Programs have no cycles, so this ends.
    """
    enrolment = situation.enrolment
    walk = _Walk(situation, enrolment.step, enrolment.step_started_at, dict(enrolment.outputs))
    if walk.step is None:
        walk.go(situation.flow.first)
    while walk.step is not None:
        outcome = _take(situation.flow.program[walk.step], walk)
        match outcome:
            case _Go():
                walk.go(outcome.target)
            case _Stay():
                return _decision(walk, due_at=outcome.due_at)
            case _End():
                return _decision(walk, ended=outcome.reason)
    return _decision(walk, ended=EndReason.COMPLETED)


def _decision(
    walk: _Walk, due_at: datetime | None = None, ended: EndReason | None = None
) -> Decision:
    update = EnrolmentUpdate(
        id=walk.situation.enrolment.id,
        step=walk.step,
        step_started_at=walk.started_at,
        due_at=due_at,
        outputs=walk.outputs,
        ended_at=walk.situation.now if ended else None,
        end_reason=ended.value if ended else None,
    )
    return Decision(update, walk.send, tuple(walk.withdrawals))


def _take(step: Step, walk: _Walk) -> _Go | _Stay | _End:
    match step:
        case SendStep():
            return _take_send(step, walk)
        case WaitStep():
            return _until(_wait_deadline(step, walk), walk, step.next)
        case WaitUntilStep():
            return _until(_moment(step, walk), walk, step.next)
        case WaitForStep():
            return _take_wait_for(step, walk)
        case IfStep():
            return _Go(step.then if holds(step.condition, walk.scope()) else step.otherwise)
        case ChooseStep():
            scope = walk.scope()
            taken = (case.then for case in step.cases if holds(case.condition, scope))
            return _Go(next(taken, step.otherwise))
        case CouponStep():
            walk.outputs[step.id] = _coupon_output(step, walk.situation)
            return _Go(step.next)
        case WithdrawStep():
            walk.withdrawals.append(step)
            return _Go(step.next)
        case ExitStep():
            return _End(EndReason.LEFT)
        case _:
            # Publishing refuses these steps by name until they can be taken.
            msg = f"step {step.id} of {walk.situation.flow.name} cannot be taken yet"
            raise NotImplementedError(msg)


def _until(deadline: datetime, walk: _Walk, target: str | None) -> _Go | _Stay:
    return _Go(target) if deadline <= walk.situation.now else _Stay(deadline)


def _began(walk: _Walk) -> datetime:
    return walk.started_at or walk.situation.now


def _wait_deadline(step: WaitStep, walk: _Walk) -> datetime:
    if isinstance(step.duration, Duration):
        return after(step.duration, _began(walk), walk.situation.zone)
    length = evaluate(step.duration, walk.scope())
    return _began(walk) + (length if isinstance(length, timedelta) else timedelta())


def _moment(step: WaitUntilStep, walk: _Walk) -> datetime:
    if isinstance(step.moment, ClockMoment | ClockWindow):
        return next_moment(step.moment, _began(walk), walk.situation.zone)
    moment = evaluate(step.moment, walk.scope())
    return moment if isinstance(moment, datetime) else walk.situation.now


def _take_wait_for(step: WaitForStep, walk: _Walk) -> _Go | _Stay:
    if _came(step, walk):
        return _Go(step.then)
    deadline = after(step.within, _began(walk), walk.situation.zone)
    return _until(deadline, walk, step.otherwise)


def _came(step: WaitForStep, walk: _Walk) -> bool:
    if step.condition is not None:
        return holds(step.condition, walk.scope())
    return step.id in walk.outputs.get(HEARD, {})


def _take_send(step: SendStep, walk: _Walk) -> _Go | _Stay | _End:
    """Plan the message on arriving; pass once it has come to an end."""
    mine = [message for message in walk.situation.messages if message.step == step.id]
    if not mine:
        walk.send = step
        return _Stay(None)
    last = mine[-1]
    if last.state is MessageState.UNKNOWN:
        since = last.sending_at or last.created_at
        return _until(since + UNKNOWN_PATIENCE, walk, step.next)
    if last.state not in FINAL_STATES:
        return _Stay(None)
    refused = last.state is MessageState.NOT_SENT
    if refused and step.if_not_allowed is NotAllowed.EXIT:
        return _End(EndReason.LEFT)
    return _Go(step.next)


def _coupon_output(step: CouponStep, situation: Situation) -> dict[str, Any]:
    """What a coupon step leaves for templates and later conditions."""
    expires_at = after(step.valid, situation.now, situation.zone) if step.valid else None
    return {
        "code": step.code,
        "percent": None if step.percent is None else str(step.percent),
        "amount": None if step.amount is None else str(step.amount),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }


# Hearing events ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event means to a live run."""

    exits: bool = False
    wakes: bool = False
    outputs: Mapping[str, Any] | None = None


def hear(situation: Situation, event: Event) -> Heard:
    """Whether an event ends a run, or wakes it from what it waits for."""
    flow, enrolment = situation.flow, situation.enrolment
    current = flow.program.get(enrolment.step) if enrolment.step else None
    on_condition = isinstance(current, WaitForStep) and current.condition is not None
    if event.type not in awaited_types(flow):
        return Heard(wakes=on_condition)
    scope = with_event(situation, event)
    if any(matches(match, event, scope) for match in flow.exits):
        return Heard(exits=True)
    outputs = _note_awaited(situation, event, scope)
    awaited = outputs is not None and isinstance(current, WaitForStep)
    return Heard(wakes=on_condition or awaited, outputs=outputs)


def awaited_types(flow: Flow) -> frozenset[str]:
    """The types of events that can end a run of this flow, or that one may wait for."""
    waits = (step for step in flow.program.values() if isinstance(step, WaitForStep))
    awaited = {match.event for step in waits for match in step.events}
    return frozenset(awaited | {match.event for match in flow.exits})


def exits_on(situation: Situation, event: Event) -> bool:
    """Whether an event ends a run: what the gate asks of events nobody has processed yet."""
    if not any(match.event == event.type for match in situation.flow.exits):
        return False
    scope = with_event(situation, event)
    return any(matches(match, event, scope) for match in situation.flow.exits)


def with_event(situation: Situation, event: Event) -> Facts:
    """The run's scope in which `event` is the event that has just arrived."""
    scope = situation.scope(situation.enrolment.outputs)
    return replace(scope, names={**scope.names, "event": event_names(event)})


def matches(match: EventMatch, event: Event, scope: Facts) -> bool:
    """Whether an event is the one meant."""
    return match.event == event.type and (match.where is None or holds(match.where, scope))


def _note_awaited(situation: Situation, event: Event, scope: Facts) -> dict[str, Any] | None:
    """The run's outputs with the awaited event noted, or None if it is of no interest."""
    enrolment = situation.enrolment
    heard = dict(enrolment.outputs.get(HEARD, {}))
    before = len(heard)
    for step in situation.flow.program.values():
        if not isinstance(step, WaitForStep) or step.id in heard:
            continue
        counts = step.since is Since.ENTRY or step.id == enrolment.step
        if counts and any(matches(match, event, scope) for match in step.events):
            heard[step.id] = event.id
    return {**enrolment.outputs, HEARD: heard} if len(heard) > before else None


def key_text(key: Expression | None, scope: Facts) -> str:
    """The key of a run as text; the person alone where the flow has none or it is missing."""
    if key is None:
        return ""
    value = evaluate(key, scope)
    return "" if value is None else str(value)
