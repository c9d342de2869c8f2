"""When a message that is known not to have left is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

TRIES: Final = 8
FIRST: Final = timedelta(seconds=15)
LONGEST: Final = timedelta(hours=1)


def retry_at(tries: int, now: datetime, asked: timedelta | None) -> datetime | None:
    """The next try after `tries` failed ones, or None when it is time to give up.

    Waits double from 15 seconds to an hour; a provider that asks for longer gets it.
    """
    if tries >= TRIES:
        return None
    wait: timedelta = min(FIRST * 2 ** max(0, tries - 1), LONGEST)
    return now + max(wait, asked or timedelta())
