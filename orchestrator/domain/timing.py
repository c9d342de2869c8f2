"""From what a marketer wrote to a moment: clock arithmetic in somebody's own time zone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.domain.durations import Duration
from orchestrator.domain.flows import ClockMoment, ClockWindow


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
    """When the awaited clock time comes; `now` itself where it is here or, with a date, past."""
    if isinstance(moment, ClockWindow):
        return _into_window(moment, now, zone)
    if moment.on is not None:
        return max(now, at_local(moment.on, moment.at, zone))
    days = (day for day in _days_around(now, zone) if moment.weekday in (None, day.weekday()))
    return _first_reached(days, moment.at, now, zone)


def _into_window(window: ClockWindow, now: datetime, zone: tzinfo) -> datetime:
    if in_window(window, now, zone):
        return now
    return _first_reached(_days_around(now, zone), window.start, now, zone)


def _days_around(now: datetime, zone: tzinfo) -> Iterator[date]:
    """Yesterday, today and the seven days to come, which hold every weekday in the future.

    Yesterday, because a clock time that a change to summer time leaves out just before
    midnight comes after it.
    """
    today = now.astimezone(zone).date()
    return (today + timedelta(days=offset) for offset in range(-1, 8))


def _first_reached(days: Iterable[date], clock: time, now: datetime, zone: tzinfo) -> datetime:
    moments = (at_local(day, clock, zone) for day in days)
    return next(moment for moment in moments if moment >= now)


def in_window(window: ClockWindow, now: datetime, zone: tzinfo) -> bool:
    """Whether local clocks stand inside the window: its start belongs to it, its end not."""
    clock = now.astimezone(zone).time()
    if window.start <= window.end:
        return window.start <= clock < window.end
    return clock >= window.start or clock < window.end
