"""People inside an older version of a flow are taken to the live one, if the flow says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.flows import Flow, OnChange, SendStep
from orchestrator.domain.identifiers import ContactId, EnrolmentId, VersionHash
from orchestrator.domain.messages import WAITING_STATES, CancelledReason, Message
from orchestrator.domain.moves import destination
from orchestrator.ports import Clock, Database, FlowLibrary, Lane, Move, UnitOfWork

BATCH: Final = 200
LOOK_AGAIN: Final = timedelta(minutes=1)
"""How long after the last one was moved a flow is looked at again, for who could not move yet."""


@dataclass(slots=True)
class _Progress:
    """How far the people of one flow have been moved to a version; lost with the process."""

    version: VersionHash
    after: ContactId | None = None
    finished_at: datetime | None = None


class Moving:
    """Moves runs of `on_change: move_to_new` flows, in batches, until none is left behind.

    A run whose message is just being sent, or is in doubt, at a step that is gone moves once
    it has passed that step.
    """

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._progress: dict[str, _Progress] = {}

    async def run_once(self, limit: int = BATCH) -> int:
        """Look at the next people of one flow; returns how many."""
        version = self._library.live()
        for flow in self._library.book(version).flows.values():
            if flow.on_change is OnChange.MOVE_TO_NEW and self._unfinished(flow, version):
                return await self._go_on(flow, self._progress[flow.name], limit)
        return 0

    def _unfinished(self, flow: Flow, version: VersionHash) -> bool:
        progress = self._progress.get(flow.name)
        if progress is None or progress.version != version:
            self._progress[flow.name] = _Progress(version)
            return True
        if progress.finished_at is None:
            return True
        if self._clock.now() < progress.finished_at + LOOK_AGAIN:
            return False
        self._progress[flow.name] = _Progress(version)
        return True

    async def _go_on(self, flow: Flow, progress: _Progress, limit: int) -> int:
        version, after = progress.version, progress.after
        people = await self._database.query(
            lambda uow: uow.standings.outside(flow.name, version, after, limit)
        )
        if people:
            await self._database.run(
                Lane.IMPORT, lambda uow: self._move(uow, flow, version, people)
            )
            progress.after = people[-1]
        if len(people) < limit:
            progress.finished_at = self._clock.now()
        return len(people)

    def _move(
        self, uow: UnitOfWork, flow: Flow, version: VersionHash, people: Sequence[ContactId]
    ) -> None:
        """People are locked before runs, as everywhere: no step is taken meanwhile."""
        uow.contacts.lock(people)
        runs = [
            run
            for mine in uow.enrolments.live_of(people).values()
            for run in mine
            if run.flow == flow.name and run.version != version
        ]
        messages = uow.messages.of_enrolments([run.id for run in runs])
        moves, cancelled = self._decide(flow, version, runs, messages)
        now = self._clock.now()
        uow.messages.cancel_waiting(cancelled, CancelledReason.MOVED, now)
        uow.standings.move(moves, now)

    def _decide(
        self,
        flow: Flow,
        version: VersionHash,
        runs: Sequence[Enrolment],
        messages: Mapping[EnrolmentId, Sequence[Message]],
    ) -> tuple[list[Move], list[EnrolmentId]]:
        """Where each run goes, and whose waiting messages belong to a step that is gone."""
        moves: list[Move] = []
        cancelled: list[EnrolmentId] = []
        for run in runs:
            if run.step is None:
                moves.append(Move(run.id, version, None))
                continue
            old = self._library.book(run.version).flows[run.flow]
            target = destination(old, flow, run.step)
            mine = [one for one in messages.get(run.id, ()) if one.step == run.step]
            if target is None or (target != run.step and _under_way(old, run.step, mine)):
                continue
            moves.append(Move(run.id, version, target))
            if target != run.step:
                cancelled.append(run.id)
        return moves, cancelled


def _under_way(flow: Flow, step: str, messages: Sequence[Message]) -> bool:
    """Whether a run stands at a send of which the message can no longer be withdrawn."""
    sends = isinstance(flow.program[step], SendStep)
    return sends and any(message.state not in WAITING_STATES for message in messages)
