"""When a message that is known not to have left is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

FIRST: Final = timedelta(seconds=15)
GROWTH: Final = 4
LONGEST: Final = timedelta(hours=2)
TRIES: Final = 18
"""With these waits, tries go on for about a day: longer than outages usually last."""
LONGEST_ASKED: Final = timedelta(days=1)
SPREAD: Final = 0.25
"""By which share a wait may be shorter or longer."""


def retry_at(tries: int, now: datetime, asked: timedelta | None, draw: float) -> datetime | None:
    """The next try after `tries` failed ones, or None when it is time to give up.

    Waits grow from 15 seconds, for a hiccup, over one and four minutes, which is what servers
    that greet strangers with "later" want (greylisting, RFC 6647 section 5), to two hours. Each
    is up to a quarter shorter or longer, told by `draw` from 0 to 1, lest what failed together
    come back together. A provider that asks for longer gets it, up to a day; one that asks for
    no wait at all, because the try was broken off before it began, is asked again at once.
    """
    if tries >= TRIES:
        return None
    if asked == timedelta():
        return now
    grown: timedelta = FIRST * GROWTH ** max(0, tries - 1)
    wait = min(grown, LONGEST) * (1 + SPREAD * (2 * draw - 1))
    least = max(timedelta(), min(asked or timedelta(), LONGEST_ASKED))
    return now + max(wait, least * (1 + SPREAD * draw))
