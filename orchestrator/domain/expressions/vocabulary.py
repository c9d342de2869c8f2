"""Which names an expression may use in which place of flows.yaml, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape, common
from orchestrator.domain.expressions.values import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.domain.expressions.values import Value

#: Words that `attributes` takes in flows.yaml. A date is its midnight in UTC.
ATTRIBUTE_KINDS: dict[str, Shape] = {
    "text": Kind.TEXT,
    "number": Kind.NUMBER,
    "boolean": Kind.TRUTH,
    "date": Kind.TIME,
    "time": Kind.TIME,
    "list": Many(Kind.TEXT),
}
CHANNELS = ("email", "sms", "whatsapp")
FUNCTIONS = ("has", "any_item", "count_events", "days", "hours", "minutes")
FILTERS = ("default", "length", "lower", "upper")


def _texts(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), Kind.TEXT)


ANYTHING_GOES = Record("data", rest=Kind.ANYTHING)
ITEM = Record(
    "item",
    {
        **_texts("id product_id sku name category url image"),
        "quantity": Kind.NUMBER,
        "price": Kind.NUMBER,
    },
)
_TRACKING = Record("tracking", _texts("carrier number url"))
_ADDRESSED = _texts("id email phone first_name last_name locale timezone country")
_PRODUCT = Record("product", ITEM.fields, rest=Kind.ANYTHING)
_BASKET: dict[str, Shape] = {
    **_texts("id checkout_id order_id currency checkout_url"),
    "total": Kind.NUMBER,
    "items": Many(ITEM),
    "data": ANYTHING_GOES,
}
EVENT = Record(
    "event",
    {
        **_BASKET,
        **_texts("type text"),
        "occurred_at": Kind.TIME,
        "contact": Record("event.contact", _ADDRESSED),
        "product": _PRODUCT,
        "tracking": _TRACKING,
        "rating": Kind.NUMBER,
        "score": Kind.NUMBER,
        "consent": Record("event.consent", _texts("email sms whatsapp tracking")),
    },
)
#: The event's own fields that `count_events` can ask for; other names mean its product's or data's.
EVENT_COUNTED: dict[str, Kind] = {
    **dict.fromkeys(("checkout_id", "order_id", "currency", "checkout_url", "text"), Kind.TEXT),
    **dict.fromkeys(("total", "rating", "score"), Kind.NUMBER),
}
CHECKOUT = Record(
    "checkout",
    {**_BASKET, "status": Kind.TEXT, **dict.fromkeys(("started_at", "updated_at"), Kind.TIME)},
)
ORDER = Record(
    "order",
    {
        **_BASKET,
        "status": Kind.TEXT,
        "tracking": _TRACKING,
        **dict.fromkeys(("placed_at", "updated_at"), Kind.TIME),
    },
)
ORDERS = Record(
    "contact.orders",
    {
        **dict.fromkeys(("count", "total", "average"), Kind.NUMBER),
        **dict.fromkeys(("first_at", "last_at"), Kind.TIME),
        **dict.fromkeys(("skus", "categories"), Many(Kind.TEXT)),
    },
)


class StepOutput(Enum):
    """What the steps with an output leave for later expressions."""

    SEND = "send"
    COUPON = "coupon"
    WEBHOOK = "webhook"


_OUTPUTS: dict[StepOutput, Shape] = {
    StepOutput.SEND: Record(
        "a send",
        dict.fromkeys(("sent", "delivered", "bounced", "clicked", "opened", "replied"), Kind.TRUTH),
    ),
    StepOutput.COUPON: Record(
        "a coupon",
        {
            "code": Kind.TEXT,
            "percent": Kind.NUMBER,
            "amount": Kind.NUMBER,
            "expires_at": Kind.TIME,
        },
    ),
    StepOutput.WEBHOOK: Kind.ANYTHING,
}

_NEEDS_EVENT = "there is no event here; people are chosen by what is known of them"
_ELSEWHERE = {
    **dict.fromkeys(("event", "checkout", "order"), _NEEDS_EVENT),
    "item": "only a trigger with `each` has an item",
    "key": "only a run that has begun has a key",
}
RESERVED = frozenset({"contact", "now", "tables", "segments", *_ELSEWHERE, *FUNCTIONS})


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names of one place, the segments and the tables.

    `elsewhere` holds names that other places know, with the reason why this one does not.
    """

    roots: Mapping[str, Shape]
    segments: frozenset[str] = frozenset()
    tables: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=lambda: dict(_ELSEWHERE))

    def names(self) -> frozenset[str]:
        """Every name that may begin a path or stand alone."""
        return frozenset(self.roots) | self.segments

    def with_event(self) -> Vocabulary:
        """Where an event has been heard: `event`, `checkout` and `order`."""
        return self._with({"event": EVENT, "checkout": CHECKOUT, "order": ORDER})

    def with_item(self) -> Vocabulary:
        """Where a run stands for one item of its event (`each`)."""
        return self._with({"item": ITEM})

    def with_key(self) -> Vocabulary:
        """Where a run has its key; a key is always compared as text."""
        return self._with({"key": Kind.TEXT})

    def with_steps(self, outputs: Mapping[str, StepOutput]) -> Vocabulary:
        """Where the outputs of earlier steps are known, by step id."""
        return self._with({name: _OUTPUTS[output] for name, output in outputs.items()})

    def _with(self, roots: Mapping[str, Shape]) -> Vocabulary:
        elsewhere = {name: why for name, why in self.elsewhere.items() if name not in roots}
        return replace(self, roots={**self.roots, **roots}, elsewhere=elsewhere)


