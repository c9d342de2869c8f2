"""People inside an older version of a flow are taken to the live one, if the flow says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.errors import NotFound
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
            await self._database.run(Lane.IMPORT, lambda uow: self._move(uow, flow, people))
            progress.after = people[-1]
        if len(people) < limit:
            progress.finished_at = self._clock.now()
        return len(people)

    def _move(self, uow: UnitOfWork, flow: Flow, people: Sequence[ContactId]) -> None:
        """People are locked before runs, as everywhere: no step is taken meanwhile."""
        uow.contacts.lock(people)
        live = uow.enrolments.live_of(people)
        runs = [run for mine in live.values() for run in mine if run.flow == flow.name]
        bring_along(uow, self._library, runs, self._clock.now())


def bring_along(
    uow: UnitOfWork, library: FlowLibrary, runs: Sequence[Enrolment], now: datetime
) -> list[Enrolment]:
    """The runs as they are once those that are to move have moved; all locked by the caller.

    Asked before a run takes a step, too: an older version's next step may name a template that
    is gone since.
    """
    version = library.live()
    flows = library.book(version).flows
    behind = [
        run
        for run in runs
        if run.version != version
        and run.flow in flows
        and flows[run.flow].on_change is OnChange.MOVE_TO_NEW
    ]
    if not behind:
        return list(runs)
    messages = uow.messages.of_enrolments([run.id for run in behind])
    moves: dict[EnrolmentId, Move] = {}
    for run in behind:
        try:
            old = library.book(run.version).flows[run.flow]
        except NotFound:
            continue  # nobody can read any more where this run stands
        move = _move_of(run, old, flows[run.flow], version, messages.get(run.id, ()))
        if move is not None:
            moves[run.id] = move
    elsewhere = [run.id for run in behind if run.id in moves and moves[run.id].step != run.step]
    uow.messages.cancel_waiting(elsewhere, CancelledReason.MOVED, now)
    uow.standings.move(list(moves.values()), now)
    return [
        replace(run, version=version, step=moves[run.id].step) if run.id in moves else run
        for run in runs
    ]


def _move_of(
    run: Enrolment, old: Flow, new: Flow, version: VersionHash, messages: Sequence[Message]
) -> Move | None:
    """Where a run goes; None where it has to stay with the version it is in."""
    if run.step is None:
        return Move(run.id, version, None)
    target = destination(old, new, run.step)
    mine = [message for message in messages if message.step == run.step]
    if target is None or (target != run.step and _under_way(old, run.step, mine)):
        return None
    return Move(run.id, version, target)


def _under_way(flow: Flow, step: str, messages: Sequence[Message]) -> bool:
    """Whether a run stands at a send of which the message can no longer be withdrawn."""
    sends = isinstance(flow.program[step], SendStep)
    return sends and any(message.state not in WAITING_STATES for message in messages)
