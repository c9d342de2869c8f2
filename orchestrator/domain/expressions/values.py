"""Values an expression works with: how they are read, compared and written as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from orchestrator.domain.expressions.arithmetic import number_text, read_number
from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape

Value: TypeAlias = (
    str | Decimal | bool | datetime | timedelta | Mapping[str, object] | Sequence[object] | None
)

_DAY = (
    r"[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.][0-9]{1,6})?)?"
_ZONE = r"Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9]"
#: Dates and times kept as text (ISO 8601 extended format; without a zone they are UTC). Only what
#: matches exists on the calendar, so that PostgreSQL can cast it without failing.
TIME_TEXT = rf"^(?:{_DAY})(?:[T ](?:{_CLOCK})(?:{_ZONE})?)?$"
#: Numbers kept as text.
AMOUNT_TEXT = r"^-?[0-9]{1,40}(?:[.][0-9]{1,40})?$"
_TIME_TEXT = re.compile(TIME_TEXT)
_AMOUNT_TEXT = re.compile(AMOUNT_TEXT)


def read(raw: object, shape: Shape) -> Value:
    """`raw` as a value of `shape`; a value of another kind counts as missing."""
    match shape:
        case Record():
            return raw if isinstance(raw, Mapping) else None
        case Many():
            return _read_list(raw, shape.of)
        case Kind.TEXT:
            return raw if isinstance(raw, str) else None
        case Kind.NUMBER:
            return _read_amount(raw)
        case Kind.TRUTH:
            return raw if isinstance(raw, bool) else None
        case Kind.TIME:
            return read_time(raw)
        case Kind.DURATION:
            return raw if isinstance(raw, timedelta) else None
        case Kind.ANYTHING | Kind.NOTHING:
            return _read_anything(raw)


def _read_amount(raw: object) -> Decimal | None:
    """A number field may come as decimal text: that is how money travels in JSON."""
    if isinstance(raw, str):
        return read_number(Decimal(raw)) if _AMOUNT_TEXT.fullmatch(raw) else None
    return read_number(raw)


def _read_list(raw: object, of: Shape) -> tuple[Value, ...] | None:
    if isinstance(raw, (list, tuple)):
        return tuple(read(element, of) for element in raw)
    if isinstance(raw, (set, frozenset)):
        return tuple(read(element, of) for element in sorted(raw))
    return None


def _read_anything(raw: object) -> Value:
    if isinstance(raw, (str, bool, timedelta, Mapping)):
        return raw
    if isinstance(raw, date):  # a datetime is a date, too
        return read_time(raw)
    if isinstance(raw, (list, tuple, set, frozenset)):
        return _read_list(raw, Kind.ANYTHING)
    return read_number(raw)


def read_time(raw: object) -> datetime | None:
    """A time in UTC from a time, a date (its midnight in UTC) or an ISO 8601 text."""
    if isinstance(raw, str):
        raw = datetime.fromisoformat(raw) if _TIME_TEXT.fullmatch(raw) else None
    if isinstance(raw, datetime):
        try:
            return raw.astimezone(UTC) if raw.tzinfo else raw.replace(tzinfo=UTC)
        except OverflowError:
            return None
    return datetime(raw.year, raw.month, raw.day, tzinfo=UTC) if isinstance(raw, date) else None


def kind_of(value: Value) -> type:
    """The class that decides whether two values can be compared."""
    for kind in (bool, str, Decimal, datetime, timedelta, Mapping):
        if isinstance(value, kind):
            return kind
    return type(None) if value is None else tuple


def same(left: Value, right: Value) -> bool:
    """Equal and of one kind; two missing values are not the same."""
    if left is None or right is None or kind_of(left) is not kind_of(right):
        return False
    return left == right


def precedes(left: Value, right: Value) -> bool | None:
    """Whether left < right; None when the two have no order."""
    if isinstance(left, bool) or isinstance(right, bool):
        return None
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return left < right
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left < right
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left < right
    return None


def contains(whole: Value, part: Value) -> bool | None:
    """Whether a list has an element or a text has a part; None when that cannot be asked."""
    if part is None:
        return None
    if isinstance(whole, str):
        return part in whole if isinstance(part, str) else None
    if isinstance(whole, (list, tuple)):
        return any(same(element, part) for element in whole)
    return None


def compare(sign: str, left: Value, right: Value) -> bool:
    """One comparison, two-valued: false whenever a side is missing or the two have no order."""
    if left is None or right is None:
        return False
    match sign:
        case "==":
            return same(left, right)
        case "!=":
            return not same(left, right)
        case "in":
            return contains(right, left) is True
        case "not in":
            return contains(right, left) is False
        case "<" | ">=":
            return precedes(left, right) is (sign == "<")
        case _:
            return precedes(right, left) is (sign == ">")


def truth(value: Value) -> bool:
    """A value used as a condition: missing, empty and zero are false."""
    return bool(value)


def text_of(value: Value) -> str | None:
    """Text for `~`, table keys and run keys: a text or a number; None for everything else."""
    if isinstance(value, str):
        return value
    return number_text(value) if isinstance(value, Decimal) else None
