"""Steps as a flat program: each names the step after it, so rejoining branches is data.

A step's `id` is the author's, or its place in the file counted from one: `3` is the third
step, `2.otherwise.1` the first step of the second one's `otherwise`; below a step with an
author's id the place starts there (`nudge.otherwise.1`). A target of None ends the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.domain.durations import Duration
from orchestrator.domain.flows.brand import Channel, LocalText, MessageClass
from orchestrator.domain.flows.policies import ClockWindow, IfLate, NotAllowed, Policy
from orchestrator.domain.flows.triggers import EventMatch

if TYPE_CHECKING:
    from orchestrator.domain.expressions import Expression


@dataclass(frozen=True, slots=True)
class SendStep:
    """Send a template; class, topic and policy are already those that hold here."""

    id: str
    template: str
    via: tuple[Channel, ...]
    flow_class: MessageClass
    topic: str | None
    policy: Policy
    if_late: IfLate
    if_not_allowed: NotAllowed
    next: str | None
    subject: LocalText | None = None
    to: str | None = None
    attach: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Wait for a span, or for what an expression yields."""

    id: str
    duration: Duration | Expression
    next: str | None


@dataclass(frozen=True, slots=True)
class ClockMoment:
    """The next time the recipient's clock shows `at`, on `weekday` (Monday is 0) or `on` a date."""

    at: time
    weekday: int | None = None
    on: date | None = None


Moment = ClockMoment | ClockWindow


@dataclass(frozen=True, slots=True)
class WaitUntilStep:
    """Wait for a moment, an open window, or the time an expression yields."""

    id: str
    moment: Moment | Expression
    next: str | None


class Since(StrEnum):
    """From when on an awaited event counts."""

    STEP = "step"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class WaitForStep:
    """Wait for a condition or one of several events, at most `within`.

    Exactly one of `condition` and `events` is set. `then` and `otherwise` are the steps to
    go to, with the step that follows where the author wrote no branch. Here and in the other
    steps that branch, `next` is where the branches meet again; a run never goes there straight
    from this step unless a target says so.
    """

    id: str
    condition: Expression | None
    events: tuple[EventMatch, ...]
    within: Duration
    since: Since
    then: str | None
    otherwise: str | None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class IfStep:
    """Go one way or the other."""

    id: str
    condition: Expression
    then: str | None
    otherwise: str | None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One way of a choice."""

    condition: Expression
    then: str | None


@dataclass(frozen=True, slots=True)
class ChooseStep:
    """Go the way of the first case that holds."""

    id: str
    cases: tuple[Case, ...]
    otherwise: str | None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One arm of an experiment."""

    name: str
    weight: int
    then: str | None


@dataclass(frozen=True, slots=True)
class ExperimentStep:
    """Draw one variant per person, in proportion to the weights."""

    id: str
    name: str
    variants: tuple[Variant, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class SetStep:
    """Write attributes of the contact."""

    id: str
    values: Mapping[str, Expression]
    next: str | None


@dataclass(frozen=True, slots=True)
class TagStep:
    """Put tags on the contact, or take them off."""

    id: str
    add: tuple[str, ...]
    remove: tuple[str, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class CouponStep:
    """Get a code: a fixed one, one from a pool, or (with neither) one made by the shop.

    At most one of `percent` and `amount` says what it is worth.
    """

    id: str
    next: str | None
    percent: Decimal | None = None
    amount: Decimal | None = None
    code: str | None = None
    pool: str | None = None
    prefix: str = ""
    valid: Duration | None = None
    min_total: Decimal | None = None


@dataclass(frozen=True, slots=True)
class WebhookStep:
    """Call somebody else's server; its answer is the step's output."""

    id: str
    url: str
    body: Mapping[str, Expression]
    secret: str | None
    next: str | None


@dataclass(frozen=True, slots=True)
class EmitStep:
    """Record an event of the contact."""

    id: str
    event: str
    data: Mapping[str, Expression]
    next: str | None


@dataclass(frozen=True, slots=True)
class StartStep:
    """Enter the contact into another flow."""

    id: str
    flow: str
    data: Mapping[str, Expression]
    key: Expression | None
    next: str | None


@dataclass(frozen=True, slots=True)
class WithdrawStep:
    """Withdraw consent for topics; None means all of them."""

    id: str
    topics: tuple[str, ...] | None
    reason: str
    next: str | None


@dataclass(frozen=True, slots=True)
class ExitStep:
    """End the run."""

    id: str
    reason: str = ""


Step = (
    SendStep
    | WaitStep
    | WaitUntilStep
    | WaitForStep
    | IfStep
    | ChooseStep
    | ExperimentStep
    | SetStep
    | TagStep
    | CouponStep
    | WebhookStep
    | EmitStep
    | StartStep
    | WithdrawStep
    | ExitStep
)
