"""The `contact` of a journey test: whoever it is about, as they are when it starts."""

from __future__ import annotations

from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.durations import parse_duration
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.journey_tests import Person
from orchestrator.domain.timing import at_local
from orchestrator.flowfile.plain_values import plain
from orchestrator.flowfile.shapes import (
    Choice,
    JsonSchema,
    Number,
    Shape,
    Text,
    Whole,
    nearest,
    read_scalar,
    write,
)
from orchestrator.flowfile.source import Log, Node, shorten
from orchestrator.flowfile.structures import At, Field, Fields, Many, Named, Placed, Record, fields
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.times import parse_day, parse_moment

_AGO: Final = " ago"
_MOST_MONEY: Final = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class Local:
    """A moment as written: by a clock, or so long before the test starts."""

    moment: datetime | None = None
    """With a time zone, or without one: the recipient's."""
    ago: timedelta | None = None

    def resolved(self, start: datetime, zone: tzinfo) -> datetime:
        """The moment in UTC."""
        if self.moment is None:
            return start - (self.ago or timedelta())
        if self.moment.tzinfo is not None:
            return self.moment.astimezone(UTC)
        return at_local(self.moment.date(), self.moment.time(), zone)


@dataclass(frozen=True, slots=True)
class LocalMoment(Shape[Local]):
    """`2026-11-20 10:00`, `2026-11-20`, a full ISO 8601 time, or (in the past) `60 days ago`."""

    example: str = "2026-11-20 10:00"
    past: bool = True

    def read(self, node: Node, log: Log) -> Local | None:
        """The moment."""
        scalar = read_scalar(node, log, "a moment", self.example)
        if scalar is None:
            return None
        found = self._parse(scalar.text.strip())
        if found is None:
            hint = write(log, self.example) + (" or 60 days ago" if self.past else "")
            log.wrong("value", scalar, f'"{shorten(scalar.text)}" is no moment', hint)
        return found

    def _parse(self, text: str) -> Local | None:
        if self.past and text.endswith(_AGO):
            span = parse_duration(text.removesuffix(_AGO))
            return Local(ago=span.fixed) if span and not span.calendar_days else None
        if day := parse_day(text):
            return Local(datetime.combine(day, time()))
        if moment := parse_moment(text):
            return Local(moment)
        try:
            exact = datetime.fromisoformat(text)
        except ValueError:
            return None
        return Local(exact)

    def schema(self) -> JsonSchema:
        """Text."""
        return {"type": "string", "examples": [self.example]}


@dataclass(frozen=True, slots=True)
class Anything(Shape[Node]):
    """A value that others check."""

    def read(self, node: Node, log: Log) -> Node | None:  # noqa: ARG002 - as every shape
        """The node."""
        return node

    def schema(self) -> JsonSchema:
        """Anything."""
        return {}


@dataclass(frozen=True, slots=True)
class YesNo(Shape[bool]):
    """`true` or `false`, `yes` or `no`."""

    def read(self, node: Node, log: Log) -> bool | None:
        """The answer."""
        scalar = read_scalar(node, log, "true or false", "true")
        if scalar is None:
            return None
        answer = {"true": True, "yes": True, "false": False, "no": False}.get(scalar.text.lower())
        if answer is None:
            message = f'"{shorten(scalar.text)}" is neither true nor false'
            log.wrong("value", scalar, message, write(log, "true"))
        return answer

    def schema(self) -> JsonSchema:
        """A boolean."""
        return {"enum": [True, False, "yes", "no"]}


_MONEY: Final = Number(Decimal(0), _MOST_MONEY, "40.00")
COUNT: Final = Field("count", Whole(0, 10**6, "2"), "How many orders.", "2")
TOTAL: Final = Field("total", _MONEY, "What they came to.", "80.00")
AVERAGE: Final = Field("average", _MONEY, "The same by order.", "40.00")
FIRST_AT: Final = Field("first_at", LocalMoment(), "The first one.", "300 days ago")
LAST_AT: Final = Field("last_at", LocalMoment(), "The last one.", "60 days ago")
SKUS: Final = Field("skus", Many(Text()), "What was bought.", "[COF-1KG]")
CATEGORIES: Final = Field("categories", Many(Text()), "Of which kinds.", "[coffee]")
_ORDERS: Final = Record(
    "test orders",
    fields(COUNT, TOTAL, AVERAGE, FIRST_AT, LAST_AT, SKUS, CATEGORIES),
    "a history of orders",
    "orders: {count: 2, last_at: 60 days ago}",
    "count",
)

