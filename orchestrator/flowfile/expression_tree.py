"""Translating Jinja's tree into the domain's, name by name."""

from __future__ import annotations

import re
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING

from jinja2 import nodes

from orchestrator.domain.expressions import Kind, Many, Problem, Record, Shape, Vocabulary
from orchestrator.domain.expressions import nodes as tree
from orchestrator.domain.expressions.shapes import name_of
from orchestrator.domain.expressions.values import read_time
from orchestrator.domain.expressions.vocabulary import FUNCTIONS
from orchestrator.flowfile.expression_calls import Calls

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIGNS: dict[type[nodes.BinExpr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
_COMPARISONS = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "lteq": "<=",
    "gt": ">",
    "gteq": ">=",
    "in": "in",
    "notin": "not in",
}
_NOTHING = {"null", "nil", "undefined", "empty", "None", "NULL", "NaN"}
_YES = {"yes": "true", "no": "false", "TRUE": "true", "FALSE": "false", "on": "true"}


class Translation:
    """One text on its way from Jinja's tree to ours; collects problems instead of stopping."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        """Begin with a text and the names of its place."""
        self.text = text
        self.vocabulary = vocabulary
        self.problems: list[Problem] = []
        self._calls = Calls(self)

    def problem(self, at: int, length: int, message: str, hint: str) -> tree.Literal:
        """Note a problem and stand in for the node that could not be made."""
        self.problems.append(Problem(at, max(1, length), message, hint))
        return tree.Literal(at, None)

    def unknown(self, at: int, length: int, message: str, hint: str) -> tree.Path:
        """Note a problem and go on with a node of any kind, so that nothing follows from it."""
        self.problems.append(Problem(at, max(1, length), message, hint))
        return tree.Path(at, ("?",), Kind.ANYTHING)

    def translate(self, node: nodes.Node) -> tree.Node:  # noqa: C901 - one case for each node
        """The domain's node for one of Jinja's."""
        match node:
            case nodes.Const():
                return self._constant(node)
            case nodes.Name():
                return self._name(node)
            case nodes.Getattr():
                return self._field(node, node.attr)
            case nodes.Getitem():
                return self._element(node)
            case nodes.Call():
                return self._calls.call(node)
            case nodes.Filter():
                return self._calls.filter(node)
            case nodes.Test():
                return self._test(node, negated=False)
            case nodes.Not():
                return self._not(node)
            case nodes.And() | nodes.Or():
                return self._junction(node)
            case nodes.Compare():
                return self._comparison(node)
            case nodes.CondExpr():
                return self._choice(node)
            case nodes.Concat():
                parts = tuple(self.translate(part) for part in node.nodes)
                return tree.Join(parts[0].at, parts)
            case nodes.List():
                return tree.ListOf(node.lineno, tuple(map(self.translate, node.items)))
            case nodes.Neg() | nodes.Pos():
                return self._sign(node)
            case nodes.BinExpr() if type(node) in _SIGNS:
                return self._arithmetic(node)
            case nodes.Tuple():
                hint = "write a list in [ ], or one condition joined with `and`"
                at = node.items[0].lineno if node.items else node.lineno
                return self.unknown(at, 1, "values in ( ) are not available", hint)
            case _:
                what = re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).lower()
                hint = "write it with names, comparisons, and, or, not"
                return self.unknown(node.lineno, 1, f"{what} is not available", hint)

    def _constant(self, node: nodes.Const) -> tree.Literal:
        return tree.Literal(node.lineno, node.value)

    def _name(self, node: nodes.Name) -> tree.Node:
        name, at = node.name, node.lineno
        shape = self.vocabulary.roots.get(name)
        if shape is not None:
            return tree.Path(at, (name,), shape)
        if name in self.vocabulary.segments:
            return tree.Segment(at, name)
        return self.unknown(at, len(name), *self._about_name(name))

    def _about_name(self, name: str) -> tuple[str, str]:
        why = self.vocabulary.elsewhere.get(name)
        if why:
            return f"{name} is not known here: {why}", "use a field of contact, or remove it"
        if name in _NOTHING:
            return f'unknown name "{name}"', "write `is none` for what is missing"
        if name in _YES:
            return f'unknown name "{name}"', f"write {_YES[name]}"
        if name in FUNCTIONS:
            return f"{name} is a function", f"write {name}(...)"
        known = [*self.vocabulary.names(), *FUNCTIONS]
        owner = self._owner(name)
        near = _nearest(name, known) or owner
        hint = f"did you mean {near}?" if near else f"write a text in quotes: '{name}'"
        return f'unknown name "{name}"', hint

    def _owner(self, name: str) -> str | None:
        """A field of some root called like this: `email` is `contact.email`."""
        for root, shape in self.vocabulary.roots.items():
            if isinstance(shape, Record) and name in shape.fields:
                return f"{root}.{name}"
        return None

    def _field(self, node: nodes.Getattr | nodes.Getitem, name: str) -> tree.Node:
        target = self.translate(node.node)
        at = self._field_offset(node, name)
        shape = tree.shape_of(target)
        found = self._field_shape(target, shape, name, at)
        if found is None:
            return tree.Path(target.at, ("?",), Kind.ANYTHING)
        if isinstance(target, tree.Path):
            return tree.Path(target.at, (*target.parts, name), found)
        return tree.Item(target.at, target, tree.Literal(at, name), found)

    def _field_offset(self, node: nodes.Getattr | nodes.Getitem, name: str) -> int:
        place = self.text.find(name, node.lineno + 1)
        return place if place >= 0 else node.lineno

    def _field_shape(self, target: tree.Node, shape: Shape, name: str, at: int) -> Shape | None:
        """Shape of a field; None, with a problem noted, when there is no such field."""
        if shape is Kind.ANYTHING:
            return Kind.ANYTHING
        if isinstance(shape, Record):
            table = self._table(target)
            if table is not None and name not in table:
                self.problem(at, len(name), *_no_entry(shape.name, name, table))
                return None
            if shape.at(name) is None:
                self.problem(at, len(name), *_no_field(shape, name))
            return shape.at(name)
        said = "a list" if isinstance(shape, Many) else name_of(shape)
        hint = "write any_item(...) or has(...) to look into a list"
        if not isinstance(shape, Many):
            hint = "write the name alone"
        self.problem(at, len(name), f'{said} has no field "{name}"', hint)
        return None

    def _table(self, target: tree.Node) -> Iterable[str] | None:
        match target:
            case tree.Path(parts=("tables", table)):
                return self.vocabulary.tables.get(table)
            case _:
                return None

    def _element(self, node: nodes.Getitem) -> tree.Node:
        key = node.arg
        if isinstance(key, nodes.Slice):
            return self.unknown(node.lineno, 1, "parts of a list are not available", "write [0]")
        if isinstance(key, nodes.Const) and isinstance(key.value, str):
            return self._field(node, key.value)
        target, index = self.translate(node.node), self.translate(key)
        shape = tree.shape_of(target)
        match shape:
            case Many():
                found: Shape = shape.of
            case Record(rest=rest) if rest is not None:
                found = rest
            case Kind.ANYTHING:
                found = Kind.ANYTHING
            case _:
                said = name_of(shape)
                hint = "write the field's name after a point"
                return self.unknown(node.lineno, 1, f"[ ] does not go into {said}", hint)
        return tree.Item(target.at, target, index, found)

    def _test(self, node: nodes.Test, *, negated: bool) -> tree.Node:
        operand = self.translate(node.node)
        sign = "is not" if negated else "is"
        at = node.lineno
        length = max(1, self.text.find(node.name, at) + len(node.name) - at)
        if node.name == "none" and not node.args:
            return tree.IsNone(operand.at, operand, negated)
        if node.name in {"defined", "undefined"} | _NOTHING:
            opposite = (node.name == "defined") is not negated
            hint = f"write `is {'not ' if opposite else ''}none`"
        elif node.name in {"true", "false"}:
            hint = "write the name alone, or `not` before it"
        elif node.name == "in":
            hint = f"write `{'not in' if negated else 'in'}` without is"
        else:
            hint = f"write `{'!=' if negated else '=='}` to compare"
        return self.unknown(at, length, f'"{sign} {node.name}" is not available', hint)

    def _not(self, node: nodes.Not) -> tree.Node:
        inner = node.node
        written_after = isinstance(inner, nodes.Test) and node.lineno == inner.lineno
        if written_after and self.text.startswith("is", node.lineno):
            return self._test(inner, negated=True)  # type: ignore[arg-type]
        return tree.Not(node.lineno, self.translate(inner))

    def _junction(self, node: nodes.And | nodes.Or) -> tree.Node:
        kind = tree.AllOf if isinstance(node, nodes.And) else tree.AnyOf
        operands: list[nodes.Node] = []
        left: nodes.Node = node
        while type(left) is type(node):  # Jinja nests to the left, one level for every operand
            operands.insert(0, left.right)
            left = left.left
        translated = tuple(map(self.translate, [left, *operands]))
        return kind(translated[0].at, translated)

    def _comparison(self, node: nodes.Compare) -> tree.Node:
        operands = [self.translate(node.expr), *(self.translate(op.expr) for op in node.ops)]
        for place, op in enumerate(node.ops):
            left, right = operands[place], operands[place + 1]
            operands[place] = _fitted(left, right, op.op)
            operands[place + 1] = _fitted(right, operands[place], op.op)
        links = zip((_COMPARISONS[op.op] for op in node.ops), operands[1:], strict=True)
        return tree.Comparison(operands[0].at, operands[0], tuple(links))

    def _choice(self, node: nodes.CondExpr) -> tree.Node:
        then, condition = self.translate(node.expr1), self.translate(node.test)
        otherwise = self.translate(node.expr2) if node.expr2 else tree.Literal(then.at, None)
        return tree.Choice(then.at, condition, then, otherwise)

    def _sign(self, node: nodes.Neg | nodes.Pos) -> tree.Node:
        operand = self.translate(node.node)
        if isinstance(node, nodes.Pos):
            return self.unknown(node.lineno, 1, 'a "+" before a value does nothing', "remove it")
        if isinstance(operand, tree.Literal) and isinstance(operand.value, Decimal):
            return tree.Literal(node.lineno, operand.value.copy_negate())
        return tree.Negative(node.lineno, operand)

    def _arithmetic(self, node: nodes.BinExpr) -> tree.Node:
        left, right = self.translate(node.left), self.translate(node.right)
        return tree.Arithmetic(left.at, _SIGNS[type(node)], left, right)


def _fitted(node: tree.Node, other: tree.Node, sign: str) -> tree.Node:
    """A side of a comparison, read as what the other side is.

    A text beside a time is a time, any value beside a time is read as one, and everything is
    compared with a run's key as text, because keys are kept as text.
    """
    shape, wanted = tree.shape_of(node), tree.shape_of(other)
    if isinstance(other, tree.Path) and other.parts == ("key",):
        return tree.Join(node.at, (node,)) if shape in {Kind.NUMBER, Kind.ANYTHING} else node
    if sign in {"in", "notin"} or wanted is not Kind.TIME:
        return node
    if isinstance(node, tree.Literal) and isinstance(node.value, str):
        return tree.Literal(node.at, read_time(node.value) or node.value)
    if shape is Kind.ANYTHING and isinstance(node, (tree.Path, tree.Item)):
        return _as_time(node)
    return node


def _as_time(node: tree.Path | tree.Item) -> tree.Node:
    if isinstance(node, tree.Path):
        return tree.Path(node.at, node.parts, Kind.TIME)
    return tree.Item(node.at, node.target, node.key, Kind.TIME)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    spelled = {word.lower(): word for word in sorted(known)}
    near = get_close_matches(name.lower(), spelled, n=1, cutoff=0.6)
    return spelled[near[0]] if near else None


def _no_field(shape: Record, name: str) -> tuple[str, str]:
    near = _nearest(name, shape.fields)
    if near:
        hint = f"did you mean {near}?"
    elif shape.name in {"event", "checkout", "order"}:
        hint = f"a field of your own is under data: {shape.name}.data.{name}"
    elif shape.name == "contact":
        hint = f"declare it under `attributes`, or write contact.source.{name}"
    else:
        hint = "known are " + ", ".join(sorted(shape.fields)) if shape.fields else "remove it"
    return f'{shape.name} has no field "{name}"', hint


def _no_entry(table: str, name: str, known: Iterable[str]) -> tuple[str, str]:
    near = _nearest(name, known)
    hint = f"did you mean {near}?" if near else "add it to the table"
    return f'{table} has no entry "{name}"', hint
