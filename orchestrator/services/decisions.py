"""What decisions about runs come to: where they stand, and their outbox, written in one commit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.domain.consent import ConsentEntry
from orchestrator.domain.enrolments import EnrolmentUpdate
from orchestrator.domain.flows import IfLate, Lateness
from orchestrator.domain.gate import PUNCTUAL
from orchestrator.domain.identifiers import EnrolmentId, MessageId
from orchestrator.domain.journey import PlannedSend, Situation, advance
from orchestrator.domain.messages import NewMessage
from orchestrator.ports import Ids, Metrics, UnitOfWork
from orchestrator.services.consent import entries_for_withdrawal


@dataclass(slots=True)
class Decisions:
    """The decisions of a batch, gathered in memory and written at its end."""

    ids: Ids
    updates: list[EnrolmentUpdate] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    consents: list[ConsentEntry] = field(default_factory=list)

    def take(self, situation: Situation) -> EnrolmentUpdate:
        """Decide about a run; of one for which that raises nothing is kept."""
        decision = advance(situation)
        update, send = decision.update, decision.send
        messages = [] if send is None else [_message(situation, send, self.ids)]
        consents = [
            entry
            for step in decision.withdrawals
            for entry in entries_for_withdrawal(step, situation)
        ]
        self.updates.append(update)
        self.messages += messages
        self.consents += consents
        return update

    def write_effects(
        self, uow: UnitOfWork, now: datetime, without: Collection[EnrolmentId] = ()
    ) -> None:
        """Queue the messages and record the consent of all runs but those in `without`."""
        uow.messages.insert([one for one in self.messages if one.enrolment_id not in without], now)
        if self.consents:
            uow.consents.append(self.consents, now)

    def count_ended(self, metrics: Metrics) -> None:
        """Say how many runs are over, and why."""
        for update in self.updates:
            if update.ended_at is not None:
                metrics.count("enrolments_ended", reason=update.end_reason or "")


def _message(situation: Situation, send: PlannedSend, ids: Ids) -> NewMessage:
    """The outbox row of a send step."""
    step = send.step
    return NewMessage(
        id=MessageId(ids.new()),
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
        expires_at=_expiry(send, step.if_late),
    )


def _expiry(send: PlannedSend, rule: IfLate) -> datetime | None:
    """Until when a message may go, reckoned from when its run was due.

    An engine that stood still is no less a delay than a provider that did.
    """
    allowed = PUNCTUAL if rule.lateness is Lateness.SKIP else rule.within
    return None if allowed is None else send.due_at + allowed
