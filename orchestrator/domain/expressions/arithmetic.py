"""Exact decimal arithmetic, the same in Python, SQLite and PostgreSQL.

Sums, differences and products are exact. A quotient is rounded half away from zero to
`DECIMALS` places, in one rounding. `//` cuts towards zero and `%` takes the sign of its left side
(General Decimal Arithmetic, "divide-integer" and "remainder"), as PostgreSQL's `div` and `mod` do.
What has no answer, such as a division by zero, is missing (None).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation

DECIMALS = 12
#: A number from outside with more digits than this before or after the point is missing.
#: With at most 200 nodes to an expression this bounds every product below PRECISION.
DIGITS = 30
PRECISION = 20_000
LONGEST = timedelta(days=36_525)

_EXACT = Context(prec=PRECISION, Emax=999_999, Emin=-999_999)
_STEP = Decimal(1).scaleb(-DECIMALS)
_LIMIT = Decimal(10) ** DIGITS
_MICROSECOND = timedelta(microseconds=1)
_SCALE: int = 10**DECIMALS
UNITS = {
    "days": timedelta(days=1) // _MICROSECOND,
    "hours": timedelta(hours=1) // _MICROSECOND,
    "minutes": timedelta(minutes=1) // _MICROSECOND,
}


def read_number(raw: object) -> Decimal | None:
    """A number as it came from JSON or the database; None when it is no number or out of range."""
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)):
        return None
    try:
        number = raw if isinstance(raw, Decimal) else Decimal(str(raw))
    except (InvalidOperation, ValueError):  # int with more digits than str() gives
        return None
    if not number.is_finite() or abs(number) >= _LIMIT:
        return None
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and exponent >= -DIGITS else None


def number_text(number: Decimal) -> str:
    """Shortest plain notation: no exponent, no trailing zeros, no minus before zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def add(left: Decimal, right: Decimal) -> Decimal:
    """Exact sum."""
    return _EXACT.add(left, right)


def subtract(left: Decimal, right: Decimal) -> Decimal:
    """Exact difference."""
    return _EXACT.subtract(left, right)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """Exact product."""
    return _EXACT.multiply(left, right)


def divide(left: Decimal, right: Decimal) -> Decimal | None:
    """Quotient to `DECIMALS` places, half away from zero; None when `right` is zero."""
    if not right:
        return None
    top, bottom = _whole(left, right)
    quotient, rest = divmod(abs(top) * _SCALE, abs(bottom))
    rounded = quotient + (2 * rest >= abs(bottom))
    signed = rounded if (top < 0) == (bottom < 0) else -rounded
    return _EXACT.multiply(Decimal(signed), _STEP)


def divide_whole(left: Decimal, right: Decimal) -> Decimal | None:
    """Quotient cut towards zero; None when `right` is zero."""
    if not right:
        return None
    top, bottom = _whole(left, right)
    quotient = abs(top) // abs(bottom)
    return Decimal(quotient if (top < 0) == (bottom < 0) else -quotient)


def remainder(left: Decimal, right: Decimal) -> Decimal | None:
    """What `divide_whole` leaves, with the sign of `left`; None when `right` is zero."""
    quotient = divide_whole(left, right)
    return None if quotient is None else subtract(left, multiply(quotient, right))


def _whole(left: Decimal, right: Decimal) -> tuple[int, int]:
    """Two whole numbers in the same ratio."""
    exponents = (value.as_tuple().exponent for value in (left, right))
    shift = -min(0, *(exponent for exponent in exponents if isinstance(exponent, int)))
    return int(_EXACT.scaleb(left, shift)), int(_EXACT.scaleb(right, shift))


def duration(unit: str, amount: Decimal) -> timedelta | None:
    """`days(2)` and the like, to the microsecond; None beyond a hundred years."""
    return _from_microseconds(multiply(amount, Decimal(UNITS[unit])))


def scale(length: timedelta, factor: Decimal | None) -> timedelta | None:
    """A duration times a number; None beyond a hundred years."""
    if factor is None:
        return None
    return _from_microseconds(multiply(Decimal(length // _MICROSECOND), factor))


def _from_microseconds(amount: Decimal) -> timedelta | None:
    if abs(amount) > Decimal(LONGEST // _MICROSECOND):
        return None
    half = Decimal("0.5") if amount >= 0 else Decimal("-0.5")
    return timedelta(microseconds=int(_EXACT.add(amount, half)))


def shift(moment: datetime, by: timedelta) -> datetime | None:
    """A time moved by a duration; None outside the years 1 to 9999."""
    try:
        return moment.astimezone(UTC) + by
    except OverflowError:
        return None
