"""Colours as style sheets write them, and what becomes of them (CSS Color 4, WCAG 2.2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from orchestrator.rendering.theme import contrast

_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)
_FUNCTION = re.compile(r"rgba?\(([^()]*)\)", re.IGNORECASE)
_IMAGE = re.compile(r"url\(|gradient\(", re.IGNORECASE)
_NUMBERS = re.compile(r"[\d.]+%?")
_NAMED: Final[dict[str, str]] = dict(
    pair.split("=", 1)
    for pair in """
        aqua=#00ffff beige=#f5f5dc black=#000000 blue=#0000ff brown=#a52a2a coral=#ff7f50
        crimson=#dc143c cyan=#00ffff darkblue=#00008b darkgray=#a9a9a9 darkgreen=#006400
        darkgrey=#a9a9a9 darkorange=#ff8c00 darkred=#8b0000 dimgray=#696969 dimgrey=#696969
        fuchsia=#ff00ff gainsboro=#dcdcdc gold=#ffd700 gray=#808080 green=#008000 grey=#808080
        hotpink=#ff69b4 indigo=#4b0082 ivory=#fffff0 khaki=#f0e68c lavender=#e6e6fa
        lightblue=#add8e6 lightgray=#d3d3d3 lightgreen=#90ee90 lightgrey=#d3d3d3
        lightyellow=#ffffe0 lime=#00ff00 magenta=#ff00ff maroon=#800000 navy=#000080
        olive=#808000 orange=#ffa500 orangered=#ff4500 orchid=#da70d6 pink=#ffc0cb plum=#dda0dd
        purple=#800080 red=#ff0000 royalblue=#4169e1 salmon=#fa8072 seagreen=#2e8b57
        silver=#c0c0c0 skyblue=#87ceeb slateblue=#6a5acd slategray=#708090 steelblue=#4682b4
        tan=#d2b48c teal=#008080 tomato=#ff6347 turquoise=#40e0d0 violet=#ee82ee white=#ffffff
        whitesmoke=#f5f5f5 yellow=#ffff00
        """.split()
)
"""Names that people write; another one counts as unknown."""


class Paint(NamedTuple):
    """What a background value paints: a colour if one is known, and whether there is a picture."""

    colour: str | None
    opaque: bool
    picture: bool


@lru_cache(maxsize=1024)
def colour(value: str) -> tuple[str, float] | None:
    """`#rrggbb` and opacity from 0 to 1 of a single colour; None for what is none we know."""
    text = value.strip().lower()
    if text == "transparent":
        return "#000000", 0.0
    if text in _NAMED:
        return _NAMED[text], 1.0
    if _HEX.fullmatch(text):
        digits = text[1:]
        if len(digits) <= 4:  # noqa: PLR2004  # `#rgb` and `#rgba`
            digits = "".join(2 * digit for digit in digits)
        alpha = int(digits[6:], 16) / 255 if len(digits) > 6 else 1.0  # noqa: PLR2004
        return f"#{digits[:6]}", alpha
    if match := _FUNCTION.fullmatch(text):
        return _from_numbers(_NUMBERS.findall(match[1]))
    return None


@lru_cache(maxsize=1024)
def paint(value: str) -> Paint | None:
    """What `background` or `background-color` paints; None where it paints nothing."""
    picture = bool(_IMAGE.search(value))
    plain = re.sub(r"url\([^)]*\)", " ", value)
    for part in (*_FUNCTION.finditer(plain), *re.finditer(r"#?[\w-]+", plain)):
        known = colour(part[0])
        if known is not None:
            front, alpha = known
            if alpha == 0 and not picture:
                return None
            return Paint(front, alpha == 1, picture)
    if picture:
        return Paint(None, opaque=False, picture=True)
    words = plain.strip().lower()
    return None if words in {"", "none", "inherit", "initial"} else Paint(None, False, False)  # noqa: FBT003


@lru_cache(maxsize=4096)
def ratio(one: str, other: str) -> float:
    """Contrast ratio of two `#rrggbb`, 1 to 21 (WCAG 2.2)."""
    return contrast(one, other)


@lru_cache(maxsize=1024)
def inverted(value: str) -> str:
    """The colour with its lightness turned around, L* to 100 - L* (CIELAB, D65), hue kept.

    An approximation of what clients do that darken a mail by themselves; none publishes how.
    """
    lightness, green_red, blue_yellow = _to_lab(value)
    return _from_lab(100 - lightness, green_red, blue_yellow)


def _from_numbers(numbers: list[str]) -> tuple[str, float] | None:
    if len(numbers) not in {3, 4}:
        return None
    try:
        channels = [
            round(float(one[:-1]) * 2.55) if one.endswith("%") else round(float(one))
            for one in numbers[:3]
        ]
        alpha = 1.0
        if len(numbers) == 4:  # noqa: PLR2004  # red, green, blue, alpha
            last = numbers[3]
            alpha = float(last[:-1]) / 100 if last.endswith("%") else float(last)
    except ValueError:
        return None
    return "#{:02x}{:02x}{:02x}".format(*(min(255, one) for one in channels)), alpha


_WHITE: Final = (0.95047, 1.0, 1.08883)


def _to_lab(value: str) -> tuple[float, float, float]:
    parts = [int(value[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)  # noqa: PLR2004
    xyz = (
        0.4124 * red + 0.3576 * green + 0.1805 * blue,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        0.0193 * red + 0.1192 * green + 0.9505 * blue,
    )
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116  # noqa: PLR2004
        for t in (one / white for one, white in zip(xyz, _WHITE, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _from_lab(lightness: float, green_red: float, blue_yellow: float) -> str:
    y = (lightness + 16) / 116
    turned = (y + green_red / 500, y, y - blue_yellow / 200)
    x, y, z = (
        white * (t**3 if t**3 > 0.008856 else (t - 16 / 116) / 7.787)  # noqa: PLR2004
        for t, white in zip(turned, _WHITE, strict=True)
    )
    linear = (
        3.2406 * x - 1.5372 * y - 0.4986 * z,
        -0.9689 * x + 1.8758 * y + 0.0415 * z,
        0.0557 * x - 0.2040 * y + 1.0570 * z,
    )
    shown = (
        12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055  # noqa: PLR2004
        for c in (min(1.0, max(0.0, one)) for one in linear)
    )
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * one) for one in shown))
