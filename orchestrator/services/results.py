"""What providers answered, written in batches; nothing is sent while this cannot be stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from orchestrator.domain.errors import TransientError
from orchestrator.domain.identifiers import EnrolmentId
from orchestrator.domain.messages import FailedReason, Message, MessageState
from orchestrator.domain.retries import retry_at
from orchestrator.ports import (
    Attempt,
    Clock,
    Database,
    Delivery,
    DeliveryOutcome,
    Lane,
    MessageChange,
    UnitOfWork,
)

log = logging.getLogger(__name__)

BATCH: Final = 200
GATHER: Final = 0.005
"""Seconds for which results gather before they are written together."""
AGAIN: Final = 1.0
"""Seconds between tries while results cannot be stored."""

_FROM_SENDING: Final = frozenset({MessageState.SENDING})
# A late answer settles what an expired lease had put in doubt.
_IN_FLIGHT: Final = frozenset({MessageState.SENDING, MessageState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Result:
    """One message's way to a provider and back."""

    message: Message
    locale: str
    provider: str
    delivery: Delivery
    started_at: datetime
    finished_at: datetime

    @property
    def number(self) -> int:
        """Which try this was, from 1."""
        return self.message.attempts + 1

    @property
    def answered_by(self) -> str:
        """The provider that answered, where one of several was asked."""
        return self.delivery.provider or self.provider


class Results:
    """Gathers results and writes them. `draw` gives numbers from 0 to 1 that spread retries."""

    def __init__(self, database: Database, clock: Clock, draw: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._draw = draw
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def stuck(self) -> bool:
        """Whether results are known only to this process, because storing them failed."""
        return self._failing

    async def store(self, result: Result) -> None:
        """Write a result, together with others; returns once that is done.

        Whoever waits for it keeps the connection: were it given away sooner, more messages
        than there are connections would be in doubt after a crash.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((result, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="results")
        await written

    async def _write_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER)
            batch = self._waiting[:BATCH]
            self._failing = not await self._write([result for result, _ in batch])
            if self._failing:
                await asyncio.sleep(AGAIN)
                continue
            del self._waiting[: len(batch)]
            for _, written in batch:
                if not written.done():
                    written.set_result(None)

    async def _write(self, batch: Sequence[Result]) -> bool:
        """Whether a batch has been dealt with.

        A result that cannot be written though the database is well is logged and let go: its
        message stays `sending` until its lease ends, and is `unknown` then.
        """

        def work(uow: UnitOfWork) -> None:
            write_results(uow, batch, self._clock, self._draw)

        try:
            await self._database.run(Lane.RESULTS, work)
        except TransientError:
            return False
        except Exception:
            if len(batch) > 1:
                return all([await self._write([result]) for result in batch])
            log.exception("a result was lost", extra={"message_id": batch[0].message.id})
        return True


def write_results(
    uow: UnitOfWork, batch: Sequence[Result], clock: Clock, draw: Callable[[], float]
) -> None:
    """Settle messages and wake their runs, all in one transaction."""
    now = clock.now()
    changed = uow.messages.apply([_change(result, now, draw()) for result in batch], now)
    tried = [one for one in batch if one.delivery.outcome is not DeliveryOutcome.POSTPONED]
    uow.messages.record_attempts([_attempt(result) for result in tried])
    woken = {
        result.message.enrolment_id
        for result in tried
        if result.message.id in changed and result.delivery.outcome is not DeliveryOutcome.RETRY
    }
    uow.enrolments.wake(woken, now)


def doubt_expired(uow: UnitOfWork, clock: Clock, limit: int = BATCH) -> int:
    """Call `unknown` what has been `sending` beyond its lease; it is never sent again blindly."""
    now = clock.now()
    lost = uow.messages.expired_sending(now, limit)
    changes = [MessageChange(m.id, MessageState.UNKNOWN, _FROM_SENDING) for m in lost]
    uow.messages.apply(changes, now)
    woken: set[EnrolmentId] = {message.enrolment_id for message in lost}
    uow.enrolments.wake(woken, now)
    return len(lost)


def _change(result: Result, now: datetime, draw: float) -> MessageChange:
    delivery = result.delivery
    match delivery.outcome:
        case DeliveryOutcome.SENT:
            return MessageChange(
                result.message.id,
                MessageState.SENT,
                _IN_FLIGHT,
                sent_at=result.finished_at,
                provider=result.answered_by,
                provider_id=delivery.provider_id,
                locale=result.locale,
            )
        case DeliveryOutcome.REJECTED:
            reason = delivery.reason or FailedReason.REJECTED.value
            return _failed(result, reason)
        case DeliveryOutcome.UNKNOWN:
            return MessageChange(
                result.message.id,
                MessageState.UNKNOWN,
                _FROM_SENDING,
                provider=result.answered_by,
                provider_id=delivery.provider_id,
                locale=result.locale,
            )
        case DeliveryOutcome.RETRY:
            again = retry_at(result.number, now, delivery.retry_after, draw)
            if again is None:
                return _failed(result, FailedReason.PROVIDER_ERROR.value)
            return MessageChange(
                result.message.id, MessageState.QUEUED, _FROM_SENDING, not_before=again
            )
        case DeliveryOutcome.POSTPONED:
            # As if it had never been claimed: due since when it was, with the tries it had.
            before = result.message.attempts
            return MessageChange(
                result.message.id, MessageState.QUEUED, _FROM_SENDING, attempts=before
            )
        case _:
            assert_never(delivery.outcome)


def _failed(result: Result, reason: str) -> MessageChange:
    return MessageChange(
        result.message.id,
        MessageState.FAILED,
        _IN_FLIGHT,
        reason=reason,
        provider=result.answered_by,
        locale=result.locale,
    )


def _attempt(result: Result) -> Attempt:
    delivery = result.delivery
    return Attempt(
        message_id=result.message.id,
        number=result.number,
        provider=result.answered_by,
        started_at=result.started_at,
        finished_at=result.finished_at,
        outcome=delivery.outcome.value,
        code=delivery.code,
        detail=delivery.detail,
    )
