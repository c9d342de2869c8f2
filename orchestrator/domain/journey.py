"""Where a run goes next: a pure decision from its flow, its facts and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any, Final, assert_never

from orchestrator.domain.durations import LONGEST, Duration
from orchestrator.domain.enrolments import EndReason, Enrolment, EnrolmentUpdate
from orchestrator.domain.expressions import (
    EventCounter,
    Expression,
    Facts,
    evaluate,
    holds,
    no_events,
    nodes,
    roots_used,
    segments_used,
    text_of,
)
from orchestrator.domain.facts import output_names, run_facts
from orchestrator.domain.flows import (
    Channel,
    ChooseStep,
    ClockMoment,
    ClockWindow,
    CouponStep,
    ExitStep,
    Flow,
    FlowBook,
    IfStep,
    NotAllowed,
    SendStep,
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

LOOK_AGAIN: Final = timedelta(minutes=15)
"""How often an awaited condition that time alone can change is looked at."""

LONGEST_KEY: Final = 255
"""Characters of a run's key; identities of events are no longer either."""

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
    counter: EventCounter = no_events

    def scope(self, outputs: Mapping[str, Any]) -> Facts:
        """The scope with these outputs."""
        known = output_names(outputs, self.messages)
        return run_facts(self.book, self.names, self.now, known, self.counter)


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """A message to queue; the gate may still choose a later channel of the step.

    `due_at` is what its lateness counts from: when the run came to the step, or, on another
    channel, when the one before had failed.
    """

    step: SendStep
    channel: Channel
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What a run does now: where it stands afterwards, and what has to happen with it."""

    update: EnrolmentUpdate
    send: PlannedSend | None = None
    withdrawals: tuple[WithdrawStep, ...] = ()


@dataclass(slots=True)
class _Walk:
    """A run on its way through its program within one decision."""

    situation: Situation
    step: str | None
    started_at: datetime | None
    outputs: dict[str, Any]
    send: PlannedSend | None = None
    withdrawals: list[WithdrawStep] = field(default_factory=list)

    def scope(self) -> Facts:
        return self.situation.scope(self.outputs)

    def go(self, target: str | None, at: datetime) -> None:
        self.step, self.started_at = target, at if target else None

    @property
    def began(self) -> datetime:
        return self.started_at or self.situation.now


@dataclass(frozen=True, slots=True)
class _Stay:
    """Remain at the step until `due_at`; None waits for an event."""

    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class _End:
    reason: EndReason


@dataclass(frozen=True, slots=True)
class _Go:
    """Take the step `target`, which begins `at` a moment: a wait's end, however late it is."""

    target: str | None
    at: datetime


def advance(situation: Situation) -> Decision:
    """Take steps until one has to wait, or the run is over.

    The deadline of a wait is always reckoned from the moment its step began, so being woken
    early changes nothing. The first step begins with the run and the one behind a wait when
    that was over, so being late changes nothing either. Programs have no cycles, so this ends.
    After a withdrawal the run pauses until it is recorded: what follows may ask for consent.
    """
    walk = _walk_of(situation)
    while walk.step is not None:
        outcome = _take(situation.flow.program[walk.step], walk)
        match outcome:
            case _Go():
                walk.go(outcome.target, outcome.at)
                if walk.withdrawals and walk.step is not None:
                    return _decision(walk, due_at=situation.now)
            case _Stay():
                return _decision(walk, due_at=outcome.due_at)
            case _End():
                return _decision(walk, ended=outcome.reason)
            case _:
                assert_never(outcome)
    return _decision(walk, ended=EndReason.COMPLETED)


def standing(situation: Situation, at: datetime) -> tuple[Step | None, datetime]:
    """The step a run stood at `at` a moment, and when that began.

    Waits that were over by then are behind it, though nobody has taken the run past them yet.
    """
    walk = _walk_of(situation)
    while walk.step is not None:
        step = situation.flow.program[walk.step]
        if not isinstance(step, WaitStep | WaitUntilStep):
            return step, walk.began
        deadline = _deadline(step, walk)
        if deadline > at:
            return step, walk.began
        walk.go(step.next, deadline)
    return None, at


def _walk_of(situation: Situation) -> _Walk:
    """A walk from where a run stands; from its first step if it has not begun yet."""
    run = situation.enrolment
    walk = _Walk(situation, run.step, run.step_started_at, dict(run.outputs))
    if walk.step is None:
        walk.go(situation.flow.first, run.entered_at)
    return walk


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
        case WaitStep() | WaitUntilStep():
            return _until(_deadline(step, walk), walk, step.next)
        case WaitForStep():
            return _take_wait_for(step, walk)
        case IfStep():
            target = step.then if holds(step.condition, walk.scope()) else step.otherwise
            return _Go(target, walk.began)
        case ChooseStep():
            scope = walk.scope()
            taken = (case.then for case in step.cases if holds(case.condition, scope))
            return _Go(next(taken, step.otherwise), walk.began)
        case CouponStep():
            walk.outputs[step.id] = _coupon_output(step, walk.situation)
            return _Go(step.next, walk.began)
        case WithdrawStep():
            walk.withdrawals.append(step)
            return _Go(step.next, walk.began)
        case ExitStep():
            return _End(EndReason.LEFT)
        case _:
            # Publishing refuses these steps by name until they can be taken.
            msg = f"step {step.id} of {walk.situation.flow.name} cannot be taken yet"
            raise NotImplementedError(msg)


