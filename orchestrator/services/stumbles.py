"""Messages whose handling raised an error of ours: tried again alone, then given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.messages import WAITING_STATES, FailedReason, Message, MessageState
from orchestrator.ports import MessageChange, UnitOfWork

TRIES: Final = 5
FIRST_PAUSE: Final = timedelta(seconds=10)
_COUNTER: Final = "stumbles"


def put_aside(uow: UnitOfWork, messages: Sequence[Message], now: datetime) -> None:
    """Queue messages again for later, twice as late each time; the fifth try was the last.

    A message given up is `failed` with `internal_error`, and its run goes on.
    """
    changes = [_change(message, now) for message in messages]
    uow.messages.apply(changes, now)
    given_up = {change.id for change in changes if change.state is MessageState.FAILED}
    uow.enrolments.wake([m.enrolment_id for m in messages if m.id in given_up], now)


def _change(message: Message, now: datetime) -> MessageChange:
    tries = int(message.decision.get(_COUNTER, 0)) + 1
    record = {**message.decision, _COUNTER: tries}
    if tries >= TRIES:
        reason = FailedReason.INTERNAL_ERROR.value
        return MessageChange(
            message.id, MessageState.FAILED, WAITING_STATES, reason=reason, decision=record
        )
    pause = FIRST_PAUSE * 2 ** (tries - 1)
    return MessageChange(
        message.id,
        MessageState.QUEUED,
        WAITING_STATES,
        not_before=now + pause,
        decision=record,
    )
