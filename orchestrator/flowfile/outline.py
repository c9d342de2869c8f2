"""A journey as a drawing needs it: steps in order, branches beside each other, then together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.flows import (
    ChooseStep,
    ExitStep,
    ExperimentStep,
    FlowBook,
    IfStep,
    Step,
    WaitForStep,
)
from orchestrator.flowfile.explain import (
    Branching,
    sentence,
    ways,
    what_ends_it,
    who_enters,
)

THE_END: Final = "The run ends here"
_BRANCHING: Final = (IfStep, WaitForStep, ChooseStep, ExperimentStep)


@dataclass(frozen=True, slots=True)
class Card:
    """One step, and the ways that begin at it."""

    step: Step
    words: str
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """A branch: what leads into it, and its steps; without steps it goes straight on.

    `ends` tells that nobody comes out of it again.
    """

    title: str
    cards: tuple[Card, ...]
    ends: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """A journey: `start` is its first sentence, `entry` the others on who gets in."""

    start: str
    entry: tuple[str, ...]
    cards: tuple[Card, ...]
    ending: tuple[str, ...]


def outline_flow(book: FlowBook, flow_name: str) -> Outline:
    """The outline of a flow, in the sentences of `explain_flow`.

    Raises:
        KeyError: there is no such flow.
    """
    flow = book.flows[flow_name]
    entry = tuple(who_enters(flow, book))
    cards = tuple(_cards(flow.program, flow.first, None))
    return Outline(entry[0], entry[1:], cards, tuple(what_ends_it(flow)))


def _cards(program: Mapping[str, Step], at: str | None, until: str | None) -> Iterator[Card]:
    """The steps from one up to, not including, another."""
    while at is not None and at != until:
        step = program[at]
        if isinstance(step, ExitStep):
            yield Card(step, f"{THE_END}: {step.reason}" if step.reason else THE_END)
            return
        if isinstance(step, _BRANCHING):
            opening, _ = ways(step)
            yield Card(step, opening, tuple(_ways(program, step)))
        else:
            yield Card(step, sentence(step))
        at = step.next


def _ways(program: Mapping[str, Step], step: Branching) -> Iterator[Way]:
    _, targets = ways(step)
    for title, target in targets:
        cards = tuple(_cards(program, target, step.next))
        yield Way(title.removesuffix(":"), cards, _ends(cards))


def _ends(cards: tuple[Card, ...]) -> bool:
    """Whether every way through these steps ends the run."""
    if not cards:
        return False
    last = cards[-1]
    if last.ways:
        return all(way.ends for way in last.ways)
    return isinstance(last.step, ExitStep)
