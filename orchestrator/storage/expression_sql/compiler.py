"""From the tree of an expression to a condition over rows of `contact`.

What a value must be is asked from outside in: a comparison knows the kind of its sides, and a
side that is of another kind for some person is NULL for that person, as it is missing in Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Select, and_, case, false, func, not_, or_, true

from orchestrator.domain.expressions import Expression, Kind, Many, Value
from orchestrator.domain.expressions.audience import audience_problems, is_fixed
from orchestrator.domain.expressions.nodes import (
    AllOf,
    AnyOf,
    Choice,
    Comparison,
    Default,
    Has,
    IsNone,
    Item,
    ListOf,
    Node,
    Not,
    Path,
    Segment,
    shape_of,
)
from orchestrator.domain.expressions.shapes import Record
from orchestrator.domain.expressions.values import contains, truth
from orchestrator.storage.expression_sql.counting import count_of
from orchestrator.storage.expression_sql.dialects import (
    TYPES,
    Database,
    Sql,
    fixed,
    is_of,
)
from orchestrator.storage.expression_sql.postgresql import Postgresql
from orchestrator.storage.expression_sql.sqlite import Sqlite
from orchestrator.storage.expression_sql.values import Values

_DATABASES: dict[str, Database] = {"sqlite": Sqlite(), "postgresql": Postgresql()}


def compile_condition(
    expression: Expression,
    *,
    now: datetime,
    dialect: str,
    segments: Mapping[str, Expression] | None = None,
    tables: Mapping[str, Mapping[str, Value]] | None = None,
) -> Sql:
    """The condition over rows of `contact` that chooses the people an expression holds for.

    It is never NULL, so it may be negated and selected. On SQLite its connection needs
    `register_functions`.

    Args:
        expression: a condition without problems by `audience_problems`.
        now: the moment of asking, aware UTC.
        dialect: `sqlite` or `postgresql`.
        segments: every segment an expression may name, free of cycles.
        tables: contents of `tables` in flows.yaml.

    Raises:
        ValueError: the expression cannot be asked in SQL; the loader refuses such audiences.
    """
    compiler = _Conditions(_DATABASES[dialect], now, segments or {}, tables or {})
    return compiler.accepted(expression)


def count_statement(
    contact_id: str,
    event_type: str,
    window: timedelta,
    where: Mapping[str, Value],
    *,
    now: datetime,
    dialect: str,
) -> Select[int]:
    """How many events of one contact `count_events` counts: what an `EventCounter` runs.

    Args:
        contact_id: whose events.
        event_type: the type counted.
        window: how long before `now` they may have happened.
        where: what their fields equal, by the names that `event_field` explains.
        now: the moment of asking, aware UTC; later events do not count.
        dialect: `sqlite` (its connection needs `register_functions`) or `postgresql`.
    """
    return count_of(_DATABASES[dialect], contact_id, event_type, window, where, now)


class _Conditions(Values):
    """Compiles conditions; none of them is ever NULL."""

    def accepted(self, expression: Expression) -> Sql:
        """A whole expression, or ValueError if it is not for SQL."""
        for problem in audience_problems(expression):
            msg = f"{expression.text!r}: {problem.message}"
            raise ValueError(msg)
        return self.holds(expression.root)

    def holds(self, node: Node) -> Sql:
        """Whether a node used as a condition holds."""
        if is_fixed(node):
            return true() if truth(self.fixed_value(node)) else false()
        match node:
            case Segment():
                return self.accepted(self.segments[node.name])
            case Not():
                return not_(self.holds(node.operand))
            case AllOf():
                return and_(*map(self.holds, node.operands))
            case AnyOf():
                return or_(*map(self.holds, node.operands))
            case Comparison():
                return and_(*(self._compared(*pair) for pair in node.pairs()))
            case IsNone():
                present = self.present(node.operand)
                return present if node.negated else not_(present)
            case Has():
                return self._member(node.element, node.whole)
            case _:
                return self._true(node)

    def _true(self, node: Node) -> Sql:
        match node:
            case Choice():
                return self.either(node, self.holds)
            case Default():
                present = self.present(node.operand)
                return case((present, self.holds(node.operand)), else_=self.holds(node.fallback))
            case Path() if node.shape is Kind.ANYTHING:
                place, keys = self.place(node)
                return self.database.true(place, keys)
            case Item():
                return self.entry(node, lambda value: true() if truth(value) else false())
            case _ if shape_of(node) is Kind.ANYTHING:
                number, zero = self.read(node, Kind.NUMBER), fixed(Decimal(0), Kind.NUMBER)
                return func.coalesce(self._ordered("!=", number, zero), false())
            case _:
                return func.coalesce(self.read(node, Kind.TRUTH), false())

    def present(self, node: Node) -> Sql:
        """Whether a node has a value."""
        shape = shape_of(node)
        if is_fixed(node):
            return false() if self.fixed_value(node) is None else true()
        match node:
            case Choice():
                return self.either(node, self.present)
            case Default():
                return or_(self.present(node.operand), self.present(node.fallback))
            case Path() if isinstance(shape, Record):
                return true()
            case Path() if isinstance(shape, Many) or shape is Kind.ANYTHING:
                place, keys = self.place(node)
                return self.database.present(place, keys, many=isinstance(shape, Many))
            case ListOf():
                return true()
            case Item() if isinstance(shape, Kind):
                return self.entry(node, lambda value: true() if value is not None else false())
            case _:
                kind = shape if isinstance(shape, Kind) else Kind.NUMBER
                known = Kind.NUMBER if kind is Kind.ANYTHING else kind
                return self.read(node, known).is_not(None)

    def _compared(self, left: Node, sign: str, right: Node) -> Sql:
        if sign == "in":
            return self._member(left, right)
        if sign == "not in":
            known = and_(self.present(left), self._askable(left, right))
            return and_(known, not_(self._member(left, right)))
        shape = shape_of(right) if shape_of(left) is Kind.ANYTHING else shape_of(left)
        kind = shape if isinstance(shape, Kind) else Kind.TEXT
        first, second = self.read(left, kind), self.read(right, kind)
        if sign == "!=":
            equal = func.coalesce(self._ordered("==", first, second, kind), false())
            return and_(self.present(left), self.present(right), not_(equal))
        return func.coalesce(self._ordered(sign, first, second, kind), false())

    def _ordered(self, sign: str, left: Sql, right: Sql, kind: Kind = Kind.NUMBER) -> Sql:
        return self.database.ordered(sign, left, right, kind)

    def _askable(self, part: Node, whole: Node) -> Sql:
        """Whether it makes sense to ask for a part at all; never NULL."""
        shape = shape_of(whole)
        if is_fixed(whole) and not isinstance(whole, ListOf):
            value = self.fixed_value(whole)
            if isinstance(value, str):
                return self.read(part, Kind.TEXT).is_not(None)
            return true() if isinstance(value, tuple) else false()
        if isinstance(whole, ListOf):
            return true()
        if shape is Kind.TEXT:
            return and_(self.present(whole), self.read(part, Kind.TEXT).is_not(None))
        if isinstance(shape, Many):
            return self.present(whole)
        return self._contained(part, whole).is_not(None)

    def _member(self, part: Node, whole: Node) -> Sql:
        if isinstance(whole, ListOf):
            return self._listed(part, whole)
        if shape_of(whole) is Kind.TEXT:
            found = self.database.part_of(self.read(part, Kind.TEXT), self.read(whole, Kind.TEXT))
            return func.coalesce(found, false())
        if is_fixed(whole):
            return self._member_of_fixed(part, self.fixed_value(whole))
        return func.coalesce(self._contained(part, whole), false())

    def _listed(self, part: Node, whole: ListOf) -> Sql:
        """Membership in a list that is written out; fixed elements are asked for at once."""
        found: list[Sql] = [false()]
        found += [self._compared(part, "==", item) for item in whole.items if not is_fixed(item)]
        values = [self.fixed_value(item) for item in whole.items if is_fixed(item)]
        for kind in TYPES:
            chosen = [fixed(value, kind) for value in values if is_of(value, kind)]
            if chosen:
                among = self.database.among(self.read(part, kind), chosen, kind)
                found.append(func.coalesce(among, false()))
        return or_(*found)

    def _member_of_fixed(self, part: Node, whole: Value) -> Sql:
        if is_fixed(part):
            return true() if contains(whole, self.fixed_value(part)) else false()
        return false()

    def _contained(self, part: Node, whole: Node) -> Sql:
        shape, kind = shape_of(whole), shape_of(part)
        many = isinstance(shape, Many)
        if not isinstance(kind, Kind) or kind is Kind.ANYTHING:
            kind = shape.of if isinstance(shape, Many) and isinstance(shape.of, Kind) else Kind.TEXT
        place, keys = self.place(whole)
        return self.database.contains(place, keys, self.read(part, kind), kind, many=many)
