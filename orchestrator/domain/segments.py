"""How many SMS a text takes, exactly as networks cut it (3GPP TS 23.038 and 23.040).

A text of the GSM 7-bit alphabet has 160 septets, or 153 in each of several parts; any other text is
UCS-2 and has 70 UTF-16 code units, or 67. A character is never cut in two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic table (3GPP TS 23.038 section 6.2.1): one septet each."""
EXTENSION: Final = frozenset("\f^{}\\[~]|€")
"""The extension table (section 6.2.1.1): an escape and a character, two septets."""

MOST_SEGMENTS: Final = 10
"""Beyond that networks drop parts, and nobody reads a text that long."""
MOST_CHARACTERS: Final = 1600
"""What providers take as the body of one message (Twilio error 21617)."""

TYPOGRAPHIC: Final = {
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'", "\u00b4": "'",
    "`": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2033": '"', "\u00ab": '"',
    "\u00bb": '"', "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-",
    "\u2212": "-", "\u2022": "-", "\u00b7": "-", "\u2026": "...", "\u00a0": " ", "\u2009": " ",
    "\u202f": " ", "\t": " ", "\u00ad": "", "\u200b": "", "\u2060": "",
}  # fmt: skip
"""Characters of the typesetter that make a text UCS-2, and what says the same in the alphabet.

The joiners U+200C and U+200D are not among them: they are spelling.
"""


class Encoding(StrEnum):
    """How a text travels."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"

    @property
    def alone(self) -> int:
        """Units of a text that fits into one SMS."""
        return 160 if self is Encoding.GSM7 else 70

    @property
    def in_part(self) -> int:
        """Units of each part where there are several: a header takes the rest."""
        return 153 if self is Encoding.GSM7 else 67


@dataclass(frozen=True, slots=True)
class SmsSize:
    """What a text takes: `units` are septets or UTF-16 code units."""

    encoding: Encoding
    units: int
    segments: int


@dataclass(frozen=True, slots=True)
class Offender:
    """A character outside the GSM alphabet: where it first stands, and a plain form, if any."""

    character: str
    position: int
    count: int
    instead: str | None

    @property
    def code_point(self) -> str:
        """Its number as Unicode writes it: U+2019."""
        return f"U+{ord(self.character):04X}"


def size_of(text: str) -> SmsSize:
    """The encoding and the number of SMS of a text as it stands."""
    letters = set(text)
    if letters <= BASIC:
        return _even(Encoding.GSM7, len(text))
    if letters <= BASIC | EXTENSION:
        return _packed(Encoding.GSM7, [1 + (letter in EXTENSION) for letter in text])
    if max(letters) <= "\uffff":
        return _even(Encoding.UCS2, len(text))
    return _packed(Encoding.UCS2, [1 + (letter > "\uffff") for letter in text])


def offenders(text: str) -> list[Offender]:
    """Each character that keeps a text out of the GSM alphabet, once, in order."""
    strange = dict.fromkeys(one for one in text if one not in BASIC and one not in EXTENSION)
    return [
        Offender(one, text.index(one), text.count(one), TYPOGRAPHIC.get(one)) for one in strange
    ]


def in_plain_letters(text: str) -> str:
    """The text with its typographic characters replaced; letters of a language stay."""
    return text.translate(_PLAIN)


_PLAIN: Final = str.maketrans(TYPOGRAPHIC)


def _even(encoding: Encoding, units: int) -> SmsSize:
    """The size of a text whose characters are a unit each."""
    segments = 1 if units <= encoding.alone else -(-units // encoding.in_part)
    return SmsSize(encoding, units, segments)


def _packed(encoding: Encoding, widths: Sequence[int]) -> SmsSize:
    """The size of a text some of whose characters are pairs, which must not be parted."""
    units = sum(widths)
    if units <= encoding.alone:
        return SmsSize(encoding, units, 1)
    segments, used = 1, 0
    for width in widths:
        if used + width > encoding.in_part:
            segments, used = segments + 1, 0
        used += width
    return SmsSize(encoding, units, segments)
