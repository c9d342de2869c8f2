"""Nodes as plain data: the fields of an event as a webhook would carry them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from orchestrator.flowfile.shapes import NUMBER, JsonSchema, Shape
from orchestrator.flowfile.source import Listing, Log, Mapping, Node, Scalar, Span, describe

_WORDS: Final[dict[str, Any]] = {"true": True, "false": False}
_TEXTS: Final = frozenset(
    "id product_id sku name category checkout_id order_id number carrier currency text"
    " email phone first_name last_name locale timezone country".split()
)
"""Fields of text: `sku: 1.10` and `phone: 0401234567` are read as written."""


@dataclass(frozen=True, slots=True)
class Given:
    """Fields as plain data, and where each stands: `items[0].price` to its span."""

    values: dict[str, Any]
    places: dict[str, Span]


@dataclass(frozen=True, slots=True)
class AnyFields(Shape[Given]):
    """A group of any keys, or nothing at all."""

    wanted: str
    example: str

    def read(self, node: Node, log: Log) -> Given | None:
        """The fields."""
        if isinstance(node, Scalar) and node.is_empty:
            return Given({}, {})
        if not isinstance(node, Mapping):
            span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
            message = f"{self.wanted} are wanted here, not {describe(node)}"
            log.wrong("value", span, message, f"write {self.example}")
            return None
        return given(node)

    def schema(self) -> JsonSchema:
        """Any object."""
        return {"type": ["object", "null"]}


def given(node: Mapping) -> Given:
    """The entries of a group as plain data."""
    values = {entry.key.text: plain(entry.value, entry.key.text) for entry in node.entries}
    return Given(values, dict(_places(node, "")))


def plain(node: Node, name: str = "") -> Any:
    """A node as a JSON value; numbers are exact. `name` is the key it stands under."""
    match node:
        case Mapping():
            return {entry.key.text: plain(entry.value, entry.key.text) for entry in node.entries}
        case Listing():
            return [plain(item) for item in node.items]
        case Scalar():
            return _value(node, name)


def _value(node: Scalar, name: str) -> Any:
    if node.is_empty:
        return None
    if node.style or name in _TEXTS:
        return node.text
    if node.text in _WORDS:
        return _WORDS[node.text]
    if not NUMBER.fullmatch(node.text):
        return node.text
    number = Decimal(node.text)
    return int(number) if "." not in node.text else number


def _places(node: Node, path: str) -> Iterator[tuple[str, Span]]:
    """Each value's path as events name it, with the place of its key or item."""
    match node:
        case Mapping():
            for entry in node.entries:
                below = f"{path}.{entry.key.text}" if path else entry.key.text
                yield below, entry.value if isinstance(entry.value, Scalar) else entry.key
                yield from _places(entry.value, below)
        case Listing():
            for number, item in enumerate(node.items):
                below = f"{path}[{number}]"
                yield below, Span(item.start, item.start + 1)
                yield from _places(item, below)
        case Scalar():
            return
