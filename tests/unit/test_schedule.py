from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from orchestrator import schedule
from orchestrator.domain.errors import TransientError
from orchestrator.schedule import Tick, Ticks

NEVER = timedelta(days=1)
"""An interval that ends after the test: the first run is at the start."""
PATIENCE = 5.0
"""Seconds after which something that never comes is a failure."""


class Work:
    """A tick's work: counts its runs, and finds what it is told."""

    def __init__(self, *found: int | Exception) -> None:
        self.runs = 0
        self._found = list(found)
        self._changed = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        self._changed.set()
        await asyncio.sleep(0)
        found = self._found.pop(0) if self._found else 0
        if isinstance(found, Exception):
            raise found
        return found

    async def reached(self, runs: int) -> None:
        """Wait until it has been run that often."""
        async with asyncio.timeout(PATIENCE):
            while self.runs < runs:
                self._changed.clear()
                await self._changed.wait()


class Gate(Work):
    """Work that stays under way until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.finished = 0

    async def __call__(self) -> int:
        await super().__call__()
        await self.opened.wait()
        self.finished += 1
        return 0


@asynccontextmanager
async def ticking(*ticks: Tick) -> AsyncIterator[Ticks]:
    running = Ticks(ticks)
    running.start()
    try:
        yield running
    finally:
        async with asyncio.timeout(PATIENCE):
            await running.stop()


async def turns(count: int = 20) -> None:
    """Let everything that is ready happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(work: Work, *, runs: int) -> None:
    """The work has been run exactly that often, and nothing more is ready."""
    await work.reached(runs)
    await turns()
    assert work.runs == runs


@pytest.mark.anyio
async def test_every_tick_runs_at_the_start() -> None:
    works = [Work(), Work()]
    async with ticking(Tick("a", NEVER, works[0]), Tick("b", NEVER, works[1])):
        for work in works:
            await settled(work, runs=1)


@pytest.mark.anyio
async def test_a_tick_runs_again_when_its_time_comes() -> None:
    work = Work()
    async with ticking(Tick("a", timedelta(milliseconds=2), work)):
        await work.reached(3)


@pytest.mark.anyio
async def test_a_full_batch_is_followed_by_another_at_once() -> None:
    work = Work(10, 12, 9)
    async with ticking(Tick("a", NEVER, work, batch=10)):
        await settled(work, runs=3)


@pytest.mark.anyio
async def test_without_a_batch_whatever_is_found_waits_for_the_next_time() -> None:
    work = Work(1000)
    async with ticking(Tick("a", NEVER, work)):
        await settled(work, runs=1)


@pytest.mark.anyio
async def test_a_tick_that_fails_is_logged_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    work, other = Work(ValueError("broken")), Work()
    with caplog.at_level(logging.ERROR, logger="orchestrator.schedule"):
        async with ticking(Tick("a", timedelta(milliseconds=2), work), Tick("b", NEVER, other)):
            await work.reached(3)
            await other.reached(1)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert getattr(record, "tick", None) == "a"


@pytest.mark.anyio
async def test_trouble_that_passes_is_told_when_it_begins_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = [TransientError("the disk is full")] * 3
    works, often = (Work(*full), Work(*full, TransientError("closed"))), timedelta(milliseconds=2)
    with caplog.at_level(logging.INFO, logger="orchestrator.schedule"):
        async with ticking(*(Tick(str(work), often, work) for work in works)):
            for work in works:
                await work.reached(6)
    told = [(record.getMessage(), getattr(record, "why", None)) for record in caplog.records]
    assert told == [
        ("work waits and is tried again", "the disk is full"),
        ("work waits and is tried again", "closed"),
        ("work goes on again", None),
    ]
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.anyio
async def test_a_tick_that_fails_in_the_middle_of_its_batches_does_not_run_hot() -> None:
    work = Work(10, ValueError("broken"), 10)
    async with ticking(Tick("a", NEVER, work, batch=10)):
        await settled(work, runs=2)


@pytest.mark.anyio
async def test_a_nudge_runs_a_tick_before_its_time() -> None:
    work = Work()
    async with ticking(Tick("a", NEVER, work)) as ticks:
        await settled(work, runs=1)
        ticks.nudge("a")
        await settled(work, runs=2)


@pytest.mark.anyio
async def test_many_nudges_are_one() -> None:
    work = Work()
    async with ticking(Tick("a", NEVER, work)) as ticks:
        await settled(work, runs=1)
        for _ in range(100):
            ticks.nudge("a")
        await settled(work, runs=2)


@pytest.mark.anyio
async def test_a_nudge_for_a_tick_at_work_makes_it_look_once_more() -> None:
    work = Gate()
    async with ticking(Tick("a", NEVER, work)) as ticks:
        await work.reached(1)
        for _ in range(3):
            ticks.nudge("a")
        await turns()
        assert work.runs == 1, "never twice at once"
        work.opened.set()
        await settled(work, runs=2)


@pytest.mark.anyio
async def test_a_nudge_after_a_failure_waits_for_the_next_time_and_then_works_again() -> None:
    work = Work(ValueError("broken"))
    async with ticking(Tick("a", timedelta(milliseconds=5), work)) as ticks:
        await work.reached(1)
        ticks.nudge("a")
        await work.reached(3)


@pytest.mark.anyio
async def test_a_nudge_before_the_start_and_after_the_end_does_nothing() -> None:
    work = Work()
    ticks = Ticks([Tick("a", NEVER, work)])
    ticks.nudge("a")
    assert work.runs == 0
    ticks.start()
    await settled(work, runs=1)
    await ticks.stop()
    ticks.nudge("a")
    await settled(work, runs=1)


def test_a_nudge_names_a_tick() -> None:
    with pytest.raises(KeyError):
        Ticks([]).nudge("nobody")


@pytest.mark.anyio
async def test_stopping_waits_for_the_tick_at_work_and_starts_no_other_batch() -> None:
    work = Gate()
    ticks = Ticks([Tick("a", timedelta(milliseconds=1), work, batch=0)])
    ticks.start()
    await work.reached(1)
    stopping = asyncio.create_task(ticks.stop())
    await turns()
    assert not stopping.done()
    work.opened.set()
    async with asyncio.timeout(PATIENCE):
        await stopping
    assert (work.runs, work.finished) == (1, 1)
    await asyncio.sleep(0.005)
    assert work.runs == 1


@pytest.mark.anyio
async def test_stopping_twice_or_before_the_start_is_harmless() -> None:
    await Ticks([]).stop()
    async with ticking(Tick("a", NEVER, Work())) as ticks:
        await asyncio.gather(ticks.stop(), ticks.stop())


@pytest.mark.anyio
async def test_stopping_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with ticking(Tick("a", timedelta(milliseconds=1), Work())):
        await turns()
    await turns()
    assert asyncio.all_tasks() <= before


@pytest.mark.anyio
async def test_a_tick_that_the_clock_keeps_asleep_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "GUARD", timedelta(milliseconds=2))
    work = Work()
    async with ticking(Tick("a", timedelta(microseconds=100), work)) as ticks:
        await work.reached(1)
        _sleep_for_a_day(ticks)
        asleep = work.runs
        await work.reached(asleep + 2)


def _sleep_for_a_day(ticks: Ticks) -> None:
    """What a wall clock set back by a day comes to."""
    modify: Callable[..., object] = ticks._scheduler.modify_job
    job = ticks._scheduler.get_job("a")
    modify("a", next_run_time=job.next_run_time + timedelta(days=1))
