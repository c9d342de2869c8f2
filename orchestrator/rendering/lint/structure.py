"""Rules about how a page is built: language, direction, tables, headings, elements (section A)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from orchestrator.rendering.lint.page import BLOCKS, HEADINGS, Element, Page
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark, short
from orchestrator.rendering.theme import direction

_LANGUAGE_TAG = re.compile(
    r"[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-(?:[a-zA-Z]{2}|\d{3}))?(-(?:[a-zA-Z0-9]{5,8}|\d[a-zA-Z0-9]{3}))*"
)
"""The usual shapes of RFC 5646: language, script, region, variants."""
_LAYOUT_ROLES: Final = frozenset({"presentation", "none"})
_SAFE: Final = frozenset(
    """
    a abbr address article aside b bdi bdo blockquote body br caption center cite code col colgroup
    dd del dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 head header hr html i
    img ins kbd li link main mark meta nav ol p pre q s samp section small span strike strong style
    sub sup table tbody td tfoot th thead title tr tt u ul var wbr
    """.split()
)
"""Elements that mail clients keep (caniemail.com)."""
_LONG: Final = 120
"""Words from which on a mail needs a heading."""
_SCRIPTS: Final = {
    **dict.fromkeys("ar fa ps ur ug sd ckb".split(), "ARABIC"),
    **dict.fromkeys("he yi".split(), "HEBREW"),
    **dict.fromkeys("ru uk be bg sr mk kk ky mn tg".split(), "CYRILLIC"),
    "el": "GREEK",
    "hy": "ARMENIAN",
    "ka": "GEORGIAN",
    "dv": "THAANA",
    "hi": "DEVANAGARI",
    "th": "THAI",
    "ja": "CJK HIRAGANA KATAKANA",
    "zh": "CJK",
    "ko": "HANGUL CJK",
}
_TAG_LEFT = re.compile(r"</?(?:p|div|span|td|tr|table|a|br|img|style)\b[^>]*>")
_FOREIGN: Final = 25
"""Letters from which on a passage is in another script for good."""
_NEEDS_WRAPPING = re.compile(
    r"https?://\S+|[\w.+-]+@[\w-]+\.\S+|\+\d[\d ()-]{5,}|[$€£]\s?\d[\d.,]*"
    r"|\d[\d.,]*\s?[$€£]|\b[A-Z0-9]+(?:-[A-Z0-9]+)+\b"
)
"""Addresses, numbers, prices and codes, whose signs jump to the other side in a line from right
to left."""


def a1(mail: Mail) -> Iterator[Remark]:
    """The page says its language and direction."""
    html = mail.page.first("html")
    if html is None:
        yield Remark("the page has no <html>", "begin it as the shipped shell.html does")
        return
    tag, side = html.attributes.get("lang", ""), html.attributes.get("dir", "")
    if not _LANGUAGE_TAG.fullmatch(tag):
        yield Remark(f'<html> has lang="{tag}"', 'write lang="{{ locale }}"', html)
    elif tag.partition("-")[0].lower() != mail.language:
        yield Remark(
            f'<html> has lang="{tag}", the mail is in "{mail.locale}"',
            'write lang="{{ locale }}"',
            html,
        )
    if side not in {"ltr", "rtl"}:
        yield Remark(f'<html> has dir="{side}"', 'write dir="{{ theme.dir }}"', html)


def a2(mail: Mail) -> Iterator[Remark]:
    """What stands directly in the body says it again: clients drop <html> and <body>."""
    for child in mail.page.body.children:
        if isinstance(child, Element) and child.tag not in {"style", "script"}:
            missing = [name for name in ("lang", "dir") if not child.attributes.get(name)]
            if missing:
                yield Remark(
                    f"<{child.tag}> stands directly in the body without {' and '.join(missing)}",
                    'write lang="{{ locale }}" dir="{{ theme.dir }}" in it too',
                    child,
                )


def a3(mail: Mail) -> Iterator[Remark]:
    """The direction is that of the language, for every element that names both."""
    for element in mail.page.elements:
        tag, side = element.attributes.get("lang"), element.attributes.get("dir")
        if tag and side in {"ltr", "rtl"} and side != direction(tag):
            yield Remark(
                f'<{element.tag}> is in "{tag}" and has dir="{side}"',
                f'that language is written {direction(tag)}: dir="{direction(tag)}"',
                element,
            )


def a4(mail: Mail) -> Iterator[Remark]:
    """In a page from right to left no style turns words the other way."""
    if not mail.rtl:
        return
    for element in mail.page.seen:
        if element.style("direction") == "ltr":
            yield Remark(
                "direction:ltr holds a page from right to left back",
                'leave it out; a code or number goes into <bdi dir="ltr">',
                element,
            )
        elif element.style("text-align") == "left" and not _beside_others(element):
            yield Remark(
                "text-align:left in a page from right to left",
                "write text-align:var(--start) in mail.css, or leave it out",
                element,
            )


def _beside_others(element: Element) -> bool:
    """Whether it is a cell among cells: figures stand at the end of their line, which is left."""
    if element.tag not in {"td", "th"} or element.parent is None:
        return False
    row = [one for one in element.parent.children if isinstance(one, Element)]
    return len(row) > 1


def a5(mail: Mail) -> Iterator[Remark]:
    """In a page from right to left, what reads from left to right stands apart."""
    if not mail.rtl or mail.facts != TYPICAL:
        return
    for element, text in mail.texts:
        found = _NEEDS_WRAPPING.search(text)
        if found and _strong(text, {"R", "AL"}) and not _isolated(element):
            yield Remark(
                f"{found[0]!r} stands in a line from right to left",
                "write <bdi>...</bdi> around it",
                element,
                (found[0],),
            )


def a6(mail: Mail) -> Iterator[Remark]:
    """A passage in another script says its language."""
    wanted = _SCRIPTS.get(mail.language, "LATIN").split()
    if mail.facts != TYPICAL:
        return
    for element, text in mail.texts:
        letters = [one for one in text if one.isalpha()]
        own = sum(unicodedata.name(one, "").startswith(tuple(wanted)) for one in letters)
        if len(letters) >= _FOREIGN and own * 2 < len(letters) and not _named(element, mail):
            yield Remark(
                f'"{short(text)}" is in another script than the mail ("{mail.locale}")',
                'put it into <span lang="..."> with its language',
                element,
            )


def a7(mail: Mail) -> Iterator[Remark]:
    """The page's title is the subject, or more than it."""
    title = mail.page.first("title")
    said = " ".join(title.text.split()) if title else ""
    if not said:
        yield Remark(
            "the page has no <title>", "write <title>{{ subject }}</title> in the head", title
        )
    elif mail.mail.subject not in said or said == mail.template:
        yield Remark(
            f'the title "{short(said)}" is not the subject',
            "write <title>{{ subject }}</title>",
            title,
        )


