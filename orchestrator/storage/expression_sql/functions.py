"""What SQLite lacks for expressions: exact decimals and a strict look into JSON.

The functions call the same code that evaluates expressions in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orchestrator.domain.expressions import Kind, Many, Shape, event_field, text_of
from orchestrator.domain.expressions.arithmetic import number_text
from orchestrator.domain.expressions.evaluation import calculate
from orchestrator.domain.expressions.values import Value, contains, read, truth
from orchestrator.storage.types import EPOCH, MICROSECOND

if TYPE_CHECKING:
    import sqlite3

LIST = "LIST"
_LIST: Shape = Many(Kind.ANYTHING)


def register_functions(connection: sqlite3.Connection) -> None:
    """Teach one SQLite connection the functions; to be called for each as it is opened."""
    for name, function in _FUNCTIONS.items():
        connection.create_function(name, -1, function, deterministic=True)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _place(text: str | None, path: tuple[str, ...]) -> object:
    found: object = None if text is None else _parsed(text)
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _shape(name: str) -> Shape:
    return _LIST if name == LIST else Kind[name]


def _stored(value: Value) -> str | int | None:
    """A value as SQLite keeps it."""
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, datetime):
        return (value - EPOCH) // MICROSECOND
    if isinstance(value, timedelta):
        return value // MICROSECOND
    return value if isinstance(value, (str, int)) else None


def _read(kind: str, text: str | None, *path: str) -> str | int | None:
    return _stored(read(_place(text, path), Kind[kind]))


def _read_free(kind: str, text: str | None, *path: str) -> str | int | None:
    value = read(_place(text, path), Kind.ANYTHING)
    return _stored(value) if _is(value, kind) else None


def _present(kind: str, text: str | None, *path: str) -> bool:
    return read(_place(text, path), _shape(kind)) is not None


def _true(text: str | None, *path: str) -> bool:
    return truth(read(_place(text, path), Kind.ANYTHING))


def _joined(text: str | None, *path: str) -> str | None:
    return text_of(read(_place(text, path), Kind.ANYTHING))


def _contains(kind: str, part_kind: str, part: Any, text: str | None, *path: str) -> bool | None:
    return contains(read(_place(text, path), _shape(kind)), _given(part_kind, part))


def _given(kind: str, value: Any) -> Value:
    """A value SQLite hands in, by its kind."""
    if value is None:
        return None
    if kind == Kind.NUMBER.name:
        return Decimal(value)
    return bool(value) if kind == Kind.TRUTH.name else read(value, Kind[kind])


def _length(kind: str, text: str | None, *path: str) -> int | None:
    value = read(_place(text, path), _shape(kind))
    return len(value) if isinstance(value, (str, tuple)) else None


def _event_field(kind: str, text: str, name: str) -> str | int | None:
    value = event_field(_parsed(text), name)
    return _stored(value) if _is(value, kind) else None


def _is(value: Value, kind: str) -> bool:
    return isinstance(value, _CLASSES[kind])


_CLASSES: dict[str, type] = {"TEXT": str, "NUMBER": Decimal, "TRUTH": bool, "TIME": datetime}


def _calculated(sign: str, left: Any, right: Any) -> str | None:
    if left is None or right is None:
        return None
    number = calculate(sign, Decimal(left), Decimal(right))
    return number_text(number) if isinstance(number, Decimal) else None


def _order(left: Any, right: Any) -> int | None:
    if left is None or right is None:
        return None
    first, second = Decimal(left), Decimal(right)
    return (first > second) - (first < second)


def _number_text(number: Any) -> str | None:
    return None if number is None else number_text(Decimal(number))


def _uuid(text: str) -> str:
    return str(UUID(text))


_FUNCTIONS: dict[str, Callable[..., str | int | None]] = {
    "expr_read": _read,
    "expr_read_free": _read_free,
    "expr_present": _present,
    "expr_true": _true,
    "expr_joined": _joined,
    "expr_contains": _contains,
    "expr_length": _length,
    "expr_event_field": _event_field,
    "expr_calculate": _calculated,
    "expr_order": _order,
    "expr_number_text": _number_text,
    "expr_uuid": _uuid,
}
