"""Money, dates, numbers and lists as the reader's language writes them, after CLDR by Babel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal

from orchestrator.rendering.names import moment, number

OWN: Final = "default"
"""The numbering system that a language itself uses."""
_ZEROS: Final = {"arab": 0x660, "arabext": 0x6F0, "beng": 0x9E6, "deva": 0x966, "mymr": 0x1040}
"""Where the digits of a numbering system begin (Unicode); Latin ones need no change."""


@lru_cache(maxsize=256)
def _locale(tag: str) -> Locale:
    """The closest locale Babel knows, English in the end."""
    while tag:
        try:
            return Locale.parse(tag.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            tag = tag.replace("_", "-").rpartition("-")[0]
    return Locale("en")


@lru_cache(maxsize=4096, typed=True)
def money(value: object, currency: str | None, locale: str) -> str:
    """An amount in a currency (ISO 4217), or a plain number where none is known; none is empty."""
    amount = number(value)
    if amount is None:
        return ""
    known = _locale(locale)
    if not currency:
        return _own(format_decimal(amount, "#,##0.00", known, numbering_system=OWN), known)
    return _own(format_currency(amount, currency.upper(), None, known, numbering_system=OWN), known)


@lru_cache(maxsize=1024, typed=True)
def quantity(value: object, locale: str) -> str:
    """A number without needless decimals; none is empty."""
    amount = number(value)
    known = _locale(locale)
    return (
        ""
        if amount is None
        else _own(format_decimal(amount, None, known, numbering_system=OWN), known)
    )


def day(value: object, locale: str) -> str:
    """A date in words, `December 15, 2026` in `en`; none is empty.

    Takes a date, a time, or the ISO 8601 text of one; other text stays as it is.
    """
    known = moment(value)
    if isinstance(known, date):
        written = _locale(locale)
        return _own(format_date(known, "long", written), written)
    return "" if known is None else str(known)


def listed(words: Sequence[str], locale: str, *, either: bool = False) -> str:
    """Several things as one: `a map and a cup` in `en`, or `a map or a cup`; nothing is empty."""
    return format_list(words, "or" if either else "standard", _locale(locale))


def _own(text: str, locale: Locale) -> str:
    """The text in the language's own digits; Babel writes the signs around them, but not these."""
    zero = _ZEROS.get(locale.default_numbering_system)
    return text if zero is None else text.translate({48 + n: zero + n for n in range(10)})
