"""Evaluating an expression for one person.

Logic is two-valued: a comparison with a missing value is false, and its negation true. Only
`is none` and `default` see that a value is missing. Arithmetic with a missing value is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, TypeAlias, assert_never

from orchestrator.domain.expressions import arithmetic
from orchestrator.domain.expressions.nodes import (
    AllOf,
    AnyItem,
    AnyOf,
    Arithmetic,
    Choice,
    Comparison,
    CountEvents,
    Default,
    DurationOf,
    Expression,
    Filter,
    Has,
    IsNone,
    Item,
    Join,
    ListOf,
    Literal,
    Negative,
    Node,
    Not,
    Path,
    Segment,
)
from orchestrator.domain.expressions.shapes import Kind, Record
from orchestrator.domain.expressions.values import (
    Value,
    compare,
    contains,
    read,
    same,
    text_of,
    truth,
)
from orchestrator.domain.expressions.vocabulary import EVENT_COUNTED, ITEM

EventCounter: TypeAlias = Callable[[str, timedelta, Mapping[str, Value]], int]


class Scope(Protocol):
    """What an expression can see of one person at one moment."""

    @property
    def now(self) -> datetime:
        """The moment of asking, aware UTC."""

    def named(self, name: str) -> object:
        """What a first name (`contact`, `event`, `tables`, a step) stands for; None if nothing.

        Groups of fields are mappings, lists are lists or tuples.
        """

    def segment(self, name: str) -> Expression:
        """The condition of a segment; KeyError for a name the loader did not accept."""

    def count_events(self, event_type: str, window: timedelta, where: Mapping[str, Value]) -> int:
        """The person's events of a type in `(now - window, now]` whose fields equal `where`.

        `event_field` says which field a name in `where` means.
        """


def no_events(_type: str, _window: timedelta, _where: Mapping[str, Value]) -> int:
    """The counter of a person without any event."""
    return 0


@dataclass(frozen=True)
class Facts:
    """A scope over plain mappings."""

    now: datetime
    names: Mapping[str, object]
    segments: Mapping[str, Expression] = field(default_factory=dict)
    counter: EventCounter = no_events

    def named(self, name: str) -> object:
        """See `Scope.named`."""
        return self.names.get(name)

    def segment(self, name: str) -> Expression:
        """See `Scope.segment`."""
        return self.segments[name]

    def count_events(self, event_type: str, window: timedelta, where: Mapping[str, Value]) -> int:
        """See `Scope.count_events`."""
        return self.counter(event_type, window, where)


def evaluate(expression: Expression, scope: Scope) -> Value:
    """The value of an expression; None when it is missing."""
    return value_of(expression.root, scope)


def holds(expression: Expression, scope: Scope) -> bool:
    """Whether a condition holds. A missing value does not."""
    return truth(evaluate(expression, scope))


def event_field(event: Mapping[str, object], name: str) -> Value:
    """A field of an event as `count_events(..., name=value)` means it.

    A field of the event itself comes first, then one of its product, then one of its data.
    """
    if name in EVENT_COUNTED:
        return read(event.get(name), EVENT_COUNTED[name])
    product, data = event.get("product"), event.get("data")
    if isinstance(product, Mapping) and product.get(name) is not None:
        return read(product[name], ITEM.fields.get(name, Kind.ANYTHING))
    return read(data.get(name), Kind.ANYTHING) if isinstance(data, Mapping) else None


def value_of(node: Node, scope: Scope) -> Value:
    """The value of a node; None when it is missing."""
    match node:
        case Literal():
            return node.value
        case Path():
            return _path(node, scope)
        case Item():
            return _item(node, scope)
        case ListOf():
            return tuple(value_of(item, scope) for item in node.items)
        case Arithmetic():
            left, right = value_of(node.left, scope), value_of(node.right, scope)
            return calculate(node.sign, left, right)
        case Negative():
            return _negative(value_of(node.operand, scope))
        case Join():
            texts = [text_of(value_of(part, scope)) for part in node.parts]
            return None if None in texts else "".join(text or "" for text in texts)
        case Choice():
            taken = node.then if true(node.condition, scope) else node.otherwise
            return value_of(taken, scope)
        case Default():
            value = value_of(node.operand, scope)
            return value_of(node.fallback, scope) if value is None else value
        case Filter():
            return _filtered(node.name, value_of(node.operand, scope))
        case DurationOf():
            amount = value_of(node.amount, scope)
            return arithmetic.duration(node.unit, amount) if isinstance(amount, Decimal) else None
        case CountEvents():
            return _count(node, scope)
        case _:
            return _truth_of(node, scope)


def true(node: Node, scope: Scope) -> bool:
    """Whether a node used as a condition holds."""
    return truth(value_of(node, scope))


_Condition: TypeAlias = Segment | Not | AllOf | AnyOf | Comparison | IsNone | Has | AnyItem


def _truth_of(node: _Condition, scope: Scope) -> bool:
    match node:
        case Segment():
            return holds(scope.segment(node.name), scope)
        case Not():
            return not true(node.operand, scope)
        case AllOf():
            return all(true(operand, scope) for operand in node.operands)
        case AnyOf():
            return any(true(operand, scope) for operand in node.operands)
        case Comparison():
            return all(
                compare(sign, value_of(left, scope), value_of(right, scope))
                for left, sign, right in node.pairs()
            )
        case IsNone():
            return (value_of(node.operand, scope) is None) is not node.negated
        case Has():
            whole = value_of(node.whole, scope)
            return contains(whole, value_of(node.element, scope)) is True
        case AnyItem():
            return _any_item(node, scope)
        case _:
            assert_never(node)


def _path(node: Path, scope: Scope) -> Value:
    if node.parts == ("now",):
        return scope.now
    found = scope.named(node.parts[0])
    for part in node.parts[1:]:
        found = found.get(part) if isinstance(found, Mapping) else None
    return read(found, node.shape)


def _item(node: Item, scope: Scope) -> Value:
    target, key = value_of(node.target, scope), value_of(node.key, scope)
    found: object = None
    if isinstance(target, Mapping):
        found = target.get(text_of(key) or "")
    elif isinstance(target, tuple) and isinstance(key, Decimal) and key == int(key):
        index = int(key)
        found = target[index] if -len(target) <= index < len(target) else None
    return read(found, node.shape)


def calculate(sign: str, left: Value, right: Value) -> Value:
    """`left sign right`; None when a side is missing or the two do not go together."""
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return _NUMBERS[sign](left, right)
    if isinstance(left, datetime):
        return _from_time(sign, left, right)
    if isinstance(left, timedelta):
        return _from_duration(sign, left, right)
    if sign == "*" and isinstance(left, Decimal) and isinstance(right, timedelta):
        return arithmetic.scale(right, left)
    return None


def _from_time(sign: str, left: datetime, right: Value) -> Value:
    if isinstance(right, timedelta) and sign in {"+", "-"}:
        return arithmetic.shift(left, right if sign == "+" else -right)
    return left - right if sign == "-" and isinstance(right, datetime) else None


def _from_duration(sign: str, left: timedelta, right: Value) -> Value:
    match sign, right:
        case "+", datetime():
            return arithmetic.shift(right, left)
        case "+", timedelta():
            return left + right
        case "-", timedelta():
            return left - right
        case "*", Decimal():
            return arithmetic.scale(left, right)
        case "/", Decimal():
            return arithmetic.scale(left, arithmetic.divide(Decimal(1), right))
        case _:
            return None


_NUMBERS: dict[str, Callable[[Decimal, Decimal], Decimal | None]] = {
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "/": arithmetic.divide,
    "//": arithmetic.divide_whole,
    "%": arithmetic.remainder,
}


def _negative(value: Value) -> Value:
    if isinstance(value, Decimal):
        return arithmetic.subtract(Decimal(0), value)
    return -value if isinstance(value, timedelta) else None


def _filtered(name: str, value: Value) -> Value:
    if name == "length":
        return Decimal(len(value)) if isinstance(value, (str, tuple)) else None
    if not isinstance(value, str):
        return None
    return value.lower() if name == "lower" else value.upper()


def _any_item(node: AnyItem, scope: Scope) -> bool:
    items = value_of(node.items, scope)
    wanted = {name: value_of(value, scope) for name, value in node.fields}
    return isinstance(items, tuple) and any(_matches(item, wanted) for item in items)


def _matches(item: object, wanted: Mapping[str, Value]) -> bool:
    fields = read(item, Record("item"))
    return isinstance(fields, Mapping) and all(
        same(read(fields.get(name), ITEM.fields.get(name, Kind.ANYTHING)), value)
        for name, value in wanted.items()
    )


def _count(node: CountEvents, scope: Scope) -> Decimal | None:
    window = value_of(node.window, scope)
    where = {name: value_of(value, scope) for name, value in node.fields}
    if not isinstance(window, timedelta):
        return None
    if None in where.values():  # nothing equals a missing value
        return Decimal(0)
    return Decimal(scope.count_events(node.type, window, where))
