"""Rules about what can be read and hit: contrast, sizes, targets (A13-A18, A23, B6, B7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from orchestrator.rendering.lint import looks
from orchestrator.rendering.lint.colours import colour, ratio
from orchestrator.rendering.lint.css import pixels, sides
from orchestrator.rendering.lint.looks import EDGE, LARGE, Look, Style, Styles
from orchestrator.rendering.lint.page import BLOCKS, Element
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark, short

_BODY_SIZE: Final = 14
_GOOD_SIZE: Final = 16
_FOOT_SIZE: Final = 12
_LINES: Final = 1.5
_HEADING_LINES: Final = 1.2
_TARGET: Final = 24
_GOOD_TARGET: Final = 44
_CENTRED: Final = 240
_WIDEST: Final = 600
_LARGE: Final = 20
"""Pixels from which on a text is a heading in all but name."""


def a13(mail: Mail) -> Iterator[Remark]:
    """Text stands out from what is behind it, in light and in dark mode.

    What is painted in place and stays so in dark mode is B5's to tell.
    """
    told: set[tuple[Element, str | None, str | None]] = set()
    for look, known in mail.modes:
        for element, text in mail.texts:
            style = known[element]
            pair = (element, style.front, style.back)
            stuck = look.night and style.painter in mail.unturned
            if style.readable or not style.shown or stuck or pair in told:
                continue
            told.add(pair)
            found = ratio(style.front or "", style.back or "")
            yield Remark(
                f'"{short(text)}" is hard to read in {look.name} mode: {style.front} on'
                f" {style.back} is {found:.1f}:1",
                _contrast_hint(style, look),
                element,
                (short(text),),
            )


def _contrast_hint(style: Style, look: Look) -> str:
    if look.night:
        return (
            f"{style.wanted:g}:1 is needed; use a class of mail.css instead of a colour in"
            " place, then dark mode follows"
        )
    return f"{style.wanted:g}:1 is needed; take a darker or a lighter colour, or none"


def a13_unknown(mail: Mail) -> Iterator[Remark]:
    """Where a colour cannot be told, neither can its contrast."""
    for element, text in mail.texts:
        style = mail.light[element]
        if style.shown and (style.front is None or (style.back is None and not style.picture)):
            yield Remark(
                f'whether "{short(text)}" can be read cannot be told from its colours',
                "write plain colours such as #22262b, without transparency",
                element,
            )


def a14(mail: Mail) -> Iterator[Remark]:
    """A button stands out from what is behind it."""
    told: set[tuple[Element, str, str]] = set()
    for look, known in mail.modes:
        for link in mail.page.links:
            if known[link].painter is not link or not known[link].shown:
                continue
            frame = _frame(link, known)
            behind = known[frame.parent].back if frame.parent else look.back
            own = known[link].back
            if own is None or behind is None or ratio(own, behind) >= EDGE:
                continue
            if not _edged(link, behind) and (link, own, behind) not in told:
                told.add((link, own, behind))
                yield Remark(
                    f'the button "{short(link.words)}" hardly stands out in {look.name} mode:'
                    f" {own} on {behind} is {ratio(own, behind):.1f}:1",
                    f"{EDGE:g}:1 is needed; use button(label, url), or give it a border",
                    link,
                )


def _frame(link: Element, known: Styles) -> Element:
    """The link, or the cell around it that is painted in the same colour."""
    here = link
    while here.parent is not None and here.parent in known:
        around = known[here.parent]
        if around.painter is not here.parent or around.back != known[link].back:
            break
        here = here.parent
    return here


def _edged(link: Element, behind: str) -> bool:
    for value in (link.style("border"), link.style("border-color")):
        for word in (value or "").split():
            found = colour(word)
            if found and found[1] == 1 and ratio(found[0], behind) >= EDGE:
                return True
    return False


def a15(mail: Mail) -> Iterator[Remark]:
    """A link among words is not told by its colour alone."""
    for link in mail.page.links:
        style, block = mail.inline[link], link.block
        beside = " ".join(block.text.split()) != " ".join(link.text.split())
        if style.underlined or not beside or style.painter is link or not link.text.strip():
            continue
        around = mail.inline.get(link.parent) if link.parent else None
        front, words = style.front, around.front if around else None
        if style.bold and front and words and ratio(front, words) >= EDGE:
            continue
        yield Remark(
            f'the link "{short(link.words)}" among words is not underlined',
            "leave text-decoration:none out",
            link,
        )


def a16(mail: Mail) -> Iterator[Remark]:
    """Words are large enough, and lines far enough apart."""
    for element, text in mail.texts:
        style = mail.inline[element]
        if not style.shown or not re.search(r"\w", text):
            continue
        least = _FOOT_SIZE if _small_print(element) else _BODY_SIZE
        if style.size < least - 0.01:
            yield Remark(
                f'"{short(text)}" is {style.size:.3g} px large',
                f"{least} px is the least, {_GOOD_SIZE} px reads well",
                element,
            )
        elif not style.unitless:
            yield Remark(
                f'the line height around "{short(text)}" has a unit: enlarged letters overlap',
                "write a number alone: line-height:1.5",
                element,
            )
        elif style.line < (_HEADING_LINES if style.size >= _LARGE else _LINES) - 0.01:
            yield Remark(
                f'the lines of "{short(text)}" are close: {style.line:g} of their height',
                "write line-height:1.5",
                element,
            )


def a16_small(mail: Mail) -> Iterator[Remark]:
    """... and best at 16 pixels."""
    for element, text in mail.texts:
        style = mail.inline[element]
        if (
            style.shown
            and re.search(r"\w", text)
            and not _small_print(element)
            and _BODY_SIZE <= style.size < _GOOD_SIZE
        ):
            yield Remark(
                f'"{short(text)}" is {style.size:.3g} px large',
                f"{_GOOD_SIZE} px reads well on a telephone",
                element,
            )


def a17(mail: Mail) -> Iterator[Remark]:
    """What is tapped is at least 24 pixels in each direction."""
    for link, width, height in _targets(mail):
        if min(width, height) < _TARGET:
            yield Remark(
                f'"{short(link.words)}" is {width:.0f} by {height:.0f} px to tap on',
                f"give it padding: {_TARGET} px is the least, {_GOOD_TARGET} px is easy",
                link,
            )


def a17_small(mail: Mail) -> Iterator[Remark]:
    """... and best 44."""
    for link, _, height in _targets(mail):
        if _TARGET <= height < _GOOD_TARGET:
            yield Remark(
                f'"{short(link.words)}" is {height:.0f} px high to tap on',
                f"with more padding, {_GOOD_TARGET} px, it is easy to hit",
                link,
            )


def _targets(mail: Mail) -> Iterator[tuple[Element, float, float]]:
    """Links that stand by themselves, with the pixels they take: padding, letters and lines."""
    for link in mail.page.links:
        if link.style("display") not in {"block", "inline-block"}:
            continue
        style = mail.inline[link]
        picture = next((one for one in link.all("img")), None)
        above, right, below, left = sides(link.style("padding") or "0")
        above = pixels(link.style("padding-top") or "") or above
        below = pixels(link.style("padding-bottom") or "") or below
        inner = style.size * style.line
        if picture is not None:
            told = picture.style("height") or picture.attributes.get("height", "")
            inner = pixels(told) or _GOOD_TARGET
        width = left + right + style.size * len(link.words) / 2
        yield link, width, above + inner + below


def a18(mail: Mail) -> Iterator[Remark]:
    """Nothing is justified, and little is centred."""
    for element in {one.block for one, _ in mail.texts}:
        align = mail.inline[element].align
        if align == "justify":
            yield Remark("justified text tears gaps between words", "leave text-align out", element)
        elif align == "center" and len(" ".join(_direct(element).split())) > _CENTRED:
            yield Remark(
                "more than three lines are centred", "leave text-align:center out", element
            )


def _direct(element: Element) -> str:
    """The text of a block without that of the blocks in it."""
    return "".join(
        child if isinstance(child, str) else "" if child.tag in BLOCKS else child.text
        for child in element.children
    )


def a23(mail: Mail) -> Iterator[Remark]:
    """A page fits a narrow screen."""
    for one in mail.page.seen:
        widths = [pixels(one.style(name) or "") for name in ("width", "min-width")]
        if not one.attributes.get("width", "").endswith("%"):
            widths.append(pixels(one.attributes.get("width", "")))
        bounded = (one.style("max-width") or "").endswith("%") or one.style("width") == "100%"
        if (one.style("width") or "").endswith("%"):
            widths = widths[1:]
        widest = max((width for width in widths if width), default=0)
        if widest > _WIDEST and not bounded:
            yield Remark(
                f"<{one.tag}> is {widest:g} px wide: on a telephone one has to push it about",
                f"write width:100%;max-width:{_WIDEST}px",
                one,
            )
        elif one.tag == "img" and widest > 320 and not bounded:  # noqa: PLR2004  # WCAG 1.4.10
            yield Remark(
                f"a picture of {widest:g} px does not shrink",
                'use image(src, alt), or write style="width:100%;max-width:100%;height:auto"',
                one,
            )


def b6(mail: Mail) -> Iterator[Remark]:
    """A page survives a client that turns its colours around."""
    known = looks.flipped(mail.inline)
    for element, text in mail.texts:
        style = known[element]
        if not style.shown or not mail.inline[element].readable:
            continue
        if style.front and style.back and ratio(style.front, style.back) < LARGE:
            yield Remark(
                f'"{short(text)}" is hard to read where a client inverts colours:'
                f" {style.front} on {style.back}",
                "take colours that lie further apart",
                element,
            )


def b7(mail: Mail) -> Iterator[Remark]:
    """Black on white is what inverting clients treat most harshly."""
    for element, text in mail.texts:
        style = mail.inline[element]
        if {style.front, style.back} == {"#000000", "#ffffff"} and style.shown and style.painter:
            yield Remark(
                f'"{short(text)}" is pure black and white',
                "take nearly black and nearly white: #22262b on #fffdfa",
                element,
            )


def b10(mail: Mail) -> Iterator[Remark]:
    """No text lies over a picture."""
    for element, text in mail.texts:
        if mail.light[element].picture and mail.facts == TYPICAL:
            yield Remark(
                f'"{short(text)}" lies over a background picture',
                "put the picture above the words, or leave it out",
                element,
            )


def _small_print(element: Element) -> bool:
    return any("foot" in one.classes or one.tag in {"footer", "small"} for one in element.lineage)
