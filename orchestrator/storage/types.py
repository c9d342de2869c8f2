"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, BindParameter, Dialect, Numeric, String, Uuid, literal
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from orchestrator.storage.json_text import json_text, read_json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Json(TypeDecorator[Any]):
    """JSON: `jsonb` on PostgreSQL, compact text on SQLite.

    There SQLAlchemy's own type would go through three functions for each of a row's columns.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        kind = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """How a value of Python becomes one of the database."""
        return _json_or_null if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """How a value of the database becomes one of Python."""
        if dialect.name == "sqlite":
            return _value_or_none
        return super().result_processor(dialect, coltype)


def _json_or_null(value: Any) -> str | None:
    return None if value is None else json_text(value)


def _value_or_none(text: str | None) -> Any:
    return None if text is None else read_json(text)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment: `timestamptz` on PostgreSQL, microseconds since 1970 on SQLite.

    Whole microseconds compare and add exactly, and SQLite has no time type of its own.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Refuse a naive time (ValueError); a time without a zone is a mistake."""
        return _aware if dialect.name == "postgresql" else microseconds

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], datetime | None]:
        """Return aware UTC."""
        del coltype
        return _in_utc if dialect.name == "postgresql" else _moment_of


def _aware(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        msg = f"a time without a zone cannot be stored: {value!r}"
        raise ValueError(msg)
    return value


def microseconds(value: datetime | None) -> int | None:
    """A moment as SQLite keeps it: since 1970. Raises ValueError for one without a zone."""
    known = _aware(value)
    return None if known is None else (known - EPOCH) // MICROSECOND


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _moment_of(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + timedelta(microseconds=value)


class TextUuid(Uuid[str]):
    """A UUID that is text in Python: `uuid` on PostgreSQL, 32 hex digits on SQLite.

    SQLite's digits become text without a UUID object in between: every row has several.
    """

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(as_uuid=False)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """How a value of the database becomes one of Python."""
        if dialect.name == "sqlite":
            return _dashed
        found: Callable[[Any], Any] | None = super().result_processor(  # type: ignore[no-untyped-call]
            dialect, coltype
        )
        return found


def _dashed(value: str | None) -> str | None:
    if value is None:
        return None
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that is never a float: `numeric` on PostgreSQL, its digits as text on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric())
        return dialect.type_descriptor(String(64))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write plain digits, never an exponent."""
        if value is None or dialect.name == "postgresql":
            return value
        return format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return a Decimal."""
        return None if value is None else Decimal(value)


def moment(value: datetime) -> BindParameter[datetime]:
    """A moment inside an expression that does not tell its type, such as CASE."""
    return literal(value, UtcDateTime())
