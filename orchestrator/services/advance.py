"""Due runs go on: claimed in batches under a lease, decided purely, written with their outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.enrolments import EndReason, Enrolment
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import Event
from orchestrator.domain.identifiers import ContactId, EnrolmentId
from orchestrator.ports import Clock, Database, FlowLibrary, Ids, Lane, Metrics, UnitOfWork
from orchestrator.services.decisions import Decisions
from orchestrator.services.listeners import awaited
from orchestrator.services.moving import bring_along
from orchestrator.services.runs import read_backdrop

BATCH: Final = 200
LEASE: Final = timedelta(seconds=20)
"""After a crash, claimed runs are taken up again this much later."""
TRIES: Final = 5
CAREFUL: Final = 2
"""From so many tries on a run is advanced alone: it may have killed its worker."""
HEARING: Final = timedelta(milliseconds=300)
"""How long a run waits for its person's events to be heard first."""
RETRY_AFTER: Final = timedelta(seconds=10)


class Advancing:
    """Takes due runs a step further."""

    def __init__(
        self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids, metrics: Metrics
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    async def run_once(self, limit: int = BATCH) -> int:
        """Advance up to a batch of due runs; returns how many were claimed.

        The claim commits first: a run that kills the process is counted, waits for its lease
        to end, and is parked after five tries.
        """
        token = self._ids.new()
        claimed = await self._database.run(Lane.ADVANCE, lambda uow: self._claim(uow, token, limit))
        if claimed:
            await self._database.run(Lane.ADVANCE, lambda uow: self._advance(uow, token, claimed))
        return len(claimed)

    async def retry_once(self) -> int:
        """Advance one run that raised or killed its worker before, all by itself.

        One with five tries behind it is parked, so that it can take nobody else along.
        """
        token = self._ids.new()

        def claim(uow: UnitOfWork) -> list[ContactId]:
            now = self._clock.now()
            parked = uow.enrolments.park_exhausted(now, TRIES)
            self._metrics.count("enrolments_failed", parked)
            return uow.enrolments.claim_due(now, 1, LEASE, token, range(CAREFUL, TRIES))

        claimed = await self._database.run(Lane.ADVANCE, claim)
        if claimed:
            await self._database.run(Lane.ADVANCE, lambda uow: self._advance(uow, token, claimed))
        return len(claimed)

    def _claim(self, uow: UnitOfWork, token: str, limit: int) -> list[ContactId]:
        now = self._clock.now()
        return uow.enrolments.claim_due(now, limit, LEASE, token, range(CAREFUL))

    def _advance(self, uow: UnitOfWork, token: str, contacts: Sequence[ContactId]) -> None:
        """Decide and write. People are locked before runs, as everywhere."""
        people = uow.contacts.lock(set(contacts))
        claimed = uow.enrolments.claimed(token, contacts)
        now = self._clock.now()
        ready = self._after_hearing(uow, claimed, now)
        runs = bring_along(uow, self._library, ready, now)
        backdrop = read_backdrop(uow, runs, people)
        decisions = Decisions(self._ids)
        orphans: list[EnrolmentId] = []
        failed: list[EnrolmentId] = []
        for run in runs:
            try:
                situation = backdrop.situation(self._library, run, now)
                if situation is None:
                    orphans.append(run.id)
                else:
                    decisions.take(situation)
            except TransientError:
                raise
            except Exception:  # noqa: BLE001 - one bad run must not hold up the others
                failed.append(run.id)
        uow.enrolments.save(decisions.updates)
        decisions.write_effects(uow, now)
        uow.enrolments.end(orphans, EndReason.ERASED.value, now)
        uow.enrolments.fail(failed, now, now + RETRY_AFTER, TRIES)
        decisions.count_ended(self._metrics)
        self._metrics.count("enrolments_failed", len(failed))

    def _after_hearing(
        self, uow: UnitOfWork, claimed: Sequence[Enrolment], now: datetime
    ) -> list[Enrolment]:
        """The runs for which no event is left to hear; the others wait for that.

        A run that waits for an event must not give up on one that is stored already.
        """
        unheard = uow.events.unheard({run.contact_id for run in claimed}, parked=False)
        places = {(run.flow, run.version) for run in claimed}
        listened = {place: awaited(self._library, *place) for place in places}
        nameless = uow.events.unheard_nameless(frozenset().union(*listened.values()))
        waiting = {
            run.id
            for run in claimed
            if run.contact_id in unheard
            or any(
                event.type in listened[run.flow, run.version] and _in_time(event, run)
                for event in nameless
            )
        }
        uow.enrolments.postpone(waiting, now + HEARING)
        return [run for run in claimed if run.id not in waiting]


def _in_time(event: Event, run: Enrolment) -> bool:
    """Whether an event came before its run fell due: a later one cannot change what is decided."""
    return run.due_at is None or event.received_at <= run.due_at
