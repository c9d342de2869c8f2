"""Functions and filters of an expression: which there are and what they take."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from jinja2 import nodes

from orchestrator.domain.expressions import Kind, Many, Record
from orchestrator.domain.expressions import nodes as tree
from orchestrator.domain.expressions.arithmetic import UNITS
from orchestrator.domain.expressions.vocabulary import (
    EVENT,
    EVENT_COUNTED,
    FILTERS,
    FUNCTIONS,
    ITEM,
)

if TYPE_CHECKING:
    from orchestrator.flowfile.expression_tree import Translation

_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
_USAGE = {
    "has": "has(list, value)",
    "any_item": "any_item(order, category='coffee')",
    "days": "days(30)",
    "hours": "hours(12)",
    "minutes": "minutes(45)",
    "count_events": "count_events('product.viewed', days(30))",
}
_OF_JINJA = {
    "range": "write the values out in a list",
    "dict": "write the values out in a list",
    "lipsum": "write the text out",
    "cycler": "write a condition",
    "joiner": "join texts with ~",
    "namespace": "write a condition",
    "now": "write now without ( )",
    "len": "write `| length`",
    "seconds": "write minutes(n), or minutes(n / 60)",
    "weeks": "write days(7 * n)",
    "months": "write days(30)",
}
_METHODS = {
    "lower": "write `| lower`",
    "upper": "write `| upper`",
    "get": "write the field after a point",
    "format": "join texts with ~",
    "startswith": "write `'text' in field`",
    "endswith": "write `'text' in field`",
}


class Calls:
    """Translates calls and filters on behalf of a translation."""

    def __init__(self, translation: Translation) -> None:
        """Work for a translation; problems are noted there."""
        self._to = translation

    def call(self, node: nodes.Call) -> tree.Node:
        """A function of ours; anything else is refused by name."""
        if not isinstance(node.node, nodes.Name):
            return self._method(node)
        name, at = node.node.name, node.node.lineno
        if name not in FUNCTIONS:
            near = get_close_matches(name, FUNCTIONS, n=1)
            hint = _OF_JINJA.get(name) or (
                f"did you mean {near[0]}?" if near else "known are " + ", ".join(FUNCTIONS)
            )
            return self._to.unknown(at, len(name), f'unknown function "{name}"', hint)
        if node.dyn_args or node.dyn_kwargs:
            message = "* and ** are not available in a call"
            return self._to.unknown(at, len(name), message, f"write {_USAGE[name]}")
        match name:
            case "has":
                return self._has(node, at)
            case "any_item":
                return self._any_item(node, at)
            case "count_events":
                return self._count_events(node, at)
            case _:
                return self._duration(node, name, at)

    def _method(self, node: nodes.Call) -> tree.Node:
        inner = node.node
        at = getattr(inner, "lineno", node.lineno)
        if isinstance(inner, nodes.Getattr):
            name = inner.attr
            known = f"known functions are {', '.join(FUNCTIONS)}"
            field = f"write .{name} without ( )" if name in EVENT.fields else known
            hint = _METHODS.get(name, field)
            return self._to.unknown(at + 1, len(name), f"{name}() of a field is not called", hint)
        return self._to.unknown(at, 1, "only functions are called", "remove the ( )")

    def _wrong(self, name: str, at: int, message: str) -> tree.Node:
        return self._to.unknown(at, len(name), f"{name}: {message}", f"write {_USAGE[name]}")

    def _has(self, node: nodes.Call, at: int) -> tree.Node:
        if len(node.args) != 2 or node.kwargs:  # noqa: PLR2004 - a list and a value
            return self._wrong("has", at, "takes a list and a value")
        whole, element = map(self._to.translate, node.args)
        return tree.Has(at, whole, element)

    def _any_item(self, node: nodes.Call, at: int) -> tree.Node:
        if len(node.args) != 1 or not node.kwargs:
            return self._wrong("any_item", at, "takes event, checkout or order, then field=value")
        items = self._items(self._to.translate(node.args[0]))
        if items is None:
            return self._wrong("any_item", at, "looks into event, checkout or order")
        for keyword in node.kwargs:
            if keyword.key not in ITEM.fields:
                self._unknown_field(keyword, ITEM)
        return tree.AnyItem(at, items, self._fields(node))

    @staticmethod
    def _items(source: tree.Node) -> tree.Node | None:
        shape = tree.shape_of(source)
        if isinstance(source, tree.Path) and isinstance(shape, Record) and "items" in shape.fields:
            return tree.Path(source.at, (*source.parts, "items"), shape.fields["items"])
        if isinstance(shape, Many) and isinstance(shape.of, (Record, Kind)):
            return source if shape.of in {ITEM, Kind.ANYTHING} else None
        return source if shape is Kind.ANYTHING else None

    def _unknown_field(self, keyword: nodes.Keyword, record: Record) -> None:
        at = self._keyword_offset(keyword)
        known = [name for name, shape in record.fields.items() if isinstance(shape, Kind)]
        near = get_close_matches(keyword.key, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(sorted(known))
        message = f'{record.name} has no field "{keyword.key}"'
        self._to.problem(at, len(keyword.key), message, hint)

    def _keyword_offset(self, keyword: nodes.Keyword) -> int:
        before = self._to.text[: keyword.value.lineno]
        return max(0, before.rfind(keyword.key))

    def _fields(self, node: nodes.Call) -> tuple[tuple[str, tree.Node], ...]:
        return tuple((word.key, self._to.translate(word.value)) for word in node.kwargs)

    def _count_events(self, node: nodes.Call, at: int) -> tree.Node:
        if len(node.args) != 2:  # noqa: PLR2004 - a type and a window
            return self._wrong("count_events", at, "takes an event type, a duration, field=value")
        kind = node.args[0]
        if not isinstance(kind, nodes.Const) or not isinstance(kind.value, str):
            return self._wrong("count_events", at, "the event type is a text in quotes")
        if not _EVENT_TYPE.fullmatch(kind.value):
            message = f"'{kind.value}' is not an event type"
            hint = "write a dotted name such as 'product.viewed'"
            return self._to.unknown(kind.lineno, len(kind.value) + 2, message, hint)
        for keyword in node.kwargs:
            if not isinstance(EVENT.at(keyword.key) or Kind.ANYTHING, Kind):
                self._unknown_field(keyword, Record("event", EVENT_COUNTED))
        window = self._to.translate(node.args[1])
        return tree.CountEvents(at, kind.value, window, self._fields(node))

    def _duration(self, node: nodes.Call, name: str, at: int) -> tree.Node:
        if name not in UNITS or len(node.args) != 1 or node.kwargs:
            return self._wrong(name, at, "takes one number")
        return tree.DurationOf(at, name, self._to.translate(node.args[0]))

    def filter(self, node: nodes.Filter) -> tree.Node:
        """A filter of ours; anything else is refused by name."""
        at, name = node.lineno, node.name
        operand = self._to.translate(node.node or nodes.Const(None, lineno=at))
        if name not in FILTERS:
            near = get_close_matches(name, FILTERS, n=1)
            hint = f"did you mean {near[0]}?" if near else "known are " + ", ".join(FILTERS)
            return self._to.unknown(at, len(name), f'unknown filter "{name}"', hint)
        wanted = 1 if name == "default" else 0
        if len(node.args) != wanted or node.kwargs or node.dyn_args or node.dyn_kwargs:
            usage = "default('friend')" if name == "default" else name
            message = f"{name} takes {'one value' if wanted else 'nothing in ( )'}"
            return self._to.unknown(at, len(name), message, f"write `| {usage}`")
        if name == "default":
            return tree.Default(operand.at, operand, self._to.translate(node.args[0]))
        return tree.Filter(operand.at, name, operand)