_PLAIN: Final = (
    "id",
    "email",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "timezone",
    "country",
    "source",
)
"""Fields that are read as those of a webhook are."""
CREATED_AT: Final = Field("created_at", LocalMoment(), "Known since.", "60 days ago")
LAST_SEEN_AT: Final = Field("last_seen_at", LocalMoment(), "Seen last.", "3 days ago")
TAGS: Final = Field("tags", Many(Text()), "Tags.", "[vip]")
TRACKING: Final = Field("tracking", YesNo(), "Whether they agreed to tracking.", "true")
CONSENT: Final = Field(
    "consent",
    Named(Choice("channel", Channel), Many(At(NAME)), "topics by channel", "email: [offers]"),
    "The topics agreed to, by channel.",
    "{email: [offers]}",
)
ORDERS: Final = Field("orders", _ORDERS, "What they have bought.", "{count: 1}")
_OWN: Final = fields(CREATED_AT, LAST_SEEN_AT, TAGS, TRACKING, CONSENT, ORDERS)


def contact_shape(attributes: Sequence[str] = ()) -> Record:
    """The known keys of a contact, the shop's own attributes among them."""
    known = fields(*map(_as_given, _PLAIN), *_OWN, *map(_as_given, attributes))
    return Record("test contact", known, "a contact", "contact: {email: ada@example.com}", "email")


def person_fields(found: Fields, attributes: Sequence[str] = ()) -> dict[str, Any]:
    """The fields that are read as a webhook's."""
    return {
        name: plain(node, name)
        for name in (*_PLAIN, *attributes)
        if (node := found.get(_as_given(name))) is not None
    }


def _as_given(name: str) -> Field[Node]:
    return Field(name, Anything(), f"The contact's {name}.", "...")


def compile_person(
    found: Fields, book: FlowBook, start: datetime, zone: tzinfo, log: Log
) -> Person:
    """The person; topics that do not exist and moments to come are logged."""
    given = person_fields(found, tuple(book.attributes))
    if not any(given.get(name) for name in ("id", "email", "phone")):
        hint = "add email: ada@example.com"
        log.wrong("missing", found.node, "nothing says who the contact is", hint)
    created = found.get(CREATED_AT)
    seen = found.get(LAST_SEEN_AT)
    return Person(
        fields=given,
        created_at=created.resolved(start, zone) if created else start,
        last_seen_at=seen.resolved(start, zone) if seen else None,
        tracking=found.get(TRACKING) or False,
        tags=found.get(TAGS) or (),
        orders=_history(found.get(ORDERS), start, zone),
        consent=_consent(found.get(CONSENT), book, log),
    )


def _consent(
    found: Dictionary[str, Placed[tuple[Placed[str], ...]]] | None, book: FlowBook, log: Log
) -> dict[Channel, tuple[str, ...]]:
    agreed: dict[Channel, tuple[str, ...]] = {}
    for channel, topics in (found or {}).items():
        for topic in topics.value:
            if topic.value not in book.topics:
                message = f'unknown topic "{topic.value}"'
                log.wrong("name", topic.node, message, nearest(topic.value, [*book.topics]))
        agreed[Channel(channel)] = tuple(topic.value for topic in topics.value)
    return agreed


def _history(found: Fields | None, start: datetime, zone: tzinfo) -> OrderHistory:
    """The orders; of total and average one is enough."""
    if found is None:
        return OrderHistory()
    count, total, average = found.get(COUNT) or 0, found.get(TOTAL), found.get(AVERAGE)
    if total is None:
        total = (average or Decimal(0)) * count
    first, last = found.get(FIRST_AT) or found.get(LAST_AT), found.get(LAST_AT)
    return OrderHistory(
        count=count,
        total=total,
        first_at=first.resolved(start, zone) if first else None,
        last_at=last.resolved(start, zone) if last else None,
        skus=found.get(SKUS) or (),
        categories=found.get(CATEGORIES) or (),
    )
