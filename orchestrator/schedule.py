"""The only owner of APScheduler: a handful of ticks in memory, none per contact.

A tick is a wake-up and nothing more: what is due stands in the database, so a tick that is
missed, late or doubled changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from orchestrator.domain.errors import TransientError

log = logging.getLogger(__name__)

STALL: Final = 20
"""A tick that has not run for this many of its intervals is woken: the wall clock jumped."""
GUARD: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Tick:
    """Periodic work. `run` does one batch and returns how much it found.

    While it finds a full batch it is run again at once.
    """

    name: str
    every: timedelta
    run: Callable[[], Awaitable[int]]
    batch: int | None = None


class Ticks:
    """Runs ticks on the event loop until stopped; one that raises is logged and goes on.

    What passes by itself (a database that is away, a full disk) is one line when it begins and
    one when it is over: ticks try again many times a second, and the log may lie on that disk.
    """

    def __init__(self, ticks: Sequence[Tick]) -> None:
        # Its own warnings say only that a tick is still at work, which is normal here.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._ticks = {tick.name: tick for tick in ticks}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._ran_at: dict[str, float] = {}
        self._running: set[str] = set()
        self._nudged: set[str] = set()
        self._trouble: dict[str, str] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._guard: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; must be called on the event loop."""
        for tick in self._ticks.values():
            self._scheduler.add_job(
                self._run,
                IntervalTrigger(seconds=tick.every.total_seconds(), timezone=UTC),
                args=[tick],
                id=tick.name,
                next_run_time=datetime.now(UTC),
            )
        self._scheduler.start()
        self._guard = asyncio.create_task(self._watch(), name="tick guard")

    async def stop(self) -> None:
        """Begin no more ticks, and wait for those at work."""
        if self._stopping:
            await self._idle.wait()
            return
        self._stopping = True
        if self._guard is not None:
            self._guard.cancel()
            with suppress(asyncio.CancelledError):
                await self._guard
        if self._scheduler.running:
            self._scheduler.pause()
        await self._idle.wait()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # it happens on the loop's next turn

    def nudge(self, name: str) -> None:
        """Run a tick as soon as may be: one at work runs once more, for it may have looked already.

        Raises KeyError for a name that is no tick's; before `start` and after `stop` nothing
        happens.
        """
        tick = self._ticks[name]
        if self._stopping or not self._scheduler.running or name in self._nudged:
            return
        self._nudged.add(name)
        if name not in self._running:
            self._scheduler.modify_job(tick.name, next_run_time=datetime.now(UTC))

    async def _run(self, tick: Tick) -> None:
        if self._stopping:
            return
        self._running.add(tick.name)
        self._idle.clear()
        try:
            while await self._more(tick) and not self._stopping:
                pass
            self._works(tick)
        except TransientError as error:
            self._waits(tick, str(error))
        except Exception:
            log.exception("a tick failed and will be tried again", extra={"tick": tick.name})
        finally:
            self._running.discard(tick.name)
            if not self._running:
                self._idle.set()
            self._ran_at[tick.name] = asyncio.get_running_loop().time()

    def _waits(self, tick: Tick, why: str) -> None:
        """Note what keeps a tick from its work; it is told once, whichever ticks it meets."""
        if why not in self._trouble.values():
            log.warning("work waits and is tried again", extra={"tick": tick.name, "why": why})
        self._trouble[tick.name] = why

    def _works(self, tick: Tick) -> None:
        if self._trouble.pop(tick.name, None) is not None and not self._trouble:
            log.info("work goes on again")

    async def _more(self, tick: Tick) -> bool:
        """Run a tick; whether there is more for it to do at once."""
        self._nudged.discard(tick.name)
        found = await tick.run()
        full = tick.batch is not None and found >= tick.batch
        return full or tick.name in self._nudged

    async def _watch(self) -> None:
        """Wake ticks that a wall clock set back would keep asleep for as long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(GUARD.total_seconds())
            for tick in self._ticks.values():
                patience = max(GUARD, tick.every * STALL).total_seconds()
                last = self._ran_at.get(tick.name)
                asleep = last is not None and loop.time() - last > patience
                if asleep and tick.name not in self._running:
                    self._nudged.discard(tick.name)
                    self.nudge(tick.name)
