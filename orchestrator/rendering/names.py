"""The names a template may use, and facts shaped so that each known field exists.

The fields are those of the expressions in flows.yaml. A known field without a value is none (a
list is empty, a group has every field of its own at none); so is any key missing under an open
group such as `event.data`. A name that is not known at all is an error. Texts hold no control
characters: they mean nothing to a reader, and the plain part uses some of them as marks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final

from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape
from orchestrator.domain.expressions.vocabulary import CHECKOUT, EVENT, ITEM, ORDER

MAX_EXPONENT: Final = 20
"""Decimal exponents beyond it are no price or quantity, but could fill the memory."""

_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""All but tabs and the ends of lines; half a surrogate pair is no character either."""
_SIMPLE: Final = frozenset({int, float, str})


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


Shaper = Callable[[Mapping[str, Any] | None], Facts]


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


def shaper(record: Record) -> Shaper:
    """What gives values every field of the record; numbers become decimals, times times.

    Nobody changes facts, so that one absent record serves all messages.
    """
    makers = {name: _maker(shape) for name, shape in record.fields.items()}
    open_ended = record.rest is not None
    absent = NoFacts({name: make(None) for name, make in makers.items()}, open_ended=open_ended)

    def shape(values: Mapping[str, Any] | None) -> Facts:
        if not values:
            return absent
        facts = Facts(absent, open_ended=open_ended)
        for name, value in values.items():
            if name in makers:
                facts[name] = makers[name](value)
            elif open_ended:
                facts[_clean(name)] = _loose(value)
        return facts

    return shape


def shaped(values: Mapping[str, Any] | None, record: Record) -> Facts:
    """The values with every field of the record, once."""
    return shaper(record)(values)


def number(value: object) -> Decimal | None:
    """A decimal from a number or its text; none for anything else or of absurd size."""
    # Prices and quantities come again and again; 0.0 is left out, for it equals -0.0.
    return _known_number(value) if value and type(value) in _SIMPLE else _number(value)


def _number(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        decimal = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    if not decimal.is_finite() or abs(decimal.adjusted()) > MAX_EXPONENT:
        return None
    return decimal


_known_number = lru_cache(maxsize=4096, typed=True)(_number)


def moment(value: object) -> object:
    """A time from its ISO 8601 text; other values stay as they are."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


def _maker(shape: Shape) -> Callable[[Any], Any]:
    """What makes a field of its value."""
    if isinstance(shape, Record):
        within = shaper(shape)
        return lambda value: within(value if isinstance(value, Mapping) else None)
    if isinstance(shape, Many):
        return partial(_listed, make=_maker(shape.of))
    if shape is Kind.TIME:
        return lambda value: _loose(moment(value))
    return number if shape is Kind.NUMBER else _loose


def _listed(value: Any, make: Callable[[Any], Any]) -> tuple[Any, ...]:
    if value is None:
        return NoList()
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (make(value),)
    return tuple([make(entry) for entry in value])


def _loose(value: object) -> object:
    if isinstance(value, str):
        return _clean(value)
    if value is None or isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, Mapping):
        known = {_clean(str(key)): _loose(below) for key, below in value.items()}
        return Facts(known, open_ended=True)
    if isinstance(value, list | tuple):
        return tuple(_loose(entry) for entry in value)
    return value


def _clean(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub("", text)
