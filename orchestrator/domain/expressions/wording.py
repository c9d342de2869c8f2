"""Writing expressions and values for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from orchestrator.domain.expressions.arithmetic import number_text
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

if TYPE_CHECKING:
    from orchestrator.domain.expressions.values import Value

_LONGEST_TEXT = 60
_MOST_LISTED = 8


def named(node: Node) -> str:
    """How a sentence calls a node: `contact.` goes without saying."""
    return written(node).removeprefix("contact.")


def said(value: Value) -> str:
    """A value in a sentence: `"coffee"`, `3`, `2026-11-20 10:00 UTC`, `3 days`, `missing`."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST_TEXT else value[: _LONGEST_TEXT - 1] + "…"
        return f'"{short}"'
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, timedelta):
        return _length(value)
    return "a group of fields" if isinstance(value, Mapping) else _listed(list(value))


def _listed(values: list[object]) -> str:
    if not values:
        return "empty"
    shown = [said(value) for value in values[:_MOST_LISTED]]  # type: ignore[arg-type]
    rest = len(values) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _moment(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    shown = f"{moment:%Y-%m-%d %H:%M}" if moment.year >= 1000 else moment.isoformat(" ")  # noqa: PLR2004
    seconds = f":{moment:%S}" if moment.second or moment.microsecond else ""
    return f"{shown}{seconds} UTC"


def _length(length: timedelta) -> str:
    sign, seconds = ("-", -length) if length < timedelta(0) else ("", length)
    for name, unit in _UNITS:
        if seconds >= unit:
            count = Decimal(seconds // timedelta(microseconds=1)) / Decimal(
                unit // timedelta(microseconds=1)
            )
            amount = number_text(round(count, 2))
            return f"{sign}{amount} {name}{'' if amount == '1' else 's'}"
    return f"{sign}{seconds.total_seconds():g} seconds"


_UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
)


def _literal(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, Decimal):
        return number_text(value)
    return str(value).lower()


_Loose: TypeAlias = AllOf | AnyOf | Not | Choice | Comparison | IsNone | Arithmetic | Join
_LOOSE = (AllOf, AnyOf, Not, Choice, Comparison, IsNone, Arithmetic, Join, Negative)


def _inner(node: Node) -> str:
    return f"({written(node)})" if isinstance(node, _LOOSE) else written(node)


def written(node: Node) -> str:
    """The node as an expression that reads back as the same tree."""
    match node:
        case Literal():
            return _literal(node.value)
        case Path():
            return node.parts[0] + "".join(_step(part) for part in node.parts[1:])
        case Item():
            key = node.key.value if isinstance(node.key, Literal) else None
            step = _step(key) if isinstance(key, str) else f"[{written(node.key)}]"
            return _inner(node.target) + step
        case Segment():
            return node.name
        case ListOf():
            return "[" + ", ".join(written(item) for item in node.items) + "]"
        case Negative():
            return f"-{_inner(node.operand)}"
        case Filter():
            return f"{_inner(node.operand)} | {node.name}"
        case Default():
            return f"{_inner(node.operand)} | default({written(node.fallback)})"
        case Has():
            return f"has({written(node.whole)}, {written(node.element)})"
        case AnyItem():
            return f"any_item({written(node.items)}{_arguments(node.fields)})"
        case DurationOf():
            return f"{node.unit}({written(node.amount)})"
        case CountEvents():
            window = written(node.window)
            return f"count_events('{node.type}', {window}{_arguments(node.fields)})"
        case _:
            return _written_loosely(node)


def _written_loosely(node: _Loose) -> str:
    match node:
        case Not():
            return f"not {_inner(node.operand)}"
        case AllOf():
            return " and ".join(_inner(operand) for operand in node.operands)
        case AnyOf():
            return " or ".join(_inner(operand) for operand in node.operands)
        case Comparison():
            links = "".join(f" {sign} {_inner(right)}" for sign, right in node.links)
            return _inner(node.first) + links
        case IsNone():
            return f"{_inner(node.operand)} is {'not ' if node.negated else ''}none"
        case Arithmetic():
            return f"{_inner(node.left)} {node.sign} {_inner(node.right)}"
        case Join():
            return " ~ ".join(_inner(part) for part in node.parts)
        case Choice():
            taken, condition = _inner(node.then), _inner(node.condition)
            return f"{taken} if {condition} else {_inner(node.otherwise)}"


def _step(part: str) -> str:
    return f".{part}" if part.isidentifier() else f"[{_literal(part)}]"


def _arguments(fields: tuple[tuple[str, Node], ...]) -> str:
    return "".join(f", {name}={written(value)}" for name, value in fields)
