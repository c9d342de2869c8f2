"""Steps as written to a flat program: ids, targets, and the names each step may use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.domain.expressions import RESERVED, Expression, StepOutput
from orchestrator.domain.flows import Channel, MessageClass, Policy, Step
from orchestrator.flowfile import steps as keys
from orchestrator.flowfile.names import Names, Place
from orchestrator.flowfile.source import Scalar, Span
from orchestrator.flowfile.step_compilers import COMPILERS
from orchestrator.flowfile.steps import branches, first_id, id_of
from orchestrator.flowfile.structures import Placed, each_value
from orchestrator.flowfile.verbs import Said

_OUTPUTS: Final = {
    "send": StepOutput.SEND,
    "coupon": StepOutput.COUPON,
    "webhook": StepOutput.WEBHOOK,
}
_NOT_BEFORE: Final = "the step of that name is not before this one"
Outputs = dict[str, StepOutput]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the flow says for all of its sends."""

    flow_class: MessageClass
    topic: str | None
    via: tuple[Channel, ...]
    own: tuple[Policy, ...]
    default: Policy
    locale: str
    confirms_sign_up: bool
    """Whether the flow is on contact.subscribed, whose service mail needs no topic."""


@dataclass(slots=True)
class ProgramWriter:
    """Writes the steps of one flow."""

    names: Names
    place: Place
    setting: Setting
    program: dict[str, Step] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    untopical: list[Span] = field(default_factory=list)
    """Sends whose class needs a topic that nobody names."""
    all_ids: dict[str, Span] = field(default_factory=dict)
    verbs: dict[str, str] = field(default_factory=dict)

    def write(self, steps: tuple[Said, ...]) -> str | None:
        """The id of the first step."""
        self._collect_ids(steps)
        self._write_list(steps, "", None, {})
        return first_id(steps, "", None)

    def _collect_ids(self, steps: tuple[Said, ...]) -> None:
        for said in steps:
            name = said.fields.get(keys.ID)
            if name is not None:
                self._take_id(name)
                self.verbs.setdefault(name.value, said.verb)
            for _, branch in branches(said):
                self._collect_ids(branch)

    def _take_id(self, name: Placed[str]) -> None:
        log = self.names.log
        span = Span(name.node.start, name.node.end)
        earlier = self.all_ids.setdefault(name.value, span)
        if earlier is not span:
            line, _ = log.source.place(earlier.start)
            message = f'the id "{name.value}" is taken by the step on line {line}'
            log.wrong("name", span, message, f"write id: {name.value}_2")
        elif name.value in RESERVED or name.value in self.names.segments:
            what = "a segment" if name.value in self.names.segments else "a name of its own"
            message = f'"{name.value}" is {what} in conditions, so no step can have it as id'
            log.wrong("name", span, message, f"write id: {name.value}_step")

    def _write_list(
        self, steps: tuple[Said, ...], prefix: str, after: str | None, seen: Outputs
    ) -> Outputs:
        """Write a list of steps that goes on at `after`; the outputs known behind it."""
        for index, said in enumerate(steps):
            step_id = id_of(said, prefix, index)
            following = steps[index + 1] if index + 1 < len(steps) else None
            target = id_of(following, prefix, index + 1) if following else after
            seen = self._write_step(said, step_id, target, seen)
            if said.verb == "exit" and following:
                message = "this step is never reached: the step above ends the run"
                self.names.log.doubt("step", following.span, message, "remove it, or the exit")
        return seen

    def _write_step(self, said: Said, step_id: str, target: str | None, seen: Outputs) -> Outputs:
        self.spans.setdefault(step_id, said.span)
        compiled = COMPILERS[said.verb](self, said.fields, step_id, target, self._at(seen))
        if compiled is not None:
            self.program.setdefault(step_id, compiled)
        output = _OUTPUTS.get(said.verb)
        named = {step_id: output} if output and said.fields.has(keys.ID) else {}
        inside = behind = {**seen, **named}
        for name, branch in branches(said):
            behind = {**behind, **self._write_list(branch, f"{step_id}.{name}.", target, inside)}
        return behind

    def _at(self, seen: Outputs) -> Place:
        """The names of the flow with the outputs of the steps before."""
        place = self.place.with_steps(seen)
        why = {name: self._why_silent(name) for name in self.all_ids if name not in place.roots}
        return replace(place, elsewhere={**place.elsewhere, **why})

    def _why_silent(self, step_id: str) -> str:
        verb = self.verbs[step_id]
        return _NOT_BEFORE if verb in _OUTPUTS else f'a "{verb}" step has no output'

    def values(
        self, found: dict[str, Placed[Scalar]] | None, place: Place
    ) -> dict[str, Expression]:
        """Named expressions."""
        compiled = {
            name: self.names.expression(scalar, place, None)
            for name, scalar, _ in each_value(found)
        }
        return {name: value for name, value in compiled.items() if value is not None}
