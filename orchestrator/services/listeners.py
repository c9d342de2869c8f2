"""Who may wait for an event that names nobody, in whatever version their run is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.errors import NotFound
from orchestrator.domain.hearing import awaited_types
from orchestrator.domain.identifiers import VersionHash
from orchestrator.ports import Clock, FlowLibrary, UnitOfWork

LOOK_AGAIN: Final = timedelta(seconds=10)
"""How long it is remembered which older versions people are in: counting reads every live run."""


class Listeners:
    """The flows whose runs an event can end or wake, those of older versions included."""

    def __init__(self, library: FlowLibrary, clock: Clock) -> None:
        self._library = library
        self._clock = clock
        self._inhabited: set[tuple[str, VersionHash]] = set()
        self._looked_at: datetime | None = None

    def flows(self, uow: UnitOfWork, types: Collection[str]) -> list[str]:
        """The flows of which some live run may await one of these types."""
        now = self._clock.now()
        if self._looked_at is None or not now - LOOK_AGAIN < self._looked_at <= now:
            self._inhabited = {(one.flow, one.version) for one in uow.standings.runs()}
            self._looked_at = now
        live = self._library.live()
        self._inhabited |= {(name, live) for name in self._library.book(live).flows}
        wanted = frozenset(types)
        return sorted(
            {place[0] for place in self._inhabited if awaited(self._library, *place) & wanted}
        )


def awaited(library: FlowLibrary, flow: str, version: VersionHash) -> frozenset[str]:
    """What runs of a flow listen for; nothing where nobody can read the version any more."""
    try:
        return awaited_types(library.book(version).flows[flow])
    except NotFound:
        return frozenset()
