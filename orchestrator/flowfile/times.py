"""Shapes of durations, clock times and moments, with the remedy for each usual slip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Final

from orchestrator.domain.durations import (
    UNIT_NAMES,
    Duration,
    parse_clock,
    parse_duration,
    spell_span,
)
from orchestrator.domain.flows import ClockMoment, ClockWindow, Moment
from orchestrator.flowfile.shapes import JsonSchema, Shape, read_scalar, write
from orchestrator.flowfile.source import Log, Node, Scalar, shorten

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_UNITS: Final = {"s": "second", "sec": "second", "m": "minute", "min": "minute"} | {
    "h": "hour",
    "hr": "hour",
    "d": "day",
    "w": "week",
}
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_IN_WORDS: Final = re.compile(r"[A-Za-z]+ (calendar )?(second|minute|hour|day|week|month|year)s?")
_NEGATIVE: Final = re.compile(r"-\s*(\d.*[a-z].*)")
_SPAN_PATTERN: Final = r"\d+ (seconds?|minutes?|hours?|days?|weeks?)"
_DURATION_PATTERN: Final = rf"^({_SPAN_PATTERN}|\d+ calendar days?( at \d?\d:\d\d)?)$"


@dataclass(frozen=True, slots=True)
class DurationShape(Shape[Duration]):
    """A duration; `calendar` says whether calendar days make sense here."""

    calendar: bool = True
    example: str = "1 hour"
    lead: str = ""
    """What stands before the duration in the same value."""

    def read(self, node: Node, log: Log) -> Duration | None:
        """The duration, longer than nothing."""
        scalar = read_scalar(node, log, "a duration", self.example)
        if scalar is None:
            return None
        found = parse_duration(scalar.text)
        if found is None:
            message, hint = _explain_duration(scalar.text.strip(), log, self.example, self.lead)
            log.wrong("value", scalar, message, hint)
        elif not found.calendar_days and not found.fixed:
            log.wrong("value", scalar, "a duration of nothing", write(log, self.example))
        elif found.calendar_days and not self.calendar:
            message = f'"{found}" has no fixed length, which is needed here'
            log.wrong("value", scalar, message, write(log, f"{found.calendar_days} days"))
        else:
            return found
        return None

    def schema(self) -> JsonSchema:
        """A pattern for the words."""
        pattern = _DURATION_PATTERN if self.calendar else f"^{_SPAN_PATTERN}$"
        return {"type": "string", "pattern": pattern}


@dataclass(frozen=True, slots=True)
class SpanShape(Shape[timedelta]):
    """A duration of fixed length."""

    example: str = "7 days"

    def read(self, node: Node, log: Log) -> timedelta | None:
        """The length."""
        found = DurationShape(calendar=False, example=self.example).read(node, log)
        return found.fixed if found else None

    def schema(self) -> JsonSchema:
        """A pattern for the words."""
        return DurationShape(calendar=False).schema()


@dataclass(frozen=True, slots=True)
class DurationOrExpression(Shape["Duration | Scalar"]):
    """What begins with a figure is a duration; anything else is an expression yielding one."""

    def read(self, node: Node, log: Log) -> Duration | Scalar | None:
        """The duration, or the scalar that holds the expression."""
        scalar = read_scalar(node, log, "a duration", "1 hour")
        if scalar is None:
            return None
        text = scalar.text.strip()
        meant = text[0].isdigit() or _IN_WORDS.fullmatch(text) or _NEGATIVE.fullmatch(text)
        return DurationShape().read(scalar, log) if meant else scalar

    def schema(self) -> JsonSchema:
        """Any text."""
        return {"type": "string", "description": "A duration, or an expression that yields one."}


@dataclass(frozen=True, slots=True)
class Clock(Shape[time]):
    """A clock time."""

    def read(self, node: Node, log: Log) -> time | None:
        """The time."""
        scalar = read_scalar(node, log, "a clock time", "10:00")
        if scalar is None:
            return None
        found = parse_clock(scalar.text.strip())
        if found is None:
            message = f'"{shorten(scalar.text)}" is no clock time'
            log.wrong(
                "value", scalar, message, f"{write(log, _clock_guess(scalar.text))} (24 hours)"
            )
        return found

    def schema(self) -> JsonSchema:
        """Hours and minutes."""
        return {"type": "string", "pattern": r"^\d?\d:\d\d$"}


@dataclass(frozen=True, slots=True)
class Window(Shape[ClockWindow]):
    """From one clock time to another."""

    def read(self, node: Node, log: Log) -> ClockWindow | None:
        """The window; it may run over midnight."""
        scalar = read_scalar(node, log, "a time window", '"20:00-09:00"')
        if scalar is None:
            return None
        found = parse_window(scalar.text)
        if found is None:
            message = f'"{shorten(scalar.text)}" is no time window'
            log.wrong("value", scalar, message, write(log, '"20:00-09:00"'))
        return found

    def schema(self) -> JsonSchema:
        """Two clock times."""
        return {"type": "string", "pattern": r"^\d?\d:\d\d ?- ?\d?\d:\d\d$"}


@dataclass(frozen=True, slots=True)
class MomentOrExpression(Shape["Moment | Scalar"]):
    """`10:00`, `tuesday 10:00`, `2026-12-15 10:00`, `09:00-20:00`, or an expression."""

    def read(self, node: Node, log: Log) -> Moment | Scalar | None:
        """The moment, or the scalar that holds the expression."""
        example = "tuesday 10:00"
        scalar = read_scalar(node, log, "a moment", example)
        if scalar is None:
            return None
        text = scalar.text.strip()
        moment = _parse_moment(text)
        if moment is not None:
            return moment
        first = text.split()[0].lower()
        day = get_close_matches(first, WEEKDAYS, n=1, cutoff=0.75)
        if not text[0].isdigit() and not day:
            return scalar
        guess = f"{day[0]} {_clock_guess(text)}" if day else example
        hint = f"{write(log, guess)}, 10:00, 2026-12-15 10:00 or 09:00-20:00"
        log.wrong("value", scalar, f'"{shorten(text)}" is no moment', hint)
        return None

    def schema(self) -> JsonSchema:
        """Any text."""
        return {"type": "string", "description": "A moment, or an expression that yields a time."}


@dataclass(frozen=True, slots=True)
class Day(Shape[date]):
    """A date."""

    example: str = "2026-12-15"

    def read(self, node: Node, log: Log) -> date | None:
        """The date."""
        scalar = read_scalar(node, log, "a date", self.example)
        if scalar is None:
            return None
        found = parse_day(scalar.text.strip())
        if found is None:
            message = f'"{shorten(scalar.text)}" is no date'
            hint = f"{write(log, self.example)} (year-month-day)"
            log.wrong("value", scalar, message, hint)
        return found

    def schema(self) -> JsonSchema:
        """Year, month and day."""
        return {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"}


def parse_window(text: str) -> ClockWindow | None:
    """`20:00-09:00`, or None."""
    start, dash, end = text.strip().partition("-")
    first, last = parse_clock(start.strip()), parse_clock(end.strip())
    if not dash or first is None or last is None or first == last:
        return None
    return ClockWindow(first, last)


def parse_day(text: str) -> date | None:
    """`2026-12-15`, or None."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parse_moment(text: str) -> datetime | None:
    """`2026-12-01 10:00` as local time, or None."""
    day, _, clock = text.partition(" ")
    on, at = parse_day(day), parse_clock(clock.strip())
    return datetime.combine(on, at) if on and at else None


