"""Money, dates and numbers as the reader's language writes them; the only user of Babel."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal

from orchestrator.rendering.names import moment, number


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
    if not currency:
        return format_decimal(amount, format="#,##0.00", locale=_locale(locale))
    return format_currency(amount, currency.upper(), locale=_locale(locale))


@lru_cache(maxsize=1024, typed=True)
def quantity(value: object, locale: str) -> str:
    """A number without needless decimals; none is empty."""
    amount = number(value)
    return "" if amount is None else format_decimal(amount, locale=_locale(locale))


def day(value: object, locale: str) -> str:
    """A date in words, `December 15, 2026` in `en`; none is empty.

    Takes a date, a time, or the ISO 8601 text of one; other text stays as it is.
    """
    known = moment(value)
    if isinstance(known, date):
        return format_date(known, "long", locale=_locale(locale))
    return "" if known is None else str(known)
