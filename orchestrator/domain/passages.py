"""Who went where: counted from where runs stand and what they sent, as no way is written down.

A run stores its step, and each send step it passed left a message. In a program without cycles
that tells its way, but for branches that send nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.flows import Flow, SendStep
from orchestrator.domain.moves import ahead, targets


@dataclass(frozen=True, slots=True)
class Place:
    """Runs of one flow that stand, or ended, at the same step after the same sends.

    `step` None is before the first step, or behind the last one if `completed`.
    """

    step: str | None
    completed: bool
    sent: frozenset[str]
    runs: int


@dataclass(frozen=True, slots=True)
class Passed:
    """How many runs have left a step behind; `exact` is false where there may be more."""

    runs: int = 0
    exact: bool = True


def passed(flow: Flow, places: Iterable[Place]) -> dict[str, Passed]:
    """For each step, the runs that went through it and on."""
    ways = _Ways(flow)
    sure: dict[str, int] = defaultdict(int)
    unsure: set[str] = set()
    for place in places:
        certain, possible = ways.behind(place)
        for step in certain:
            sure[step] += place.runs
        unsure |= possible
    return {step: Passed(sure[step], step not in unsure) for step in flow.program}


class _Ways:
    """The ways through a program, counted."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._sends = {step.id for step in flow.steps if isinstance(step, SendStep)}
        self._order = _in_order(flow)
        self._nexts = {name: set(targets(flow.program[name])) for name in self._order}

    def behind(self, place: Place) -> tuple[set[str], set[str]]:
        """The steps that these runs have passed, and those that they may have passed."""
        if self._flow.first is None or (place.step is None and not place.completed):
            return set(), set()
        goal = place.step
        needed = (place.sent & self._sends) - {goal}
        to = self._counts_to(needed)
        whole = len(needed)
        total = to[goal].get(whole, 0)
        if not total:
            return set(), set()  # moved from another version: its way was another one
        after = self._counts_from(needed, goal)
        through = {
            name: sum(to[name].get(n, 0) * after[name].get(whole - n, 0) for n in range(whole + 1))
            for name in self._order
            if name != goal
        }
        certain = {name for name, ways in through.items() if ways == total}
        return certain, {name for name, ways in through.items() if 0 < ways < total}

    def _counts_to(self, needed: frozenset[str]) -> Mapping[str | None, Mapping[int, int]]:
        """For each step, how many ways lead there past so many of the needed sends."""
        counts: dict[str | None, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        counts[self._flow.first][0] = 1
        for name in self._order:
            for sends, ways in list(counts[name].items()):
                if self._open(name, needed):
                    for target in self._nexts[name]:
                        counts[target][sends + (name in needed)] += ways
        return counts

    def _counts_from(
        self, needed: frozenset[str], goal: str | None
    ) -> Mapping[str | None, Mapping[int, int]]:
        """For each step, how many ways lead on to the goal past so many of the needed sends."""
        counts: dict[str | None, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        counts[goal][0] = 1
        for name in reversed(self._order):
            if name != goal and self._open(name, needed):
                for target in self._nexts[name]:
                    for sends, ways in list(counts[target].items()):
                        counts[name][sends + (name in needed)] += ways
        return counts

    def _open(self, name: str, needed: frozenset[str]) -> bool:
        """Whether these runs can have passed a step: a send they did not make they did not."""
        return name not in self._sends or name in needed


def _in_order(flow: Flow) -> Sequence[str]:
    """The reachable steps, each behind all that lead to it."""
    reachable = {step.id for step in ahead(flow, None)}
    left: dict[str, int] = dict.fromkeys(reachable, 0)
    for name in reachable:
        for target in set(targets(flow.program[name])) & reachable:
            left[target or ""] += 1
    free = [name for name, number in left.items() if not number]
    found: list[str] = []
    while free:
        name = free.pop()
        found.append(name)
        for target in set(targets(flow.program[name])) & reachable:
            left[target or ""] -= 1
            if not left[target or ""]:
                free.append(target or "")
    return found
