"""Group commit: many requests share one transaction, and none is answered before it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import IncomingEvent
from orchestrator.ports import Clock, Database, FlowLibrary, Ids, Lane, Metrics, UnitOfWork
from orchestrator.services.ingest import ingest

BATCH: Final = 200
AGAIN: Final = 1.0
"""Seconds between tries while nothing can be stored."""
PROBE: Final = "last written after a failure"
"""The watermark that such a try writes."""
ANSWER_WITHIN: Final = 4.0
"""Seconds until a sender is asked to come back, whatever becomes of its event: Shopify waits five.
What was stored all the same is a duplicate then."""
QUEUE: Final = 5_000
"""Requests that may wait for a commit; beyond that senders are asked to come back."""


@dataclass(slots=True)
class _Waiting:
    event: IncomingEvent
    answer: asyncio.Future[bool]


class Intake:
    """Takes verified events and stores them, a batch to a commit.

    While one commit is under way the next batch gathers, so batches grow with the load and
    a lone request waits for nobody.
    """

    def __init__(
        self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids, metrics: Metrics
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(QUEUE)
        self._worker: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def stuck(self) -> bool:
        """Whether events could not be stored, and nothing since."""
        return self._failing

    async def submit(self, event: IncomingEvent) -> bool:
        """Store an event; True if it was new. Returns only after the commit.

        Raises TransientError when it cannot be stored now; nothing is kept then.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(event, answer))
        except asyncio.QueueFull:
            msg = "too many events are waiting to be stored"
            raise TransientError(msg) from None
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), name="intake")
        return await answer

    async def submit_in_time(self, event: IncomingEvent, patience: float = ANSWER_WITHIN) -> bool:
        """The same for somebody who waits for an answer: a database that hangs tells nothing.

        Raises TransientError as well when `patience` seconds were too few; it may be stored yet.
        """
        try:
            async with asyncio.timeout(patience):
                return await self.submit(event)
        except TimeoutError:
            self._look_again()
            msg = "storing takes too long"
            raise TransientError(msg) from None

    async def close(self) -> None:
        """Store what waits, then stop."""
        if self._probe is not None:
            self._probe.cancel()
        if self._worker is not None:
            with suppress(asyncio.CancelledError):
                await self._worker

    async def _run(self) -> None:
        while not self._queue.empty():
            batch = [self._queue.get_nowait() for _ in range(min(BATCH, self._queue.qsize()))]
            await self._store(batch)

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        """Store a batch; if it is at fault each of it alone, so that none fails its neighbours."""
        try:
            answers = await self._commit([waiting.event for waiting in batch])
        except TransientError as error:
            self._look_again()
            for waiting in batch:
                _answer(waiting, error)
            return
        except Exception as error:  # noqa: BLE001 - every waiting request must get an answer
            if len(batch) == 1:
                _answer(batch[0], error)
            else:
                for waiting in batch:
                    await self._store([waiting])
            return
        self._failing = False
        for waiting, new in zip(batch, answers, strict=True):
            _answer(waiting, new)

    def _look_again(self) -> None:
        """Find out by ourselves when storing works again: senders may stay away for long."""
        self._failing = True
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._write_until_it_works(), name="intake probe")

    async def _write_until_it_works(self) -> None:
        def write(uow: UnitOfWork) -> None:
            now = self._clock.now()
            uow.firings.set_watermark(PROBE, now.isoformat(), now)

        while self._failing:
            await asyncio.sleep(AGAIN)
            with suppress(TransientError):
                await self._database.run(Lane.INTAKE, write)
                self._failing = False

    async def _commit(self, events: Sequence[IncomingEvent]) -> list[bool]:
        book = self._library.book(self._library.live())

        def work(uow: UnitOfWork) -> list[bool]:
            return ingest(uow, events, book, self._ids, self._clock.now())

        answers = await self._database.run(Lane.INTAKE, work)
        for event, new in zip(events, answers, strict=True):
            outcome = "stored" if new else "duplicate"
            self._metrics.count("events_received", source=event.source, outcome=outcome)
        return answers


def _answer(waiting: _Waiting, outcome: object) -> None:
    """Resolve a request that may have gone away meanwhile."""
    if waiting.answer.done():
        return
    if isinstance(outcome, Exception):
        waiting.answer.set_exception(outcome)
    else:
        waiting.answer.set_result(outcome is True)
