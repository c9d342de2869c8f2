"""Colours and sides of a message: one table of tokens, light and dark, following the brand.

Contrast after WCAG 2.2, success criteria 1.4.3 (text, 4.5:1) and 1.4.11 (edges, 3:1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

TEXT_CONTRAST: Final = 4.5
MIDDLE: Final = 0.18
"""The luminance at which black and white stand out equally."""

RTL_LANGUAGES: Final = frozenset("ar ckb dv fa he ps sd ug ur yi".split())

_HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """A colour in both modes, as `#rrggbb`."""

    light: str
    dark: str


TOKENS: Final = {
    "page": Token("#f3f1ec", "#121518"),
    "surface": Token("#fffdfa", "#1c2024"),
    "text": Token("#22262b", "#e9e7e2"),
    "muted": Token("#5b636d", "#a9b0b8"),
    "accent": Token("#0b5a7a", "#86cbe6"),
    "on-accent": Token("#fffdfa", "#0c1c24"),
    "note": Token("#fbf3dc", "#2a2618"),
    "on-note": Token("#22262b", "#f3e6bd"),
    "edge": Token("#848a91", "#6b737c"),
    "line": Token("#e3dfd6", "#343a40"),
    "tile": Token("#e6eef0", "#25333a"),
    "bad": Token("#a3231f", "#ffb4ab"),
    "good": Token("#1f6b3a", "#8fd6a6"),
}

_BEHIND_ACCENT: Final = ("surface", "page", "tile", "note")


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 for black to 1 for white (WCAG 2.2)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]  # noqa: PLR2004  # the formula's
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def legible(colour: str, *surfaces: str) -> str:
    """The colour, moved away from the surfaces in small steps until text in it can be read."""
    end = 0 if all(luminance(surface) > MIDDLE for surface in surfaces) else 255
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    for step in range(51):
        mixed = [round(c + (end - c) * step / 50) for c in channels]
        candidate = "#{:02x}{:02x}{:02x}".format(*mixed)
        if min(contrast(candidate, surface) for surface in surfaces) >= TEXT_CONTRAST:
            return candidate
    return "#000000" if end == 0 else "#ffffff"


def tokens_for(accent: str | None) -> dict[str, Token]:
    """The token table with a brand's accent, made legible in both modes."""
    if accent is None or not _HEX.fullmatch(accent) or accent.lower() == TOKENS["accent"].light:
        return dict(TOKENS)
    behind = [TOKENS[name] for name in _BEHIND_ACCENT]
    light = legible(accent.lower(), *(token.light for token in behind))
    dark = legible(accent.lower(), *(token.dark for token in behind))
    on_accent = Token(TOKENS["on-accent"].light, legible(TOKENS["on-accent"].dark, dark))
    return {**TOKENS, "accent": Token(light, dark), "on-accent": on_accent}


def direction(locale: str) -> str:
    """`rtl` or `ltr`, by the language of the locale."""
    return "rtl" if locale.replace("_", "-").split("-")[0].lower() in RTL_LANGUAGES else "ltr"
