"""JSON that strangers wrote, as values that every database can hold exactly."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from orchestrator.domain.errors import MalformedPayload

DEEPEST: Final = 10
"""Lists and objects within one another, in one field of an event."""
LARGEST_INTEGER: Final = 2**63 - 1

_ENVELOPE_DEPTH: Final = 2  # the body and its `data`
_MOST_DIGITS: Final = 24
_EXACT_DIGITS: Final = 15  # of a binary floating-point number
_LONGEST_NUMBER: Final = 255  # characters kept of a number that is no quantity
# What PostgreSQL's text cannot hold, and halves of characters no text can.
_UNSTORABLE: Final = re.compile("\x00|[\ud800-\udfff]")


def read_json(body: bytes) -> Any:
    """The JSON of a body (RFC 8259): numbers exact, texts storable.

    A byte order mark before it is passed over, as section 8.1 allows.
    Raises MalformedPayload for anything else, NaN and Infinity and deep nesting included.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            parse_float=_exact,
            parse_int=_integer,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError:
        raise MalformedPayload("the body is not UTF-8 text") from None
    except RecursionError:
        raise MalformedPayload("the body is nested too deeply") from None
    except ValueError as error:
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise MalformedPayload(f"the body is not JSON{place}") from None
    return _storable(value, DEEPEST + _ENVELOPE_DEPTH)


def read_time(value: Any) -> datetime | None:
    """An ISO 8601 moment as aware UTC (without a zone it is UTC), or None."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_decimal(value: Any) -> Decimal | None:
    """A finite number of reasonable size from a number or its text; never from a float."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        # A wide integer is turned away before its digits are spelled out.
        wide = isinstance(value, int) and abs(value) > 10**_MOST_DIGITS
        number = Decimal("NaN") if wide else Decimal(value)
    except InvalidOperation:
        return None
    if not number.is_finite() or len(number.as_tuple().digits) > _MOST_DIGITS:
        return None
    return number if abs(number.adjusted()) <= _MOST_DIGITS else None


def json_number(number: Decimal) -> Any:
    """An integer, else a float that spells the same digits, else the digits as text."""
    if number.adjusted() > _MOST_DIGITS or number.adjusted() < -_MOST_DIGITS:
        return str(number)[:_LONGEST_NUMBER]
    if number == number.to_integral_value():
        return int(number) if abs(number) <= LARGEST_INTEGER else format(number, "f")
    exact = len(number.as_tuple().digits) <= _EXACT_DIGITS
    return float(number) if exact else format(number, "f")


def _exact(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent beyond all bounds
        return digits


def _integer(digits: str) -> Decimal | int:
    # Python refuses to convert very long digits, and would take quadratic time.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else Decimal(digits)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _storable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value) if _UNSTORABLE.search(value) else value
    if isinstance(value, dict | list) and depth == 0:
        raise MalformedPayload(f"a field is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        return {_storable(key, depth): _storable(part, depth - 1) for key, part in value.items()}
    if isinstance(value, list):
        return [_storable(part, depth - 1) for part in value]
    return value
