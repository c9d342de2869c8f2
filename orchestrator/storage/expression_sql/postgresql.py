"""PostgreSQL's words for expressions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import (
    Boolean,
    Integer,
    Numeric,
    Text,
    and_,
    case,
    cast,
    collate,
    func,
    literal,
    literal_column,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from orchestrator.domain.expressions import Kind
from orchestrator.domain.expressions.arithmetic import DECIMALS, DIGITS
from orchestrator.domain.expressions.values import AMOUNT_TEXT, TIME_TEXT
from orchestrator.domain.expressions.vocabulary import EVENT_COUNTED, ITEM
from orchestrator.storage.expression_sql.dialects import Sql, nothing, signed
from orchestrator.storage.types import ExactDecimal, UtcDateTime

_END_OF_TIME: Sql = literal_column("timestamptz '10000-01-01T00:00:00Z'", TIMESTAMP(timezone=True))


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
        return signed(sign, left, right)

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
