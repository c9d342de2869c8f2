"""The tree of an expression: frozen nodes that know where in the text they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape, common

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from decimal import Decimal

MOST_NODES = 200
MOST_DEPTH = 30


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the text."""

    at: int
    value: str | Decimal | bool | datetime | None


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    at: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """A name and its fields: `contact.orders.count`."""

    at: int
    parts: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Item:
    """`target[key]` where the key is computed, or a field of such an item."""

    at: int
    target: Node
    key: Node
    shape: Shape


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's name used as a condition."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """`not a`."""

    at: int
    operand: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    """`a and b and c`."""

    at: int
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`a or b or c`."""

    at: int
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a < b <= c`: each sign stands between its operand and the one before."""

    at: int
    first: Node
    links: tuple[tuple[str, Node], ...]

    def pairs(self) -> Iterator[tuple[Node, str, Node]]:
        """The single comparisons of a chain."""
        left = self.first
        for sign, right in self.links:
            yield left, sign, right
            left = right


@dataclass(frozen=True, slots=True)
class IsNone:
    """`a is none`, or `a is not none` when `negated`."""

    at: int
    operand: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`a + b` and the like; signs are + - * / // %."""

    at: int
    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative:
    """`-a`."""

    at: int
    operand: Node


@dataclass(frozen=True, slots=True)
class Join:
    """`a ~ b`: the texts of the parts, one after the other."""

    at: int
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """`a if condition else b`."""

    at: int
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Default:
    """`a | default(b)`: b when a is missing."""

    at: int
    operand: Node
    fallback: Node


@dataclass(frozen=True, slots=True)
class Filter:
    """`a | lower`, `a | upper`, `a | length`."""

    at: int
    name: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Has:
    """`has(list, element)`."""

    at: int
    whole: Node
    element: Node


@dataclass(frozen=True, slots=True)
class AnyItem:
    """`any_item(order, category='coffee')`; `items` is the list of items."""

    at: int
    items: Node
    fields: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class DurationOf:
    """`days(n)`, `hours(n)`, `minutes(n)`."""

    at: int
    unit: str
    amount: Node


@dataclass(frozen=True, slots=True)
class CountEvents:
    """`count_events(type, window, field=value)`: the contact's own events, up to now."""

    at: int
    type: str
    window: Node
    fields: tuple[tuple[str, Node], ...]


Node: TypeAlias = (
    Literal
    | ListOf
    | Path
    | Item
    | Segment
    | Not
    | AllOf
    | AnyOf
    | Comparison
    | IsNone
    | Arithmetic
    | Negative
    | Join
    | Choice
    | Default
    | Filter
    | Has
    | AnyItem
    | DurationOf
    | CountEvents
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression and the text it was read from."""

    text: str
    root: Node

    @property
    def shape(self) -> Shape:
        """What the expression yields."""
        return shape_of(self.root)

    def __str__(self) -> str:
        return self.text


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order of the text."""
    match node:
        case Literal() | Path() | Segment():
            return ()
        case ListOf():
            return node.items
        case Item():
            return node.target, node.key
        case AllOf() | AnyOf():
            return node.operands
        case Comparison():
            return node.first, *(right for _, right in node.links)
        case Not() | IsNone() | Negative() | Filter():
            return (node.operand,)
        case Arithmetic():
            return node.left, node.right
        case Join():
            return node.parts
        case Choice():
            return node.then, node.condition, node.otherwise
        case Default():
            return node.operand, node.fallback
        case Has():
            return node.whole, node.element
        case AnyItem():
            return node.items, *(value for _, value in node.fields)
        case DurationOf():
            return (node.amount,)
        case CountEvents():
            return node.window, *(value for _, value in node.fields)
        case _:
            assert_never(node)


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def depth(node: Node) -> int:
    """How many nodes stand one inside the other."""
    return 1 + max((depth(child) for child in children(node)), default=0)


def shape_of(node: Node) -> Shape:
    """What a node yields, as far as the text tells."""
    match node:
        case Literal():
            return _literal_shape(node.value)
        case Path() | Item():
            return node.shape
        case ListOf():
            return _list_shape(node.items)
        case Arithmetic():
            return _arithmetic_shape(node)
        case Negative():
            return shape_of(node.operand)
        case Choice():
            return common(shape_of(node.then), shape_of(node.otherwise))
        case Default():
            return common(shape_of(node.operand), shape_of(node.fallback))
        case Join():
            return Kind.TEXT
        case Filter():
            return Kind.NUMBER if node.name == "length" else Kind.TEXT
        case DurationOf():
            return Kind.DURATION
        case CountEvents():
            return Kind.NUMBER
        case Segment() | Not() | AllOf() | AnyOf() | Comparison() | IsNone() | Has() | AnyItem():
            return Kind.TRUTH
        case _:
            assert_never(node)


def _literal_shape(value: object) -> Kind:
    if value is None:
        return Kind.NOTHING
    if isinstance(value, bool):
        return Kind.TRUTH
    if isinstance(value, str):
        return Kind.TEXT
    return Kind.TIME if hasattr(value, "tzinfo") else Kind.NUMBER


def _list_shape(items: tuple[Node, ...]) -> Many:
    shape: Shape = Kind.NOTHING
    for item in items:
        shape = common(shape, shape_of(item))
    return Many(Kind.ANYTHING if shape is Kind.NOTHING else shape)


def _arithmetic_shape(node: Arithmetic) -> Shape:
    return arithmetic_result(node.sign, shape_of(node.left), shape_of(node.right)) or Kind.ANYTHING


def arithmetic_result(sign: str, left: Shape, right: Shape) -> Shape | None:
    """Shape of `left sign right`, or None when that can never be right."""
    if isinstance(left, (Record, Many)) or isinstance(right, (Record, Many)):
        return None
    known = _RESULTS.get((left, sign, right))
    if known or Kind.ANYTHING not in (left, right):
        return known
    other = right if left is Kind.ANYTHING else left
    if other is Kind.NUMBER:
        return Kind.NUMBER if sign in {"+", "-", "//", "%"} else Kind.ANYTHING
    return Kind.ANYTHING if other in {Kind.TIME, Kind.DURATION, Kind.ANYTHING} else None


_RESULTS: dict[tuple[Kind, str, Kind], Kind] = {
    **{(Kind.NUMBER, sign, Kind.NUMBER): Kind.NUMBER for sign in ("+", "-", "*", "/", "//", "%")},
    **{(Kind.TIME, sign, Kind.DURATION): Kind.TIME for sign in "+-"},
    **{(Kind.DURATION, sign, Kind.DURATION): Kind.DURATION for sign in "+-"},
    **{(Kind.DURATION, sign, Kind.NUMBER): Kind.DURATION for sign in "*/"},
    (Kind.DURATION, "+", Kind.TIME): Kind.TIME,
    (Kind.NUMBER, "*", Kind.DURATION): Kind.DURATION,
    (Kind.TIME, "-", Kind.TIME): Kind.DURATION,
}
