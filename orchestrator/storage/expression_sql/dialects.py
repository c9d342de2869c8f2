"""What the two databases say differently, each in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Integer,
    Interval,
    Numeric,
    ScalarSelect,
    Text,
    and_,
    case,
    cast,
    collate,
    func,
    literal,
    literal_column,
    null,
    or_,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from orchestrator.domain.expressions import Kind
from orchestrator.domain.expressions.arithmetic import DECIMALS, DIGITS
from orchestrator.domain.expressions.values import AMOUNT_TEXT, TIME_TEXT
from orchestrator.domain.expressions.vocabulary import EVENT_COUNTED, ITEM
from orchestrator.storage.types import MICROSECOND, ExactDecimal, UtcDateTime

Sql = ColumnElement[Any]
_LARGEST_INTEGER = 2**62
_END_OF_TIME: Sql = literal_column("timestamptz '10000-01-01T00:00:00Z'", TIMESTAMP(timezone=True))


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


def _signed(sign: str, left: Sql, right: Sql | int) -> Sql:
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


def nothing(kind: Kind) -> Sql:
    """A missing value, of a kind all the same: PostgreSQL wants to know."""
    return cast(null(), TYPES[kind])


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
            return _signed(sign, left, right)
        first, second = _whole(left), _whole(right)
        if first is None or second is None:
            return _signed(sign, func.expr_order(left, right, type_=Integer()), 0)
        return _signed(sign, first, second)

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


class Postgresql:
    """PostgreSQL 13 or later."""

    def read(self, column: Sql, path: Sequence[str], kind: Kind, *, declared: bool) -> Sql:
        value = _at(column, path)
        return self._read(value, kind) if declared else self._read_free(value, kind)

    def _read(self, value: Sql, kind: Kind) -> Sql:
        match kind:
            case Kind.TEXT:
                return case((_typeof(value) == "string", _plain(value)))
            case Kind.NUMBER:
                text = and_(_typeof(value) == "string", _plain(value).regexp_match(AMOUNT_TEXT))
                return case(
                    (_typeof(value) == "number", _within(cast(_plain(value), Numeric()))),
                    (text, _within(cast(_plain(value), Numeric()))),
                )
            case Kind.TRUTH:
                return case((_typeof(value) == "boolean", cast(_plain(value), Boolean())))
            case Kind.TIME:
                return _time(value)
            case _:
                return nothing(kind)

    def present(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        value = _at(column, path)
        if many:
            return func.coalesce(_typeof(value) == "array", False)
        number = _within(cast(_plain(value), Numeric())).is_not(None)
        return case(
            (_typeof(value) == "number", number),
            else_=func.coalesce(_typeof(value) != "null", False),
        )

    def true(self, column: Sql, path: Sequence[str]) -> Sql:
        value = _at(column, path)
        empty = [cast(literal(text, Text()), JSONB()) for text in ('""', "[]", "{}", "false")]
        number = func.coalesce(_within(cast(_plain(value), Numeric())) != 0, False)
        return case(
            (_typeof(value) == "number", number),
            else_=func.coalesce(and_(_typeof(value) != "null", value.not_in(empty)), False),
        )

    def joined(self, column: Sql, path: Sequence[str]) -> Sql:
        value = _at(column, path)
        number = self.number_text(_within(cast(_plain(value), Numeric())))
        return case(
            (_typeof(value) == "string", _plain(value)), (_typeof(value) == "number", number)
        )

    def contains(
        self, column: Sql, path: Sequence[str], part: Sql, kind: Kind, *, many: bool
    ) -> Sql:
        value = _at(column, path)
        element = value.contains(func.to_jsonb(part, type_=JSONB()))
        whens = [(and_(_typeof(value) == "array", part.is_not(None)), element)]
        if kind is Kind.TEXT and not many:
            whens.append((_typeof(value) == "string", self.part_of(part, _plain(value))))
        return case(*whens)

    def length(self, column: Sql, path: Sequence[str], *, many: bool) -> Sql:
        value = _at(column, path)
        whens = [(_typeof(value) == "array", func.jsonb_array_length(value))]
        if not many:
            whens.append((_typeof(value) == "string", func.char_length(_plain(value))))
        return type_coerce(cast(case(*whens), Numeric()), ExactDecimal())

    def event_field(self, payload: Sql, name: str, kind: Kind) -> Sql:
        if name in EVENT_COUNTED:
            same = EVENT_COUNTED[name] is kind
            return self._read(_at(payload, (name,)), kind) if same else nothing(kind)
        product, data = _at(payload, ("product", name)), _at(payload, ("data", name))
        declared = ITEM.fields.get(name)
        read = self._read_free if declared is None else self._read
        of_product = read(product, kind) if declared in {None, kind} else nothing(kind)
        known = and_(product.is_not(None), _typeof(product) != "null")
        return case((known, of_product), else_=self._read_free(data, kind))

    def _read_free(self, value: Sql, kind: Kind) -> Sql:
        match kind:
            case Kind.NUMBER:
                return case((_typeof(value) == "number", self._read(value, kind)))
            case Kind.TIME:
                return nothing(kind)
            case _:
                return self._read(value, kind)

    def calculate(self, sign: str, left: Sql, right: Sql) -> Sql:
        left, right = _numeric(left), _numeric(right)
        match sign:
            case "+":
                result: Sql = left + right
            case "-":
                result = left - right
            case "*":
                result = left * right
            case "/":
                shift = Decimal(10) ** (DECIMALS + 1)
                whole = func.div(left * literal(shift, Numeric()), func.nullif(right, 0))
                result = func.round(whole * literal(1 / shift, Numeric()), DECIMALS)
            case "//":
                result = func.div(left, func.nullif(right, 0))
            case _:
                result = func.mod(left, func.nullif(right, 0))
        return type_coerce(result, ExactDecimal())

    def ordered(self, sign: str, left: Sql, right: Sql, kind: Kind) -> Sql:
        if kind is Kind.TEXT:
            left = collate(left, "C")
        return _signed(sign, left, right)

    def among(self, value: Sql, known: Sequence[Sql], kind: Kind) -> Sql:  # noqa: ARG002 - the Protocol's
        return value.in_(known)

    def number_text(self, number: Sql) -> Sql:
        return cast(func.trim_scale(cast(number, Numeric())), Text())

    def part_of(self, part: Sql, whole: Sql) -> Sql:
        return func.strpos(collate(whole, "C"), part) > 0

    def identity(self, column: Sql) -> Sql:
        return cast(column, Text())


def _numeric(number: Sql) -> Sql:
    """A number that cannot overflow, as whole numbers would."""
    return (
        cast(number, Numeric())
        if isinstance(number.type, Integer)
        else type_coerce(number, Numeric())
    )


def _at(column: Sql, path: Sequence[str]) -> Sql:
    if not path:
        return type_coerce(column, JSONB())
    keys = literal(list(path), ARRAY(Text()))
    return column.op("#>", return_type=JSONB())(keys)


def _typeof(value: Sql) -> Sql:
    return func.jsonb_typeof(value, type_=Text())


def _plain(value: Sql) -> Sql:
    return value.op("#>>", return_type=Text())(literal_column("'{}'"))


def _within(number: Sql) -> Sql:
    """A number of at most `DIGITS` places on either side, as `read_number` takes it."""
    small = func.abs(number) < literal(Decimal(10) ** DIGITS, Numeric())
    return case((and_(small, func.scale(number) <= DIGITS), number))


def _time(value: Sql) -> Sql:
    text = _plain(value)
    zoned = case(
        (text.regexp_match("(Z|[+-][0-9]{2}:[0-9]{2})$"), text),
        (func.length(text) == len("2026-12-01"), text + "T00:00:00Z"),
        else_=text + "Z",
    )
    moment = cast(zoned, TIMESTAMP(timezone=True))
    # Late on 31 December 9999 a zone west of Greenwich leads past what Python can tell.
    told = case((moment < _END_OF_TIME, type_coerce(moment, UtcDateTime())))
    fits = and_(_typeof(value) == "string", text.regexp_match(TIME_TEXT))
    return case((fits, told))
