"""Journeys in figures, for the marketers' pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.errors import NotFound
from orchestrator.domain.flows import Flow
from orchestrator.domain.identifiers import VersionHash
from orchestrator.domain.moves import targets
from orchestrator.domain.passages import Passed, Place, passed
from orchestrator.ports import FlowLibrary, FlowTotals, SendCount, UnitOfWork

WINDOW: Final = timedelta(days=30)
"""How far back the figures of a journey reach."""


NOBODY: Final = Passed()


@dataclass(frozen=True, slots=True)
class StepFigures:
    """A step in figures: runs that stand there now, and what the window has seen."""

    here: int = 0
    passed: Passed = NOBODY
    sends: tuple[SendCount, ...] = ()


@dataclass(frozen=True, slots=True)
class JourneyFigures:
    """A journey in figures.

    `waiting` runs have not begun yet; `elsewhere` are those at steps that the live version does
    not have.
    """

    inside: int
    entered: int
    finished: int
    waiting: int
    elsewhere: int
    steps: Mapping[str, StepFigures]


def totals(uow: UnitOfWork, now: datetime) -> Mapping[str, FlowTotals]:
    """Each flow's figures of the window; a flow without any is left out."""
    return uow.overview.totals(now - WINDOW)


Standings = Mapping[str, Mapping[str | None, int]]
"""How many runs stand where, by flow and step; those at no step have not begun."""


def standings(uow: UnitOfWork) -> Standings:
    """Where everybody stands now, whatever version they follow."""
    found: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for standing in uow.standings.runs():
        found[standing.flow][standing.step] += standing.runs
    return found


def journey_figures(
    uow: UnitOfWork, library: FlowLibrary, flow: Flow, now: datetime
) -> JourneyFigures:
    """A journey's figures by the steps of the version given; older versions count along.

    Who passed what is told of the runs that entered within the window.
    """
    since = now - WINDOW
    here: dict[str | None, int] = defaultdict(int)
    for standing in uow.standings.runs():
        if standing.flow == flow.name:
            here[standing.step] += standing.runs
    places = uow.overview.places(flow.name, since, with_sends=_branches(flow))
    went = _passed(library, flow.name, places)
    sends: dict[str, list[SendCount]] = defaultdict(list)
    for count in uow.overview.sends(flow.name, since):
        sends[count.step].append(count)
    return JourneyFigures(
        inside=sum(here.values()),
        entered=sum(place.runs for _, place in places),
        finished=sum(place.runs for _, place in places if place.completed),
        waiting=here[None],
        elsewhere=sum(runs for step, runs in here.items() if step and step not in flow.program),
        steps={
            step: StepFigures(here[step], went.get(step, NOBODY), tuple(sends[step]))
            for step in flow.program
        },
    )


def _branches(flow: Flow) -> bool:
    return any(len(set(targets(step))) > 1 for step in flow.steps)


def _passed(
    library: FlowLibrary, flow: str, places: Iterable[tuple[VersionHash, Place]]
) -> Mapping[str, Passed]:
    """Passed runs by step; each version's runs went that version's ways."""
    by_version: dict[VersionHash, list[Place]] = defaultdict(list)
    for version, place in places:
        by_version[version].append(place)
    found: dict[str, Passed] = {}
    for version, mine in by_version.items():
        for step, more in _of_version(library, version, flow, mine).items():
            known = found.get(step, NOBODY)
            found[step] = Passed(known.runs + more.runs, known.exact and more.exact)
    return found


def _of_version(
    library: FlowLibrary, version: VersionHash, flow: str, places: Sequence[Place]
) -> Mapping[str, Passed]:
    try:
        known = library.book(version).flows.get(flow)
    except NotFound:
        return {}  # nobody can read any more which ways there were
    return passed(known, places) if known else {}
