"""The names a template may use, and facts shaped so that each known field exists.

A known field without a value is none (a list is empty, a record has every field of its own at
none); so is any key missing under an open record such as `event.data`. A name that is not known
at all stays unknown, and using it is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final


class Record(dict[str, Any]):
    """Facts under known names. Fields win over Python's own methods: `order.items` is a field.

    An empty record is false and counts as none.
    """

    __slots__ = ("open",)

    def __init__(self, values: Mapping[str, Any], *, open_ended: bool = False) -> None:
        super().__init__(values)
        self.open = open_ended


class AbsentRecord(Record):
    """The record of something that is not there: every field is none."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """Never true, whatever fields it can name."""
        return False


class AbsentList(tuple[Any, ...]):
    """A list that was not given: loops over it do nothing, and it counts as none."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a kind of record; other keys are none if `open_ended`, else unknown."""

    plain: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    records: Mapping[str, Shape] = field(default_factory=dict)
    lists: Mapping[str, Shape | None] = field(default_factory=dict)
    open_ended: bool = False

    def names(self) -> frozenset[str]:
        """Every known field."""
        return frozenset((*self.plain, *self.numbers, *self.records, *self.lists))

    def with_plain(self, names: Sequence[str]) -> Shape:
        """The same shape with further plain fields."""
        plain = (*self.plain, *names)
        return Shape(plain, self.numbers, self.records, self.lists, open_ended=self.open_ended)


OPEN: Final = Shape(open_ended=True)

ITEM: Final = Shape(
    plain=("id", "product_id", "sku", "name", "category", "url", "image"),
    numbers=("quantity", "price"),
)

CONTACT: Final = Shape(
    plain=(
        *("id", "email", "phone", "first_name", "last_name", "locale", "timezone", "country"),
        *("created_at", "tracking", "last_seen_at"),
    ),
    records={
        "consent": OPEN,
        "source": OPEN,
        "orders": Shape(
            plain=("first_at", "last_at"),
            numbers=("count", "total", "average"),
            lists={"skus": None, "categories": None},
        ),
    },
    lists={"tags": None},
)

EVENT: Final = Shape(
    plain=("id", "type", "occurred_at", "checkout_id", "order_id", "currency", "checkout_url")
    + ("text",),
    numbers=("total", "rating", "score"),
    records={
        "contact": CONTACT,
        "product": OPEN,
        "tracking": Shape(plain=("carrier", "number", "url")),
        "consent": OPEN,
        "data": OPEN,
    },
    lists={"items": ITEM},
)

LINKS: Final = Shape(plain=("unsubscribe", "preferences", "confirm", "view", "privacy"))

BRAND: Final = Shape(
    plain=(
        *("name", "legal_name", "url", "postal_address", "support", "locale", "timezone"),
        "currency",
    ),
    records={
        "logo": Shape(plain=("light", "dark")),
        "privacy": Shape(
            plain=("version", "effective", "url", "previous_url", "why"), lists={"changes": None}
        ),
    },
)

ROOTS: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "contact": CONTACT,
        "event": EVENT,
        "checkout": EVENT,
        "order": EVENT,
        "item": ITEM,
        "links": LINKS,
        "brand": BRAND,
    }
)
"""The names at the top, apart from step outputs."""


def shaped(values: Mapping[str, Any] | None, shape: Shape) -> Record:
    """The values with every field of the shape; numbers become decimals."""
    if not values:
        return _absent(shape)
    known: dict[str, Any] = dict.fromkeys(shape.plain)
    if shape.open_ended:
        known.update((key, _loose(value)) for key, value in values.items())
    else:
        known.update((name, _loose(values[name])) for name in shape.plain if name in values)
    for name in shape.numbers:
        known[name] = number(values.get(name))
    for name, below in shape.records.items():
        value = values.get(name)
        known[name] = shaped(value if isinstance(value, Mapping) else None, below)
    for name, element in shape.lists.items():
        known[name] = _listed(values.get(name), element)
    return Record(known, open_ended=shape.open_ended)


def number(value: object) -> Decimal | None:
    """A decimal from a number or its text; none for anything else or of absurd size."""
    if value is None or isinstance(value, bool):
        return None
    try:
        decimal = Decimal(str(value))
    except InvalidOperation:
        return None
    absurd = not decimal.is_finite() or abs(decimal.adjusted()) > 20
    return None if absurd and decimal != 0 else decimal


def _absent(shape: Shape) -> AbsentRecord:
    known: dict[str, Any] = dict.fromkeys((*shape.plain, *shape.numbers))
    known.update((name, _absent(below)) for name, below in shape.records.items())
    known.update((name, AbsentList()) for name in shape.lists)
    return AbsentRecord(known, open_ended=shape.open_ended)


def _listed(value: object, element: Shape | None) -> tuple[Any, ...]:
    if value is None:
        return AbsentList()
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (value,)
    if element is None:
        return tuple(_loose(entry) for entry in value)
    return tuple(shaped(entry, element) for entry in value if isinstance(entry, Mapping))


def _loose(value: object) -> object:
    if isinstance(value, Mapping):
        return Record({str(key): _loose(below) for key, below in value.items()}, open_ended=True)
    if isinstance(value, list | tuple):
        return tuple(_loose(entry) for entry in value)
    return value
