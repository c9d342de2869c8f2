"""What the two databases say differently, each in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    Interval,
    Text,
    cast,
    literal,
    null,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from orchestrator.domain.expressions import Kind, Value
from orchestrator.storage.types import MICROSECOND, ExactDecimal, UtcDateTime

Sql = ColumnElement[Any]


class Span(TypeDecorator[timedelta]):
    """A length of time: `interval` on PostgreSQL, microseconds on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type of the database."""
        chosen: TypeEngine[Any] = Interval() if dialect.name == "postgresql" else BigInteger()
        return dialect.type_descriptor(chosen)

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> Any:
        """Write microseconds where there is no interval."""
        if value is None or dialect.name == "postgresql":
            return value
        return value // MICROSECOND


TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.TEXT: Text(),
    Kind.NUMBER: ExactDecimal(),
    Kind.TRUTH: Boolean(),
    Kind.TIME: UtcDateTime(),
    Kind.DURATION: Span(),
}


class Database(Protocol):
    """How one database reads JSON, calculates and compares.

    A place is a JSON column and the keys that lead into it; what is not there, or of another
    kind than asked for, is NULL.
    """

    def read(self, column: Sql, path: Sequence[str], kind: Kind, *, declared: bool) -> Sql:
        """The value at a place, if it is of a kind.

        Only a place declared to be of that kind may hold a number or a time as text.
        """

    def present(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        """Whether there is a value (or a list, if `many`) at a place; never NULL."""

    def true(self, column: Sql, path: Sequence[str]) -> Sql:
        """Whether the value at a place counts as true; never NULL."""

    def joined(self, column: Sql, path: Sequence[str]) -> Sql:
        """The text or number at a place as text."""

    def contains(
        self, column: Sql, path: Sequence[str], part: Sql, kind: Kind, *, many: bool
    ) -> Sql:
        """Whether the list (or text, unless `many`) at a place has a part."""

    def length(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        """Elements of the list (or letters of the text, unless `many`) at a place."""

    def event_field(self, payload: Sql, name: str, kind: Kind) -> Sql:
        """A field as `count_events` means it, if it is of a kind."""

    def calculate(self, sign: str, left: Sql, right: Sql) -> Sql:
        """Arithmetic with numbers."""

    def ordered(self, sign: str, left: Sql, right: Sql, kind: Kind) -> Sql:
        """`left sign right` for two values of a kind; NULL when one is missing."""

    def among(self, value: Sql, known: Sequence[Sql], kind: Kind) -> Sql:
        """Whether a value is one of several of its kind; NULL when it is missing."""

    def number_text(self, number: Sql) -> Sql:
        """A number in its shortest plain notation."""

    def part_of(self, part: Sql, whole: Sql) -> Sql:
        """Whether a text stands in another."""

    def identity(self, column: Sql) -> Sql:
        """An id as text."""


def signed(sign: str, left: Sql, right: Sql | int) -> Sql:
    """One comparison, in the words that both databases share."""
    match sign:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def fixed(value: object, kind: Kind) -> Sql:
    """A value that is the same for everybody."""
    return literal(value, TYPES[kind])


def is_of(value: Value, kind: Kind) -> bool:
    """Whether a fixed value is of a kind as it stands."""
    match value:
        case bool():
            return kind is Kind.TRUTH
        case str():
            return kind is Kind.TEXT
        case datetime():
            return kind is Kind.TIME
        case timedelta():
            return kind is Kind.DURATION
        case Decimal():
            return kind is Kind.NUMBER
        case _:
            return False


def nothing(kind: Kind) -> Sql:
    """A missing value, of a kind all the same: PostgreSQL wants to know."""
    return cast(null(), TYPES[kind])
