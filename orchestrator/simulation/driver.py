"""Virtual time passes: the clock jumps to wherever something falls due, and the ticks run there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator.bootstrap.engine import Engine
from orchestrator.bootstrap.virtual import VirtualClock
from orchestrator.daemon.ticks import SHORT, worker_ticks
from orchestrator.ports import DueCounts
from orchestrator.schedule import Tick

MOST_ROUNDS: Final = 1_000
"""Rounds of ticks at one moment after which the engine is taken for one that never rests."""
NUDGE: Final = timedelta(seconds=1)
"""How far the clock moves where something stays due although all ticks have run."""
EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

_BY_CHANNEL: Final = "dispatch "

NextLook = Callable[[datetime], datetime | None]
"""When, after a moment, segments are to be looked at though nothing falls due; None: never."""


def never(_now: datetime) -> datetime | None:
    """Segments are looked at only where something falls due."""
    return None


class NeverRests(Exception):
    """Ticks find something to do at one moment for ever."""


class VirtualDaemon:
    """Runs a worker's ticks at the moments at which there is work.

    As in real time a tick runs when its interval has passed, and again while it finds a full
    batch. The quick ones, whose intervals pass between any two moments worth telling apart, run
    until they find nothing more.
    """

    def __init__(
        self,
        engine: Engine,
        clock: VirtualClock,
        next_look: NextLook = never,
        slowest: timedelta = timedelta(),
    ) -> None:
        """With `slowest` the slow ticks run no more often than that: they may always be late."""
        self._engine = engine
        self._clock = clock
        self._next_look = next_look
        self._slowest = slowest
        ticks = [tick for tick in worker_ticks(engine) if not tick.name.startswith(_BY_CHANNEL)]
        # Of all channels at once: their own ticks pause by the wall clock, which stands still here.
        sending = Tick("dispatch messages", SHORT, engine.dispatching.run_once)
        self._quick = [*(tick for tick in ticks if tick.every <= SHORT), sending]
        self._slow = [tick for tick in ticks if tick.every > SHORT]
        self._ran_at: dict[str, datetime] = {}

    async def settle(self) -> None:
        """Work until nothing is left to do at this moment; raises NeverRests."""
        await self.work()
        found = 0
        for tick in self._slow:
            found += await self._run_if_due(tick)
        if found:
            await self.work()

    async def work(self) -> None:
        """Run the quick ticks that have something to do, until none has."""
        for _ in range(MOST_ROUNDS):
            due = self._due()
            if not _anything(due):
                return
            for tick in self._quick:
                if _concerns(tick, due):
                    await tick.run()
                    await self._engine.dispatching.drain()
                    due = self._due()
        raise NeverRests(f"there is always something to do at {self._clock.moment}")

    async def _run_if_due(self, tick: Tick) -> int:
        now = self._clock.moment
        last = self._ran_at.get(tick.name)
        if last is not None and now < last + max(tick.every, self._slowest):
            return 0
        self._ran_at[tick.name] = now
        total = found = await tick.run()
        while tick.batch is not None and found >= tick.batch:
            found = await tick.run()
            total += found
        return total

    def _due(self) -> DueCounts:
        with self._engine.database.read() as uow:
            return uow.due_counts(self._clock.moment)

    def next_stop(self) -> datetime | None:
        """The next moment at which there is work; None if nothing will ever fall due."""
        now = self._clock.moment
        with self._engine.database.read() as uow:
            due = uow.due_counts(EVER).oldest_due_at
        look = self._next_look(now)
        stops = [moment for moment in (due, look) if moment is not None]
        return max(min(stops), now + NUDGE) if stops else None

    async def pass_until(self, end: datetime) -> None:
        """Let time pass up to a moment, and stop wherever there is work.

        At its end only the quick ticks run: what happens there comes before the slow ones.
        """
        if self._clock.moment < end:
            await self.settle()
        while (stop := self.next_stop()) is not None and stop < end:
            await self.jump(stop)
        self._clock.moment = max(self._clock.moment, end)
        await self.work()

    async def jump(self, moment: datetime) -> None:
        """Go to a moment, never back, and work there."""
        self._clock.moment = max(self._clock.moment, moment)
        await self.settle()


def _anything(due: DueCounts) -> bool:
    return bool(due.events or due.enrolments or due.messages)


def _concerns(tick: Tick, due: DueCounts) -> bool:
    """Whether what is due is a tick's work; of one that is not known here, always."""
    verb = tick.name.partition(" ")[0]
    counts = {"hear": due.events, "advance": due.enrolments, "dispatch": due.messages}
    return counts.get(verb, 1) > 0