def a8(mail: Mail) -> Iterator[Remark]:
    """A table is layout by its role, or holds facts by its headers."""
    pages = (mail.page, *mail.page.for_outlook)
    for table in (one for page in pages for one in page.all("table")):
        role = table.attributes.get("role", "")
        headers = [one for one in table.all("th", "caption") if one.around("table") is table]
        if role in _LAYOUT_ROLES:
            scoped = [one for one in table.all("td") if "scope" in one.attributes]
            own = [one for one in scoped if one.around("table") is table]
            if headers or own or "summary" in table.attributes:
                yield Remark(
                    f'a table with role="{role}" has headers',
                    "leave the role out if it holds facts, the headers if it places things",
                    table,
                )
        elif not headers:
            yield Remark(
                "a table for layout is read out as a table of facts",
                'write role="presentation" in it; a table of facts has <th scope="col">',
                table,
            )
        else:
            for one in headers:
                if one.tag == "th" and one.attributes.get("scope") not in {
                    *("row", "col", "rowgroup", "colgroup"),
                }:
                    yield Remark(
                        f'the header "{short(one.words)}" does not say what it is a header of',
                        'write scope="col" or scope="row" in it',
                        one,
                    )


def a12(mail: Mail) -> Iterator[Remark]:
    """One h1 where there is much to read, no level left out, no heading empty."""
    headings = [one for one in mail.page.seen if one.tag in HEADINGS]
    levels = [int(one.tag[1]) for one in headings]
    if levels.count(1) > 1:
        second = [one for one in headings if one.tag == "h1"][1]
        yield Remark("a second <h1>", "use heading(words, level=2) below the first", second)
    elif 1 not in levels and len(mail.page.words.split()) > _LONG:
        yield Remark("a long mail without a heading", 'begin with {{ heading("...") }}')
    for (_, above), (one, level) in pairwise(zip(headings, levels, strict=True)):
        if level > above + 1:
            yield Remark(
                f"<{one.tag}> comes after <h{above}>: a level is left out",
                f"use level={above + 1}",
                one,
            )
    for one in headings:
        if not one.words:
            yield Remark(f"an empty <{one.tag}>", "leave it out, or say something in it", one)
    yield from _in_drawings(mail.page)


