"""How a client shows each element of a page: colours, sizes and alignment, by mode.

Styles are resolved as far as mails use them: inline styles, sheets by specificity left aside but
for `!important`, inheritance, and what browsers give `<h1>`, `<b>` or `<a>` by themselves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from orchestrator.rendering.lint.colours import colour, inverted, paint, ratio
from orchestrator.rendering.lint.css import Compound, CssRule, Declaration, pixels, sheet
from orchestrator.rendering.lint.page import Element, Page


@dataclass(frozen=True, slots=True)
class Look:
    """A way to show a page: which sheets hold, and the client's own colours."""

    name: str
    front: str
    back: str
    sheets: bool = False
    dark: bool = False
    outlook: bool = False

    @property
    def night(self) -> bool:
        """Whether it is dark."""
        return self.dark or self.outlook

    def holds(self, rule: CssRule) -> bool:
        """Whether a rule of a sheet has a say; those for other widths have none."""
        if not self.sheets:
            return False
        if rule.outlook:
            return self.outlook
        return not rule.media or (rule.dark and self.dark)


TEXT: Final = 4.5
LARGE: Final = 3.0
EDGE: Final = 3.0
"""Contrast of text, of large text, and of edges (WCAG 2.2, 1.4.3 and 1.4.11)."""

INLINE: Final = Look("light", "#000000", "#ffffff")
"""By inline styles alone: what remains where a client drops every sheet."""
LIGHT: Final = replace(INLINE, sheets=True)
DARK: Final = Look("dark", "#ffffff", "#121212", sheets=True, dark=True)
OUTLOOK: Final = replace(DARK, name="Outlook's dark", dark=False, outlook=True)


@dataclass(frozen=True, slots=True)
class Style:
    """What holds for an element. A colour that cannot be told is None.

    `painter` is the element whose background is behind it; `size` in pixels; `line` is the line
    height as a multiple of the size, `unitless` whether it is written as one.
    """

    front: str | None
    back: str | None
    picture: bool = False
    painter: Element | None = None
    coloured: Element | None = None
    size: float = 16.0
    bold: bool = False
    line: float = 1.2
    unitless: bool = True
    align: str = ""
    align_by: Element | None = None
    direction: str = ""
    underlined: bool = False
    shown: bool = True

    @property
    def large(self) -> bool:
        """Large text in the sense of WCAG 2.2: 24 px, or 18.66 px in bold."""
        return self.size >= 24 or (self.bold and self.size >= 18.66)  # noqa: PLR2004  # WCAG's

    @property
    def wanted(self) -> float:
        """The contrast that text of its size needs (WCAG 2.2, 1.4.3)."""
        return LARGE if self.large else TEXT

    @property
    def readable(self) -> bool:
        """Whether text stands out enough, as far as the colours are known."""
        known = self.front is not None and self.back is not None
        return not known or ratio(self.front or "", self.back or "") >= self.wanted


Styles = Mapping[Element, Style]

_OUTLOOK = re.compile(r"\[data-ogs[cb]\]\s*")
_RESOLVED: Final = frozenset(
    """
    background background-color background-image color direction display font-size font-weight
    line-height text-align text-decoration text-decoration-line visibility
    """.split()
)
_SIZES: Final = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "small": 0.83, "big": 1.2}
_KEYWORDS: Final = {
    "xx-small": 9.0,
    "x-small": 10.0,
    "small": 13.0,
    "medium": 16.0,
    "large": 18.0,
    "x-large": 24.0,
    "xx-large": 32.0,
    "smaller": 13.3,
    "larger": 19.2,
}
_BOLD: Final = frozenset("h1 h2 h3 h4 h5 h6 b strong th".split())
_BOLD_FROM: Final = 600
_USUAL_LINE: Final = 1.2
_LINK: Final = {False: "#0000ee", True: "#9e9eff"}
"""What browsers colour a link that nobody coloured."""


def styles(page: Page, look: Look) -> Styles:
    """What holds for every element of the body in a look."""
    sheets = _sheets(page.styles if look.sheets else (), look)
    found: dict[Element, Style] = {}
    top = Style(look.front, look.back)
    for element in reversed([*page.body.lineage]):
        top = found[element] = _style(element, top, sheets.said(element), look)
    waiting = [page.body]
    while waiting:
        here = waiting.pop()
        around = found[here]
        for child in here.children:
            if isinstance(child, Element):
                found[child] = _style(child, around, sheets.said(child), look)
                waiting.append(child)
    return found


def flipped(known: Styles) -> dict[Element, Style]:
    """The same with the lightness of every colour turned around, as some clients do to a mail."""
    return {
        element: replace(
            style,
            front=style.front and inverted(style.front),
            back=style.back and inverted(style.back),
        )
        for element, style in known.items()
    }


@lru_cache(maxsize=256)
def _sheets(texts: tuple[str, ...], look: Look) -> _Sheets:
    """The rules that hold in a look; the same sheets come again in every mail."""
    return _Sheets([rule for text in texts for rule in sheet(text).rules if look.holds(rule)])


