"""The `events` of a journey test: what happens to somebody, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from typing import Final

from orchestrator.domain.durations import LONGEST, Duration, parse_duration
from orchestrator.domain.events import CANONICAL_TYPES, EVENT_FIELDS
from orchestrator.flowfile.journey_people import Local, LocalMoment
from orchestrator.flowfile.plain_values import AnyFields, Given
from orchestrator.flowfile.shapes import Choice, JsonSchema, Shape, T_co, read_scalar, write
from orchestrator.flowfile.source import (
    Entry,
    Listing,
    Log,
    Mapping,
    Node,
    Scalar,
    Span,
    describe,
    shorten,
)
from orchestrator.flowfile.structures import At, Placed
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.triggers import Document, EventType

_COMPANIONS: Final = frozenset({"at", "data"})
_KNOWN: Final = (*EVENT_FIELDS, "contact", "step", "id", "occurred_at")
_ALIKE: Final = 0.8
_FIELDS: Final = AnyFields("the fields of an event", "{total: 40}")


@dataclass(frozen=True, slots=True)
class Several(Shape[tuple[T_co, ...]]):
    """A list, for which a single value may stand; an empty one is right, too."""

    inner: Shape[T_co]

    def read(self, node: Node, log: Log) -> tuple[T_co, ...] | None:
        """The values that could be read."""
        items = node.items if isinstance(node, Listing) else (node,)
        with log.under(None):
            values = [self.inner.read(item, log) for item in items]
        return tuple(value for value in values if value is not None)

    def schema(self) -> JsonSchema:
        """One or a list."""
        inner = self.inner.schema()
        return {"anyOf": [inner, {"type": "array", "items": inner}]}


@dataclass(frozen=True, slots=True)
class When(Shape["Duration | Local"]):
    """`1 day 2 hours` from the start, `1 calendar day at 10:00`, or `2026-11-21 10:00`."""

    def read(self, node: Node, log: Log) -> Duration | Local | None:
        """The span, or the moment."""
        scalar = read_scalar(node, log, "a time from the start", "30 minutes")
        if scalar is None:
            return None
        span = parse_duration(scalar.text) or _sum_of(scalar.text)
        if span is not None:
            return span
        moment = LocalMoment(past=False).read(scalar, Log(log.source))
        if moment is None:
            message = f'"{shorten(scalar.text)}" is no time from the start'
            hint = f"{write(log, '30 minutes')}, 2 days or 2026-11-21 10:00"
            log.wrong("value", scalar, message, hint)
        return moment

    def schema(self) -> JsonSchema:
        """Text."""
        return {"type": "string", "examples": ["30 minutes", "1 calendar day at 10:00"]}


def _doubt_names(node: Node, log: Log) -> None:
    """Any field goes, so one that nearly is a known one is told: nothing would be read from it."""
    for entry in node.entries if isinstance(node, Mapping) else ():
        name = entry.key.text
        close = () if name in _KNOWN else get_close_matches(name, _KNOWN, n=1, cutoff=_ALIKE)
        if close:
            message = f'"{name}" is no known field, so one of your own'
            log.doubt("name", entry.key, message, f'did you mean "{close[0]}"?')


def _sum_of(text: str) -> Duration | None:
    """Several fixed durations in a row, or None."""
    words = text.split()
    parts = [parse_duration(" ".join(pair)) for pair in zip(words[::2], words[1::2], strict=False)]
    known = [part.fixed for part in parts if part is not None and not part.calendar_days]
    whole = 2 * len(known) == len(words) and sum(known, timedelta()) <= LONGEST
    return Duration(fixed=sum(known, timedelta())) if known and whole else None


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One entry of `events`, before the start is known: exactly one of the last three is set."""

    at: Duration | Local
    node: Mapping
    event: Placed[str] | None = None
    entered: Placed[str] | None = None
    given: Given = field(default_factory=lambda: Given({}, {}))


@dataclass(frozen=True, slots=True)
class OccurrenceShape(Shape[Occurrence]):
    """`at` and one event; or `policy_change: privacy`, or `trigger: FLOW` (with `data`)."""

    def read(self, node: Node, log: Log) -> Occurrence | None:
        """What happens, and when."""
        if not isinstance(node, Mapping):
            span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
            message = f"an event is wanted here, not {describe(node)}"
            log.wrong("value", span, message, "write {at: 30 minutes, order.placed: {total: 40}}")
            return None
        own = {entry.key.text: entry for entry in node.entries}
        rest = [entry for entry in node.entries if entry.key.text not in _COMPANIONS]
        at = self._at(node, own.get("at"), log)
        if len(rest) != 1:
            self._report_number(node, rest, log)
            return None
        if at is None:
            return None
        entry = rest[0]
        data = own.get("data") if entry.key.text == "trigger" else None
        if "data" in own and data is None:
            message = '"data" goes with trigger; an event has its data inside'
            log.wrong("key", own["data"].key, message, "move it into the event's own fields")
        with log.under(entry.key):
            return self._happening(at, node, entry, data, log)

    def _at(self, node: Mapping, entry: Entry | None, log: Log) -> Duration | Local | None:
        if entry is None:
            place = Span(node.start, node.start + 1)
            log.wrong("missing", place, '"at" is missing in an event', "add at: 0 minutes")
            return None
        with log.under(entry.key):
            return When().read(entry.value, log)

    def _report_number(self, node: Mapping, rest: list[Entry], log: Log) -> None:
        if rest:
            message = f'"{rest[1].key.text}" is an event of its own'
            log.wrong("key", rest[1].key, message, 'begin another entry: "- at: …"')
        else:
            place = Span(node.start, node.start + 1)
            log.wrong("missing", place, "nothing happens here", "add order.placed: {total: 40}")

    def _happening(
        self, at: Duration | Local, node: Mapping, entry: Entry, data: Entry | None, log: Log
    ) -> Occurrence | None:
        match entry.key.text:
            case "policy_change":
                changed = Choice("document", Document).read(entry.value, log)
                return Occurrence(at, node) if changed else None
            case "trigger":
                flow = At(NAME).read(entry.value, log)
                found = _FIELDS.read(data.value, log) if data else Given({}, {})
                if flow is None or found is None:
                    return None
                return Occurrence(at, node, entered=flow, given=found)
            case _:
                name = EventType().read(entry.key, log)
                if name in CANONICAL_TYPES:
                    _doubt_names(entry.value, log)
                found = _FIELDS.read(entry.value, log)
                if name is None or found is None:
                    return None
                return Occurrence(at, node, event=Placed(name, entry.key), given=found)

    def schema(self) -> JsonSchema:
        """An object with `at`; events are named by their dot."""
        known: JsonSchema = {name: {} for name in EVENT_FIELDS}
        return {
            "type": "object",
            "required": ["at"],
            "minProperties": 2,
            "properties": {
                "at": When().schema(),
                "policy_change": {"enum": ["privacy"]},
                "trigger": NAME.schema(),
                "data": {"type": "object"},
            },
            "patternProperties": {
                r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$": {
                    "type": ["object", "null"],
                    "properties": {**known, "contact": {}, "step": {}},
                }
            },
            "additionalProperties": False,
        }