def _in_drawings(page: Page) -> Iterator[Remark]:
    for one in (one for part in page.for_outlook for one in part.all(*HEADINGS)):
        if any(around.tag.startswith("v:") for around in one.lineage):
            yield Remark(f"<{one.tag}> inside a VML shape", "use <strong> there", one)


def a21(mail: Mail) -> Iterator[Remark]:
    """Only elements that mail clients keep, and no script in an attribute."""
    told: set[str] = set()
    for one in mail.page.elements:
        kept = one.tag in _SAFE
        scripts = [name for name in one.attributes if name.startswith("on")]
        for dropped in scripts if kept else [f"<{one.tag}>"]:
            if dropped not in told:
                told.add(dropped)
                yield Remark(
                    f"mail clients drop {dropped}",
                    "leave it out; docs/templates.md lists the components",
                    one,
                )
    yield from _nesting(mail.page)


def _nesting(page: Page) -> Iterator[Remark]:
    for one in page.all("a"):
        if one.around("a"):
            yield Remark("a link within a link", "close the first with </a>", one)
    for one in page.unended:
        yield Remark(
            f"<{one.tag}> is never closed: what follows becomes a part of it",
            f"write </{one.tag}> where it ends",
            one,
        )
    for tag, before in page.unbegun:
        yield Remark(
            f"</{tag}> closes nothing, and may close what is around the message",
            f"leave it out, or write <{tag}> where it begins",
            before,
        )


def a22(mail: Mail) -> Iterator[Remark]:
    """The plain part has every link and fact, and nothing of HTML."""
    text = " ".join(mail.mail.text.split())
    for link in mail.page.links:
        address = link.attributes["href"].strip().removeprefix("mailto:").removeprefix("tel:")
        if address and " ".join(address.split()) not in text:
            yield Remark(
                f'the link "{short(link.words or address)}" is missing in the plain part',
                "give the block `text` every link, or leave the block out",
                link,
            )
    if not text:
        yield Remark("the plain part is empty", "fill the block `content`, or `text`")
    found = _TAG_LEFT.search(text)
    if found and found[0] not in mail.said:
        yield Remark(f"{found[0]} is left in the plain part", "write plain words there")
    longest = max((len(line.encode()) for line in mail.mail.text.splitlines()), default=0)
    if longest > 998:  # noqa: PLR2004  # RFC 5322 section 2.1.1
        yield Remark("a line of the plain part has more than 998 bytes", "break it")


def _strong(text: str, kinds: set[str]) -> bool:
    return any(unicodedata.bidirectional(one) in kinds for one in text)


def _isolated(element: Element) -> bool:
    """Whether an element, or one around it up to its block, keeps its text apart."""
    for one in element.lineage:
        if one.tag in {"bdi", "bdo"}:
            return True
        if one.tag not in BLOCKS and one.attributes.get("dir"):
            return True
        if one.tag in BLOCKS:
            return False
    return False


def _named(element: Element, mail: Mail) -> bool:
    """Whether an element around it, below the page itself, says another language."""
    for one in element.lineage:
        tag = one.attributes.get("lang")
        if tag or one.tag == "bdi":
            return one.tag == "bdi" or tag != mail.locale
    return False
