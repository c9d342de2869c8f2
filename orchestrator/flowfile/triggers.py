"""The keys of `when`, `exit_when` and `goal`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from orchestrator.domain.events import CANONICAL_TYPES
from orchestrator.domain.expressions import Kind
from orchestrator.domain.flows import (
    Current,
    DateTrigger,
    EventMatch,
    EventTrigger,
    Goal,
    ManualTrigger,
    PolicyChangeTrigger,
    Repeat,
    ScheduleTrigger,
    SegmentTrigger,
    Trigger,
)
from orchestrator.flowfile.names import Names, Place
from orchestrator.flowfile.shapes import (
    Choice,
    Condition,
    JsonSchema,
    Shape,
    nearest,
    read_scalar,
    write,
)
from orchestrator.flowfile.source import Log, Node, shorten
from orchestrator.flowfile.structures import At, Field, Fields, Many, Record, fields
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.times import Clock, SpanShape, parse_moment
from orchestrator.flowfile.verbs import Said, Verbs

_EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_CRON_FIELD: Final = re.compile(r"(\*|\w+(-\w+)?)(/\d+)?")
_CRON_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_WORDS: Final = frozenset(
    "jan feb mar apr may jun jul aug sep oct nov dec mon tue wed thu fri sat sun".split()
)
_OFFSET: Final = re.compile(r"(?P<days>\d{1,3}) days? (?P<side>before|after)")


@dataclass(frozen=True, slots=True)
class EventType(Shape[str]):
    """A dotted event name; one that nearly is a known one gets a warning."""

    def read(self, node: Node, log: Log) -> str | None:
        """The type."""
        scalar = read_scalar(node, log, "an event", "order.placed")
        if scalar is None:
            return None
        text = scalar.text.strip()
        if not _EVENT_TYPE.fullmatch(text):
            guess = nearest(text.replace("_", "."), sorted(CANONICAL_TYPES))
            hint = guess if guess.startswith("did") else write(log, "order.placed")
            log.wrong("value", scalar, f'"{shorten(text)}" is no event, which has a dot', hint)
            return None
        if text not in CANONICAL_TYPES:
            close = get_close_matches(text, sorted(CANONICAL_TYPES), n=1, cutoff=0.85)
            if close:
                hint = f'did you mean "{close[0]}"?'
                log.doubt("name", scalar, f'"{text}" is no known event, so one of your own', hint)
        return text

    def schema(self) -> JsonSchema:
        """Known events are suggested, any dotted name goes."""
        return {
            "anyOf": [
                {"enum": sorted(CANONICAL_TYPES)},
                {"type": "string", "pattern": f"^{_EVENT_TYPE.pattern}$"},
            ]
        }


@dataclass(frozen=True, slots=True)
class Schedule(Shape[ScheduleTrigger]):
    """A cron rule of five fields, or one moment; both in the brand's time zone."""

    def read(self, node: Node, log: Log) -> ScheduleTrigger | None:
        """The trigger."""
        scalar = read_scalar(node, log, "a schedule", '"0 10 1 * *"')
        if scalar is None:
            return None
        text = " ".join(scalar.text.split())
        moment = parse_moment(text)
        if moment:
            return ScheduleTrigger(moment=moment)
        if is_cron(text):
            return ScheduleTrigger(cron=text)
        message = f'"{shorten(text)}" is neither a cron rule of five fields nor a moment'
        rule = write(log, '"0 10 1 * *"')
        hint = f"{rule} (minute hour day month weekday) or 2026-12-01 10:00"
        log.wrong("value", scalar, message, hint)
        return None

    def schema(self) -> JsonSchema:
        """Text."""
        return {"type": "string", "examples": ["0 10 1 * *", "2026-12-01 10:00"]}


def is_cron(text: str) -> bool:
    """Whether the text is minute, hour, day, month and weekday, each within its bounds."""
    parts = text.split()
    return len(parts) == len(_CRON_BOUNDS) and all(
        _is_cron_field(part, least, most)
        for part, (least, most) in zip(parts, _CRON_BOUNDS, strict=True)
    )


def _is_cron_field(text: str, least: int, most: int) -> bool:
    for piece in text.split(","):
        if not _CRON_FIELD.fullmatch(piece):
            return False
        for word in re.findall(r"\w+", piece.partition("/")[0]):
            if not (word.isdecimal() and least <= int(word) <= most) and (
                word.lower() not in _CRON_WORDS
            ):
                return False
    return True


@dataclass(frozen=True, slots=True)
class Offset(Shape[int]):
    """`3 days before` or `1 day after`, as days."""

    def read(self, node: Node, log: Log) -> int | None:
        """The days, negative before."""
        scalar = read_scalar(node, log, "an offset", "3 days before")
        if scalar is None:
            return None
        found = _OFFSET.fullmatch(" ".join(scalar.text.split()))
        if found:
            return int(found["days"]) * (-1 if found["side"] == "before" else 1)
        message = f'"{shorten(scalar.text)}" is no offset'
        log.wrong("value", scalar, message, f"{write(log, '3 days before')} or 1 day after")
        return None

    def schema(self) -> JsonSchema:
        """The words."""
        return {"type": "string", "pattern": "^\\d+ days? (before|after)$"}


