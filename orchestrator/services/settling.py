"""What an operator settles by hand: messages in doubt, and rows that were given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from orchestrator.domain.errors import Conflict, NotFound
from orchestrator.domain.identifiers import EnrolmentId, EventId, MessageId
from orchestrator.domain.messages import FailedReason, Message, MessageState
from orchestrator.ports import MessageChange, UnitOfWork

_DOUBT: Final = frozenset({MessageState.UNKNOWN})
# `domain.messages.BY_HAND`: only a person may do this, and only to what failed by an error of
# ours before it was handed to anybody.
_GIVEN_UP: Final = frozenset({MessageState.FAILED})


def resolve_message(
    uow: UnitOfWork, message_id: MessageId, now: datetime, *, resend: bool
) -> Message:
    """Say what became of an `unknown` message: it was sent, or is to be sent again.

    Sending again asks the gate again, as any message does. Raises NotFound, and Conflict for
    a message that is not in doubt.
    """
    message = _message(uow, message_id)
    target = MessageState.QUEUED if resend else MessageState.SENT
    change = MessageChange(
        message_id,
        target,
        _DOUBT,
        not_before=now if resend else None,
        sent_at=None if resend else message.sending_at,
        decision={**message.decision, "resolved": "resend" if resend else "sent"},
    )
    if not uow.messages.apply([change], now):
        raise Conflict(
            f"message {message_id} is {message.state.value}; only unknown ones can be resolved"
        )
    uow.enrolments.wake([message.enrolment_id], now)
    return replace(message, state=target)


def release(uow: UnitOfWork, row_id: str, now: datetime) -> str:
    """Give a parked run, event or message another five tries; returns which it was.

    Raises NotFound for an id that is none of these, Conflict for a row that is not parked.
    """
    if EnrolmentId(row_id) in uow.enrolments.load([EnrolmentId(row_id)]):
        return _released("run", row_id, done=uow.enrolments.unpark(EnrolmentId(row_id), now))
    if EventId(row_id) in uow.events.load([EventId(row_id)]):
        return _released("event", row_id, done=uow.events.unpark(EventId(row_id)))
    message = _message(uow, MessageId(row_id))
    return _released("message", row_id, done=_requeue(uow, message, now))


def _requeue(uow: UnitOfWork, message: Message, now: datetime) -> bool:
    if message.reason != FailedReason.INTERNAL_ERROR:
        return False
    kept = {name: value for name, value in message.decision.items() if name != "stumbles"}
    change = MessageChange(
        message.id, MessageState.QUEUED, _GIVEN_UP, not_before=now, decision=kept
    )
    return bool(uow.messages.apply([change], now))


def _released(kind: str, row_id: str, *, done: bool) -> str:
    if not done:
        raise Conflict(f"{kind} {row_id} is not parked")
    return kind


def _message(uow: UnitOfWork, message_id: MessageId) -> Message:
    message = uow.messages.load([message_id]).get(message_id)
    if message is None:
        raise NotFound(f"there is no run, event or message {message_id}")
    return message
