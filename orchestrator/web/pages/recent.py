"""Figures kept for a while, the longer the dearer they were."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHARE: Final = 20
"""What took a second is kept for so many: counting takes a twentieth of the time at most."""
LONGEST: Final = 60.0
"""Seconds for which anything is kept."""


class Recent(Generic[T]):
    """Values by name, made anew when they are too old, by one caller at a time.

    In a small shop that is at every look; with a million runs a page that is loaded over and over
    must not keep the database busy.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._kept: dict[str, tuple[float, T]] = {}
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """The value of a name, if need be made anew."""
        async with self._turns[name]:
            until, value = self._kept.get(name, (None, None))
            began = self._timer()
            if until is not None and value is not None and began < until:
                return value
            made = await make()
            ended = self._timer()
            self._kept[name] = (ended + min((ended - began) * SHARE, LONGEST), made)
            return made
