"""What a new version of a flow means for people who are inside an older one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from orchestrator.domain.flows import (
    Channel,
    ChooseStep,
    CouponStep,
    EmitStep,
    ExitStep,
    ExperimentStep,
    Flow,
    IfStep,
    SendStep,
    SetStep,
    StartStep,
    Step,
    TagStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WebhookStep,
    WithdrawStep,
)


def targets(step: Step) -> tuple[str | None, ...]:
    """The steps a run may go to from here; None ends it."""
    match step:
        case WaitForStep() | IfStep():
            return (step.then, step.otherwise)
        case ChooseStep():
            return (*(case.then for case in step.cases), step.otherwise)
        case ExperimentStep():
            return tuple(variant.then for variant in step.variants)
        case ExitStep():
            return ()
        case (
            SendStep()
            | WaitStep()
            | WaitUntilStep()
            | SetStep()
            | TagStep()
            | CouponStep()
            | WebhookStep()
            | EmitStep()
            | StartStep()
            | WithdrawStep()
        ):
            return (step.next,)
        case _:
            assert_never(step)


def ahead(flow: Flow, step: str | None) -> list[Step]:
    """The steps a run may still take, the one it stands at included; None is the beginning."""
    found: dict[str, Step] = {}
    waiting = [step or flow.first]
    while waiting:
        name = waiting.pop()
        if name is not None and name not in found and name in flow.program:
            found[name] = flow.program[name]
            waiting += targets(found[name])
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Use:
    """That a step sends a template on a channel."""

    step: str
    channel: Channel
    template: str


def templates_ahead(flow: Flow, step: str | None) -> Iterator[Use]:
    """The templates somebody at a step may still get."""
    for one in ahead(flow, step):
        if isinstance(one, SendStep):
            for channel in one.via:
                yield Use(one.id, channel, one.template)


def destination(old: Flow, new: Flow, step: str) -> str | None:
    """Where somebody at a step of the old flow goes on in the new one; None if nobody says.

    `moved` decides; otherwise the step of the same id. An id that is only a place (`3`,
    `nudge.otherwise.1`) means the same step as long as no step was added, removed or replaced.
    """
    if step in new.moved:
        return new.moved[step]
    target = _renamed(step, new)
    if target not in new.program:
        return None
    same = not _is_place(step) or _outline(old, new) == _outline(new, new)
    return target if same else None


def _is_place(step: str) -> bool:
    return step.rpartition(".")[2].isdigit()


def _renamed(step: str, new: Flow) -> str:
    """An id as the new flow writes it: places below a renamed step begin with its new id."""
    above, rest = step, ""
    while above and above not in new.moved:
        above, _, last = above.rpartition(".")
        rest = f".{last}{rest}"
    return f"{new.moved[above]}{rest}" if above else step


def _outline(flow: Flow, new: Flow) -> list[tuple[str, type[Step], str | None]]:
    """The steps in order, as far as they tell places apart; ids as the new flow writes them."""
    return [
        (
            _renamed(step.id, new) if flow is not new else step.id,
            type(step),
            step.template if isinstance(step, SendStep) and _is_place(step.id) else None,
        )
        for step in flow.steps
    ]