def vocabulary(
    *,
    attributes: Mapping[str, Shape] | None = None,
    topics: Iterable[str] = (),
    segments: Iterable[str] = (),
    tables: Mapping[str, Mapping[str, Value]] | None = None,
) -> Vocabulary:
    """The names of a segment or an audience; other places add to it with `with_...`.

    Args:
        attributes: declared attributes with their shapes, see `ATTRIBUTE_KINDS`.
        topics: the topics of the file, for `contact.consent.CHANNEL.TOPIC`.
        segments: names of all segments.
        tables: contents of `tables`; values are texts, numbers or durations.
    """
    tables = tables or {}
    roots: dict[str, Shape] = {"contact": contact(attributes or {}, topics), "now": Kind.TIME}
    if tables:
        columns = {name: _column(name, table) for name, table in tables.items()}
        roots["tables"] = Record("tables", columns)
    return Vocabulary(roots, frozenset(segments), tables)


def contact(attributes: Mapping[str, Shape], topics: Iterable[str]) -> Record:
    """Everything known of a person. Declared attributes never hide a field of the product."""
    by_topic = dict.fromkeys(topics, Kind.TRUTH)
    consent = {
        channel: Record(f"contact.consent.{channel}", dict(by_topic)) for channel in CHANNELS
    }
    fields: dict[str, Shape] = {
        **_ADDRESSED,
        "created_at": Kind.TIME,
        "last_seen_at": Kind.TIME,
        "tags": Many(Kind.TEXT),
        "tracking": Kind.TRUTH,
        "consent": Record("contact.consent", dict(consent)),
        "source": Record("contact.source", rest=Kind.ANYTHING),
        "orders": ORDERS,
    }
    return Record("contact", {**attributes, **fields})


def _column(name: str, table: Mapping[str, Value]) -> Record:
    shape: Shape = Kind.NOTHING
    for value in table.values():
        shape = common(shape, _SHAPES.get(kind_of(value).__name__, Kind.ANYTHING))
    return Record(f"tables.{name}", rest=Kind.ANYTHING if shape is Kind.NOTHING else shape)


_SHAPES: dict[str, Shape] = {
    "str": Kind.TEXT,
    "Decimal": Kind.NUMBER,
    "bool": Kind.TRUTH,
    "datetime": Kind.TIME,
    "timedelta": Kind.DURATION,
}
