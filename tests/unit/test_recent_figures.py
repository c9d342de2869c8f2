from __future__ import annotations

import asyncio

import pytest

from orchestrator.web.pages.recent import LONGEST, SHARE, Recent

pytestmark = pytest.mark.anyio


class Counting:
    """Makes 1, 2, 3…; each takes so many seconds of a time of its own."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.made = 0
        self._seconds = seconds

    async def make(self) -> int:
        await asyncio.sleep(0)
        self.now += self._seconds
        self.made += 1
        return self.made

    def timer(self) -> float:
        return self.now


async def test_what_was_dear_is_kept_in_proportion() -> None:
    counting = Counting(seconds=0.5)
    recent = Recent[int](counting.timer)
    assert await recent.get("cart", counting.make) == 1
    counting.now += 0.5 * SHARE - 0.1
    assert await recent.get("cart", counting.make) == 1
    counting.now += 0.2
    assert await recent.get("cart", counting.make) == 2


async def test_what_cost_nothing_is_made_at_every_look() -> None:
    counting = Counting(seconds=0)
    recent = Recent[int](counting.timer)
    assert [await recent.get("cart", counting.make) for _ in range(3)] == [1, 2, 3]


async def test_nothing_is_kept_longer_than_a_minute() -> None:
    counting = Counting(seconds=600)
    recent = Recent[int](counting.timer)
    await recent.get("cart", counting.make)
    counting.now += LONGEST
    assert await recent.get("cart", counting.make) == 2


async def test_of_many_who_ask_at_once_one_counts() -> None:
    counting = Counting(seconds=1)
    recent = Recent[int](counting.timer)
    asked = [recent.get("cart", counting.make) for _ in range(5)]
    assert await asyncio.gather(*asked) == [1] * 5


async def test_names_are_kept_apart() -> None:
    counting = Counting(seconds=1)
    recent = Recent[int](counting.timer)
    assert await recent.get("cart", counting.make) == 1
    assert await recent.get("welcome", counting.make) == 2


async def test_a_failure_is_not_kept() -> None:
    counting = Counting(seconds=1)
    recent = Recent[int](counting.timer)

    async def fail() -> int:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await recent.get("cart", fail)
    assert await recent.get("cart", counting.make) == 1