class Document(StrEnum):
    """What may change its policy."""

    PRIVACY = "privacy"


EVENT: Final = Field("event", EventType(), "The event.", "checkout.started", required=True)
WHERE: Final = Field("where", Condition(), "A condition on it.", "event.total >= 20")
EACH: Final = Field("each", Condition("event.items"), "One run per item.", "event.items")
SEGMENT: Final = Field("segment", At(NAME), "The segment.", "lapsed", required=True)
CURRENT: Final = Field(
    "current", Choice("current", Current), "People inside already: enter or skip.", "skip"
)
SCHEDULE: Final = Field("schedule", Schedule(), "Cron or a moment.", '"0 10 1 * *"', required=True)
DATE: Final = Field(
    "date",
    Condition("contact.birthday"),
    "A date of the contact.",
    "contact.birthday",
    required=True,
)
OFFSET: Final = Field("offset", Offset(), "Days before or after it.", "3 days before")
DATE_AT: Final = Field("at", Clock(), "Clock time of that day.", "09:00")
REPEAT: Final = Field("repeat", Choice("repeat", Repeat), "Every year, or once.", "yearly")
POLICY_CHANGE: Final = Field(
    "policy_change", Choice("document", Document), "The document.", "privacy", required=True
)
_TRIGGERS: Final = {
    "event": Record("event", fields(EVENT, WHERE, EACH), "an event trigger"),
    "segment": Record("segment", fields(SEGMENT, CURRENT), "a segment trigger"),
    "schedule": Record("schedule", fields(SCHEDULE), "a schedule"),
    "date": Record("date", fields(DATE, OFFSET, DATE_AT, REPEAT), "a date trigger"),
    "policy_change": Record("policy_change", fields(POLICY_CHANGE), "a policy change"),
}
TRIGGER: Final = Verbs("trigger", lambda: _TRIGGERS, bare=("manual",))
WHEN: Final = Field(
    "when", Many(TRIGGER), "What lets people in.", "{event: checkout.started}", required=True
)
MATCH: Final = Record(
    "event match", fields(EVENT, WHERE), "an event", "event: order.placed", "event"
)
MATCHES: Final = Many(MATCH)
EXIT_WHEN: Final = Field("exit_when", MATCHES, "Events that end the run.", "{event: order.placed}")
WITHIN: Final = Field("within", SpanShape(), "How long it counts.", "7 days", required=True)
GOAL: Final = Field(
    "goal",
    Record(
        "goal",
        fields(EVENT, WHERE, WITHIN),
        "a goal",
        "goal: {event: order.placed, within: 7 days}",
        "event",
    ),
    "What the journey is for; only measured.",
    "{event: order.placed, within: 7 days}",
)


def hears_events(triggers: tuple[Said, ...]) -> bool:
    """Whether a run has an event: by trigger, or given by hand."""
    return not triggers or any(trigger.verb in {"event", "manual"} for trigger in triggers)


def has_items(triggers: tuple[Said, ...]) -> bool:
    """Whether runs stand for one item."""
    return any(trigger.fields.has(EACH) for trigger in triggers)


def compile_trigger(said: Said, names: Names, place: Place) -> Trigger | None:
    """One trigger, or None where it was refused."""
    found = said.fields
    match said.verb:
        case "event":
            event = found.get(EVENT)
            here = place.with_event()
            where = names.optional(found.get(WHERE), here.with_item() if found.has(EACH) else here)
            each = names.optional(found.get(EACH), here, None)
            return EventTrigger(event, where, each) if event else None
        case "segment":
            return _compile_segment(found, names)
        case "schedule":
            return found.get(SCHEDULE)
        case "date":
            expression = names.optional(found.get(DATE), place, Kind.TIME)
            at, repeat = found.get(DATE_AT) or time(9), found.get(REPEAT) or Repeat.YEARLY
            offset = found.get(OFFSET) or 0
            return DateTrigger(expression, offset, at, repeat) if expression else None
        case "policy_change":
            return PolicyChangeTrigger()
        case _:
            return ManualTrigger()


def _compile_segment(found: Fields, names: Names) -> SegmentTrigger | None:
    segment = found.get(SEGMENT)
    if segment is None or not names.known("segment", segment, names.segments):
        return None
    return SegmentTrigger(segment.value, found.get(CURRENT) or Current.SKIP)


def compile_matches(
    found: tuple[Fields, ...] | None, names: Names, place: Place
) -> tuple[EventMatch, ...]:
    """Events with their conditions."""
    matches = []
    for one in found or ():
        where = names.optional(one.get(WHERE), place.with_event())
        event = one.get(EVENT)
        if event:
            matches.append(EventMatch(event, where))
    return tuple(matches)


def compile_goal(found: Fields | None, names: Names, place: Place) -> Goal | None:
    """The goal."""
    within = found.get(WITHIN) if found else None
    if found is None or within is None:
        return None
    return Goal(compile_matches((found,), names, place), within)
