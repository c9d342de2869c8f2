"""The names a template may use, and facts shaped so that each known field exists.

The fields are those of the expressions in flows.yaml. A known field without a value is none (a
list is empty, a group has every field of its own at none); so is any key missing under an open
group such as `event.data`. A name that is not known at all is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape
from orchestrator.domain.expressions.vocabulary import CHECKOUT, EVENT, ITEM, ORDER

MAX_EXPONENT: Final = 20
"""Decimal exponents beyond it are no price or quantity, but could fill the memory."""


class Facts(dict[str, Any]):
    """Values under known names. Fields win over Python's own methods: `order.items` is a field.

    Other keys are none if `open_ended`, else unknown.
    """

    __slots__ = ("open_ended",)

    def __init__(self, values: Mapping[str, Any], *, open_ended: bool = False) -> None:
        super().__init__(values)
        self.open_ended = open_ended


class NoFacts(Facts):
    """The facts of something that is not there: false, none, and every field of it is none."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


class NoList(tuple[Any, ...]):
    """A list that was not given: loops over it do nothing, and it counts as none."""

    __slots__ = ()


def _texts(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), Kind.TEXT)


LINKS: Final = Record("links", _texts("unsubscribe preferences confirm view privacy"))
BRAND: Final = Record(
    "brand",
    {
        **_texts("name legal_name url postal_address support locale timezone currency"),
        "logo": Record("brand.logo", _texts("light dark")),
        "privacy": Record(
            "brand.privacy",
            {**_texts("version effective url previous_url why"), "changes": Many(Kind.TEXT)},
        ),
    },
)
OUTPUT: Final = Record("a step's output", rest=Kind.ANYTHING)

ROOTS: Final[Mapping[str, Record]] = MappingProxyType(
    {"event": EVENT, "checkout": CHECKOUT, "order": ORDER, "item": ITEM, "links": LINKS}
)
"""The names at the top, apart from `contact`, `brand` and step outputs."""


def shaped(values: Mapping[str, Any] | None, record: Record) -> Facts:
    """The values with every field of the record; numbers become decimals, times times."""
    if not values:
        return _absent(record)
    known: dict[str, Any] = {
        name: _value(values.get(name), shape) for name, shape in record.fields.items()
    }
    if record.rest is not None:
        known.update(
            (key, _loose(value)) for key, value in values.items() if key not in record.fields
        )
    return Facts(known, open_ended=record.rest is not None)


def number(value: object) -> Decimal | None:
    """A decimal from a number or its text; none for anything else or of absurd size."""
    if value is None or isinstance(value, bool):
        return None
    try:
        decimal = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    if not decimal.is_finite() or abs(decimal.adjusted()) > MAX_EXPONENT:
        return None
    return decimal


def moment(value: object) -> object:
    """A time from its ISO 8601 text; other values stay as they are."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


def _value(value: Any, shape: Shape) -> Any:
    if shape is Kind.TEXT:
        return _loose(value)
    if isinstance(shape, Record):
        return shaped(value if isinstance(value, Mapping) else None, shape)
    if isinstance(shape, Many):
        return _listed(value, shape.of)
    if shape is Kind.NUMBER:
        return number(value)
    if shape is Kind.TIME:
        return moment(value)
    return _loose(value)


def _listed(value: Any, element: Shape) -> tuple[Any, ...]:
    if value is None:
        return NoList()
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (_value(value, element),)
    return tuple(_value(entry, element) for entry in value)


def _loose(value: object) -> object:
    if value is None or isinstance(value, (str, int, Decimal)):
        return value
    if isinstance(value, Mapping):
        return Facts({str(key): _loose(below) for key, below in value.items()}, open_ended=True)
    if isinstance(value, list | tuple):
        return tuple(_loose(entry) for entry in value)
    return value


def _absent(record: Record) -> NoFacts:
    known = {field: _value(None, shape) for field, shape in record.fields.items()}
    return NoFacts(known, open_ended=record.rest is not None)
