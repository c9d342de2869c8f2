"""Telephone numbers, read with Google's libphonenumber tables."""

from __future__ import annotations

from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

_NO_MESSAGES: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PAGER,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)
"""Kinds of numbers that cannot take a text message, or that charge for it."""
LONGEST: Final = 64
"""Characters of a number as it may be written, spaces and brackets included."""


def normalise_phone(text: str, region: str | None) -> str | None:
    """The number in E.164 form (ITU-T E.164), or None if it cannot take messages.

    It must be possible and valid by the national plan and of a kind that takes messages.
    `region` (ISO 3166 code) is the country of numbers written without one; digits of any
    script are read.
    """
    if len(text) > LONGEST:
        return None
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or not phonenumbers.is_valid_number(number):
        return None
    if number.extension or phonenumbers.number_type(number) in _NO_MESSAGES:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)