@lru_cache(maxsize=64)
def by_selector(texts: tuple[str, ...], *, outlook: bool) -> dict[str, frozenset[str]]:
    """What sheets say in dark mode, or to Outlook in its own, by selector."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for rule in (rule for text in texts for rule in sheet(text).rules):
        if rule.outlook if outlook else rule.dark:
            selector = _OUTLOOK.sub("", rule.selector)
            found[selector] |= {f"{one.name}:{one.value}" for one in rule.declarations}
    return found


def differ(page: Page, one: Look, other: Look) -> bool:
    """Whether two looks of the same brightness can show a page differently."""
    if one.night:
        dark = by_selector(page.styles, outlook=False)
        return dark != by_selector(page.styles, outlook=True)
    return _sheets(page.styles, one).colours != _sheets(page.styles, other).colours


class _Sheets:
    """Rules by what their last compound asks for."""

    def __init__(self, rules: Sequence[CssRule]) -> None:
        self._by_key: dict[str, list[CssRule]] = defaultdict(list)
        self.colours = any(said.name in _RESOLVED for rule in rules for said in rule.declarations)
        for rule in rules:
            last = rule.path[-1]
            for key in last.classes or {last.tag or "*"}:
                self._by_key[key].append(rule)
                break

    def said(self, element: Element) -> tuple[Declaration, ...]:
        """All that holds for an element, the strongest last."""
        if not self._by_key:
            return element.declared
        weak: list[Declaration] = []
        strong: list[Declaration] = []
        for key in (*element.classes, element.tag, "*"):
            for rule in self._by_key.get(key, ()):
                if matches(rule, element):
                    for one in rule.declarations:
                        (strong if one.important else weak).append(one)
        own = element.declared
        return (*weak, *own, *strong, *(one for one in own if one.important))


def matches(rule: CssRule, element: Element) -> bool:
    """Whether the selector of a rule is about an element; Outlook's marks are taken as set."""
    *above, last = rule.path
    if not _is(last, element):
        return False
    around = element.parent
    for compound in reversed(above):
        if compound.attributes and compound.attributes[0].startswith("data-ogs"):
            continue
        while around is not None and not _is(compound, around):
            around = around.parent
        if around is None:
            return False
        around = around.parent
    return True


def _is(compound: Compound, element: Element) -> bool:
    if compound.states:
        return compound.states == (":root",) and element.tag == "html"
    return (
        compound.tag in {None, element.tag}
        and compound.classes <= {*element.classes}
        and compound.identifier in {None, element.attributes.get("id")}
        and all(
            one in element.attributes or one.startswith("data-ogs") for one in compound.attributes
        )
    )


def _style(element: Element, around: Style, said: Sequence[Declaration], look: Look) -> Style:
    told = {one.name: one.value for one in said}
    changes: dict[str, object] = {}
    changes |= _painted(element, told)
    changes |= _written(element, around, told, look)
    if align := told.get("text-align", element.attributes.get("align", "")).lower():
        changes |= {"align": align, "align_by": element}
    if direction := told.get("direction", element.attributes.get("dir", "")).lower():
        changes["direction"] = direction
    if not around.shown or told.get("display") == "none" or told.get("visibility") == "hidden":
        changes["shown"] = False
    return replace(around, **changes) if changes else around  # type: ignore[arg-type]  # by name


def _painted(element: Element, told: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    values = [
        told[name]
        for name in ("background", "background-color", "background-image")
        if name in told
    ] or [value for value in [element.attributes.get("bgcolor")] if value]
    found = [one for one in map(paint, values) if one is not None]
    if not found:
        return
    yield "painter", element
    yield "picture", any(one.picture for one in found)
    solid = [one.colour for one in found if one.colour and one.opaque]
    yield "back", solid[-1] if solid and not any(one.picture for one in found) else None


def _written(
    element: Element, around: Style, told: Mapping[str, str], look: Look
) -> Iterator[tuple[str, object]]:
    tag = element.tag
    front = told.get("color", element.attributes.get("color") if tag == "font" else None)
    if front is not None and front.lower() not in {"inherit", "initial", "currentcolor"}:
        known = colour(front)
        yield "front", known[0] if known and known[1] == 1 else None
        yield "coloured", element
    elif front is None and tag == "a" and "href" in element.attributes:
        yield "front", _LINK[look.night]
        yield "coloured", element
    size = told.get("font-size")
    if size is not None:
        number = _KEYWORDS.get(size.lower(), pixels(size, around.size))
        yield from [("size", number)] if number is not None else []
    elif tag in _SIZES:
        yield "size", around.size * _SIZES[tag]
    weight = told.get("font-weight", "bold" if tag in _BOLD else "")
    if weight:
        yield (
            "bold",
            weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= _BOLD_FROM),
        )
    yield from _lines(told.get("line-height"), around.size)
    decoration = told.get("text-decoration", told.get("text-decoration-line", ""))
    if decoration:
        yield "underlined", "underline" in decoration
    elif tag in {"a", "u"}:
        yield "underlined", True


def _lines(height: str | None, size: float) -> Iterator[tuple[str, object]]:
    if height is None:
        return
    try:
        yield "line", float(height)
        yield "unitless", True
    except ValueError:
        number = pixels(height, size)
        yield "line", number / size if number is not None and size else _USUAL_LINE
        yield "unitless", height.lower() == "normal"
