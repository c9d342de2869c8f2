"""From what a marketer wrote to a moment: clock arithmetic in somebody's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.domain.durations import Duration
from orchestrator.domain.flows import ClockMoment, ClockWindow

ONE_DAY: Final = timedelta(days=1)


def zone_of(name: str | None, fallback: str) -> tzinfo:
    """The time zone of that name, or the fallback where it is missing or unknown."""
    for candidate in (name, fallback):
        try:
            return ZoneInfo(candidate or "")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return UTC


def at_local(day: date, clock: time, zone: tzinfo) -> datetime:
    """The UTC moment at which clocks in `zone` show `clock` on `day`.

    A time that a change to summer time leaves out is taken with the offset from before the
    change, so 02:30 becomes 03:30; of a time that happens twice the first is taken.
    """
    return datetime.combine(day, clock.replace(fold=0), tzinfo=zone).astimezone(UTC)


def after(duration: Duration, start: datetime, zone: tzinfo) -> datetime:
    """The moment a duration ends. Calendar days keep the local clock time, or move to `at`."""
    if not duration.calendar_days:
        return start + duration.fixed
    local = start.astimezone(zone)
    clock = local.time() if duration.at is None else duration.at
    return at_local(local.date() + timedelta(days=duration.calendar_days), clock, zone)


def next_moment(moment: ClockMoment | ClockWindow, now: datetime, zone: tzinfo) -> datetime:
    """When the awaited clock time comes; `now` itself where it is here or past."""
    if isinstance(moment, ClockWindow):
        return _into_window(moment, now, zone)
    if moment.on is not None:
        return max(now, at_local(moment.on, moment.at, zone))
    today = now.astimezone(zone).date()
    for offset in range(9):
        day = today + timedelta(days=offset)
        if moment.weekday is None or day.weekday() == moment.weekday:
            reached = at_local(day, moment.at, zone)
            if reached >= now:
                return reached
    return now  # unreachable: nine days hold every weekday twice or once in the future


def _into_window(window: ClockWindow, now: datetime, zone: tzinfo) -> datetime:
    if in_window(window, now, zone):
        return now
    today = now.astimezone(zone).date()
    starts = (at_local(today + timedelta(days=n), window.start, zone) for n in range(3))
    return next(start for start in starts if start >= now)


def in_window(window: ClockWindow, now: datetime, zone: tzinfo) -> bool:
    """Whether local clocks stand inside the window: its start belongs to it, its end not."""
    clock = now.astimezone(zone).time()
    if window.start <= window.end:
        return window.start <= clock < window.end
    return clock >= window.start or clock < window.end