def _until(deadline: datetime, walk: _Walk, target: str | None) -> _Go | _Stay:
    return _Go(target, deadline) if deadline <= walk.situation.now else _Stay(deadline)


def _scope_at_start(walk: _Walk) -> Facts:
    """The scope whose `now` is when the step began: `now + days(3)` must not run away."""
    return replace(walk.scope(), now=walk.began)


def _deadline(step: WaitStep | WaitUntilStep, walk: _Walk) -> datetime:
    return _wait_deadline(step, walk) if isinstance(step, WaitStep) else _moment(step, walk)


def _wait_deadline(step: WaitStep, walk: _Walk) -> datetime:
    """When a wait ends; a computed length that is missing or negative ends it at once."""
    began = walk.began
    if isinstance(step.duration, Duration):
        return after(step.duration, began, walk.situation.zone)
    length = evaluate(step.duration, _scope_at_start(walk))
    return (
        began + min(max(length, timedelta()), LONGEST) if isinstance(length, timedelta) else began
    )


def _moment(step: WaitUntilStep, walk: _Walk) -> datetime:
    """The moment waited for, never before the step; a computed one that is missing is its start."""
    began = walk.began
    if isinstance(step.moment, ClockMoment | ClockWindow):
        return next_moment(step.moment, began, walk.situation.zone)
    moment = evaluate(step.moment, _scope_at_start(walk))
    return max(moment, began) if isinstance(moment, datetime) else began


def _take_wait_for(step: WaitForStep, walk: _Walk) -> _Go | _Stay:
    if _came(step, walk):
        return _Go(step.then, walk.situation.now)
    deadline = after(step.within, walk.began, walk.situation.zone)
    outcome = _until(deadline, walk, step.otherwise)
    if isinstance(outcome, _Stay) and step.condition and _changes_by_itself(step.condition):
        return _Stay(min(deadline, walk.situation.now + LOOK_AGAIN))
    return outcome


def _changes_by_itself(condition: Expression) -> bool:
    """Whether a condition can change although nothing happens: it reads the clock somewhere."""
    counts = any(isinstance(node, nodes.CountEvents) for node in nodes.walk(condition.root))
    return counts or "now" in roots_used(condition) or bool(segments_used(condition))


def _came(step: WaitForStep, walk: _Walk) -> bool:
    if step.condition is not None:
        return holds(step.condition, walk.scope())
    return step.id in walk.outputs.get(HEARD, {})


def _take_send(step: SendStep, walk: _Walk) -> _Go | _Stay | _End:
    """Plan the message on arriving, and the next channel's after a rejection; pass at the end."""
    mine = [message for message in walk.situation.messages if message.step == step.id]
    left = channels_left(step, mine)
    rejected = bool(mine) and mine[-1].state is MessageState.FAILED
    if left and (not mine or rejected):
        failed_at = walk.situation.enrolment.due_at or walk.situation.now
        due_at = min(failed_at if mine else walk.began, walk.situation.now)
        walk.send = PlannedSend(step, left[0], due_at)
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
    return _Go(step.next, walk.situation.now)


def channels_left(step: SendStep, messages: Sequence[Message]) -> tuple[Channel, ...]:
    """The channels of a step's fallback order on which none of these messages is."""
    tried = {message.channel for message in messages}
    return tuple(channel for channel in step.via if channel not in tried)


def _coupon_output(step: CouponStep, situation: Situation) -> dict[str, Any]:
    """What a coupon step leaves for templates and later conditions."""
    expires_at = after(step.valid, situation.now, situation.zone) if step.valid else None
    return {
        "code": step.code,
        "percent": None if step.percent is None else str(step.percent),
        "amount": None if step.amount is None else str(step.amount),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }


def key_text(key: Expression | None, scope: Facts) -> str:
    """The key of a run as text; the person alone where the flow has none or it is missing.

    One of more than 255 characters becomes its SHA-256: no index takes every length.
    """
    value = None if key is None else evaluate(key, scope)
    if value is None:
        return ""
    text = text_of(value) or str(value)
    return text if len(text) <= LONGEST_KEY else f"sha256:{sha256(text.encode()).hexdigest()}"
