"""Due runs go on: claimed in batches under a lease, decided purely, written with their outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.consent import ConsentEntry
from orchestrator.domain.enrolments import EndReason, Enrolment, EnrolmentUpdate
from orchestrator.domain.flows import IfLate, Lateness
from orchestrator.domain.gate import PUNCTUAL
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId
from orchestrator.domain.journey import Decision, PlannedSend, Situation, advance
from orchestrator.domain.messages import NewMessage
from orchestrator.ports import Clock, Database, FlowLibrary, Ids, Lane, Metrics, UnitOfWork
from orchestrator.services.consent import entries_for_withdrawal
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


def _expiry(situation: Situation, rule: IfLate) -> datetime | None:
    """Until when a message may go, reckoned from when its run was due.

    An engine that stood still is no less a delay than a provider that did.
    """
    allowed = PUNCTUAL if rule.lateness is Lateness.SKIP else rule.within
    due_at = situation.enrolment.due_at or situation.now
    return None if allowed is None else min(due_at, situation.now) + allowed


@dataclass(slots=True)
class _Outcome:
    """What the decisions of a batch come to, written at once at the end."""

    updates: list[EnrolmentUpdate] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    consents: list[ConsentEntry] = field(default_factory=list)
    orphans: list[EnrolmentId] = field(default_factory=list)
    failed: list[EnrolmentId] = field(default_factory=list)


def _again(run: Enrolment, due_at: datetime) -> EnrolmentUpdate:
    """The run as it stands, due a little later."""
    return EnrolmentUpdate(run.id, run.step, run.step_started_at, due_at, run.outputs)


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
        outcome = _Outcome()
        for run in runs:
            try:
                situation = backdrop.situation(self._library, run, now)
                if situation is None:
                    outcome.orphans.append(run.id)
                else:
                    self._collect(outcome, situation, advance(situation))
            except Exception:  # noqa: BLE001 - one bad run must not hold up the others
                outcome.failed.append(run.id)
        self._write(uow, outcome, now)

    def _after_hearing(
        self, uow: UnitOfWork, claimed: Sequence[Enrolment], now: datetime
    ) -> list[Enrolment]:
        """The runs whose person has no event left to hear; the others wait for that.

        A run that waits for an event must not give up on one that is stored already.
        """
        unheard = uow.events.unheard({run.contact_id for run in claimed}, parked=False)
        postponed = [run for run in claimed if run.contact_id in unheard]
        uow.enrolments.save([_again(run, now + HEARING) for run in postponed])
        return [run for run in claimed if run.contact_id not in unheard]

    def _collect(self, outcome: _Outcome, situation: Situation, decision: Decision) -> None:
        if decision.send is not None:
            outcome.messages.append(self._message(situation, decision.send))
        for step in decision.withdrawals:
            outcome.consents += entries_for_withdrawal(step, situation)
        outcome.updates.append(decision.update)

    def _message(self, situation: Situation, send: PlannedSend) -> NewMessage:
        """The outbox row of a send step."""
        step = send.step
        return NewMessage(
            id=MessageId(self._ids.new()),
            enrolment_id=situation.enrolment.id,
            contact_id=situation.enrolment.contact_id,
            flow=situation.flow.name,
            version=situation.enrolment.version,
            step=step.id,
            channel=send.channel,
            template=step.template,
            message_class=step.flow_class,
            topic=step.topic,
            priority=situation.flow.priority,
            not_before=situation.now,
            expires_at=_expiry(situation, step.if_late),
        )

    def _write(self, uow: UnitOfWork, outcome: _Outcome, now: datetime) -> None:
        """State and outbox in one commit."""
        uow.enrolments.save(outcome.updates)
        uow.messages.insert(outcome.messages, now)
        if outcome.consents:
            uow.consents.append(outcome.consents, now)
        uow.enrolments.end(outcome.orphans, EndReason.ERASED.value, now)
        uow.enrolments.fail(outcome.failed, now, now + RETRY_AFTER, TRIES)
        for update in outcome.updates:
            if update.ended_at is not None:
                self._metrics.count("enrolments_ended", reason=update.end_reason or "")
        self._metrics.count("enrolments_failed", len(outcome.failed))
