"""When a message that is known not to have left is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

TRIES: Final = 32
"""With these waits, tries go on for a day: longer than outages usually last."""
FIRST: Final = timedelta(seconds=15)
LONGEST: Final = timedelta(hours=1)
LONGEST_ASKED: Final = timedelta(days=1)


def retry_at(tries: int, now: datetime, asked: timedelta | None) -> datetime | None:
    """The next try after `tries` failed ones, or None when it is time to give up.

    Waits double from 15 seconds to an hour; a provider that asks for longer gets it, up to
    a day.
    """
    if tries >= TRIES:
        return None
    wait: timedelta = min(FIRST * 2 ** max(0, tries - 1), LONGEST)
    return now + max(wait, min(asked or timedelta(), LONGEST_ASKED))
