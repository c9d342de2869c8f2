"""SQLite's words for expressions; it calls back into Python for what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    Integer,
    ScalarSelect,
    Text,
    func,
    literal,
    or_,
    type_coerce,
)

from orchestrator.domain.expressions import Kind
from orchestrator.storage.expression_sql.dialects import TYPES, Sql, signed
from orchestrator.storage.types import ExactDecimal

_LARGEST_INTEGER = 2**62


class Sqlite:
    """SQLite, with the functions of `register_functions`."""

    def read(self, column: Sql, path: Sequence[str], kind: Kind, *, declared: bool) -> Sql:
        function = func.expr_read if declared else func.expr_read_free
        return type_coerce(function(kind.name, column, *path), TYPES[kind])

    def present(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        return func.expr_present(_group(many=many), column, *path, type_=Boolean())

    def true(self, column: Sql, path: Sequence[str]) -> Sql:
        return func.expr_true(column, *path, type_=Boolean())

    def joined(self, column: Sql, path: Sequence[str]) -> Sql:
        return func.expr_joined(column, *path, type_=Text())

    def contains(
        self, column: Sql, path: Sequence[str], part: Sql, kind: Kind, *, many: bool
    ) -> Sql:
        group = _group(many=many)
        return func.expr_contains(group, kind.name, part, column, *path, type_=Boolean())

    def length(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        return func.expr_length(_group(many=many), column, *path, type_=ExactDecimal())

    def event_field(self, payload: Sql, name: str, kind: Kind) -> Sql:
        return type_coerce(func.expr_event_field(kind.name, payload, name), TYPES[kind])

    def calculate(self, sign: str, left: Sql, right: Sql) -> Sql:
        return func.expr_calculate(sign, left, right, type_=ExactDecimal())

    def ordered(self, sign: str, left: Sql, right: Sql, kind: Kind) -> Sql:
        if kind is not Kind.NUMBER:
            return signed(sign, left, right)
        first, second = _whole(left), _whole(right)
        if first is None or second is None:
            return signed(sign, func.expr_order(left, right, type_=Integer()), 0)
        return signed(sign, first, second)

    def among(self, value: Sql, known: Sequence[Sql], kind: Kind) -> Sql:
        if kind is Kind.NUMBER:
            return or_(*(self.ordered("==", value, each, kind) for each in known))
        return value.in_(known)

    def number_text(self, number: Sql) -> Sql:
        return func.expr_number_text(number, type_=Text())

    def part_of(self, part: Sql, whole: Sql) -> Sql:
        return func.instr(whole, part) > 0

    def identity(self, column: Sql) -> Sql:
        return func.expr_uuid(type_coerce(column, Text()), type_=Text())


def _group(*, many: bool) -> str:
    return "LIST" if many else Kind.ANYTHING.name


def _whole(number: Sql) -> Sql | None:
    """A number that SQLite itself compares exactly, or None."""
    if isinstance(number, (Column, ScalarSelect)) and isinstance(number.type, Integer):
        return number
    value = number.value if isinstance(number, BindParameter) else None
    if isinstance(value, Decimal) and value == int(value) and abs(value) < _LARGEST_INTEGER:
        return literal(int(value), BigInteger())
    return None