def _parse_moment(text: str) -> Moment | None:
    window = parse_window(text)
    if window is not None:
        return window
    dated = parse_moment(text)
    if dated is not None:
        return ClockMoment(dated.time(), on=dated.date())
    day, _, clock = text.rpartition(" ")
    at = parse_clock(clock)
    if at is None or (day and day.strip().lower() not in WEEKDAYS):
        return None
    return ClockMoment(at, weekday=WEEKDAYS.index(day.strip().lower()) if day else None)


def _explain_duration(text: str, log: Log, example: str, lead: str) -> tuple[str, str]:
    shown = shorten(text)
    number = re.match(r"\d+(?:\.\d+)?", text)
    rest = text[number.end() :].strip().lower() if number else ""
    clock = parse_clock(text)
    if clock:
        span = timedelta(hours=clock.hour, minutes=clock.minute)
        return f'"{shown}" is a clock time', write(log, f"{lead}{spell_span(span)}")
    if negative := _NEGATIVE.fullmatch(text):
        positive = parse_duration(negative[1])
        mended = f"{lead}{positive}" if positive else example
        return f'"{shown}" would be in the past', write(log, mended)
    if number is None:
        return f'"{shown}" is no duration', f"{write(log, example)}, 3 days or 2 calendar days"
    if not rest:
        unit = "day" if text == "1" else "days"
        message = f'"{shown}" is a number without a unit'
        return message, f"{write(log, f'{lead}{text} {unit}')}, or seconds, minutes, hours"
    return f'"{shown}" is no duration', _mended_duration(number[0], rest, log, lead) or write(
        log, example
    )


def _mended_duration(amount: str, rest: str, log: Log, lead: str) -> str:
    """The hint for a figure with words after it, or nothing."""
    unit, _, clock = rest.partition(" at ")
    word = unit.removeprefix("calendar").strip()
    close = get_close_matches(word, [*UNIT_NAMES, *_SECONDS], n=1, cutoff=0.6)
    noun = _SHORT_UNITS.get(word) or (close[0].removesuffix("s") if close else "")
    if word.startswith(("month", "year")):
        days = round(float(amount)) * (30 if word.startswith("month") else 365)
        return write(log, f"{lead}{days} days")
    if not noun:
        return ""
    if "." in amount:
        span = timedelta(seconds=round(min(float(amount), 1e6) * _SECONDS[noun]))
        return write(log, f"{lead}{spell_span(span)}")
    if clock or unit.startswith("calendar"):
        at = f" at {_clock_guess(clock)}" if clock else ""
        count = int(amount) or 1  # no days are none
        return write(log, f"{lead}{count} calendar {'day' if count == 1 else 'days'}{at}")
    mended = parse_duration(f"{amount} {noun}")
    return write(log, f"{lead}{mended}") if mended else "use at most ten years"


def _clock_guess(text: str) -> str:
    """The clock time that was probably meant: `9am` and `9.30` are 09:00 and 09:30."""
    found = re.search(r"(\d{1,2})(?:[:.h](\d\d))?\s*(am|pm)?\s*$", text.strip().lower())
    if not found:
        return "10:00"
    hour = int(found[1]) % 12 + (12 if found[3] == "pm" else 0) if found[3] else int(found[1])
    minute = int(found[2] or 0)
    guess = f"{hour:02}:{minute:02}"
    return guess if parse_clock(guess) else "10:00"
