"""Spans of time as a marketer writes them: what was meant, before any arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Final

_UNITS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
UNIT_NAMES: Final = tuple(f"{unit}s" for unit in _UNITS)
LONGEST: Final = timedelta(days=3653)
_DURATION: Final = re.compile(
    r"(?P<amount>\d{1,9})\s+(?:(?P<calendar>calendar)\s+)?(?P<unit>[a-z]+?)s?(?:\s+at\s+(?P<at>\S+))?"
)
_CLOCK: Final = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)")


@dataclass(frozen=True, slots=True)
class Duration:
    """A span: either a fixed length, or a number of calendar days in somebody's time zone.

    A calendar day keeps the local clock time across a change to or from summer time;
    `at` moves to that clock time on the day reached. Exactly one of `fixed` and
    `calendar_days` is set, and `at` goes only with calendar days.
    """

    fixed: timedelta = timedelta()
    calendar_days: int = 0
    at: time | None = None

    def __str__(self) -> str:
        """The span as it is written in flows.yaml."""
        if self.calendar_days:
            words = _counted(self.calendar_days, "calendar day")
            return f"{words} at {self.at:%H:%M}" if self.at else words
        return spell_span(self.fixed)


def spell_span(span: timedelta) -> str:
    """A fixed span in the largest unit that divides it: `36 hours`, `3 days`."""
    seconds = int(span.total_seconds())
    for unit in ("day", "hour", "minute"):
        size = int(_UNITS[unit].total_seconds())
        if seconds and seconds % size == 0:
            return _counted(seconds // size, unit)
    return _counted(seconds, "second")


def _counted(amount: int, noun: str) -> str:
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


def parse_clock(text: str) -> time | None:
    """A clock time `9:00` to `23:59`, or None when the text is not one."""
    found = _CLOCK.fullmatch(text)
    return time(int(found["hour"]), int(found["minute"])) if found else None


def parse_duration(text: str) -> Duration | None:
    """`90 seconds`, `4 hours`, `3 days`, `2 calendar days at 10:00`, or None.

    Plain days are 24 hours each. Nothing longer than ten years is a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or found["unit"] not in _UNITS:
        return None
    amount = int(found["amount"])
    span = amount * _UNITS[found["unit"]] if amount <= LONGEST.total_seconds() else None
    if span is None or span > LONGEST:
        return None
    if not found["calendar"]:
        return None if found["at"] else Duration(fixed=span)
    at = parse_clock(found["at"]) if found["at"] else None
    if found["unit"] != "day" or amount == 0 or (found["at"] and at is None):
        return None
    return Duration(calendar_days=amount, at=at)
