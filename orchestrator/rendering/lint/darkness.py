"""Rules about dark mode and about what clients load (sections B and C)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from orchestrator.rendering.lint import looks
from orchestrator.rendering.lint.css import CssRule
from orchestrator.rendering.lint.page import Element
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark, painted_in_place

MOST_BYTES: Final = 100_000
"""Of HTML: Gmail clips a mail at about 102 KB, and with it the way out."""
MANY_BYTES: Final = 80_000
_SHEET_BYTES: Final = 16_384
_MODES: Final = "light dark"
_POOR_FORMAT = re.compile(r"\.(?:svg|webp|avif)(?:[?#]|$)|^data:", re.IGNORECASE)
_REMOTE = re.compile(r"@import|@font-face", re.IGNORECASE)


def b1(mail: Mail) -> Iterator[Remark]:
    """The page declares both modes."""
    told = {
        one.attributes.get("name"): one.attributes.get("content") for one in mail.page.all("meta")
    }
    for name in ("color-scheme", "supported-color-schemes"):
        if " ".join((told.get(name) or "").split()) != _MODES:
            yield Remark(
                f"the page does not declare {name}",
                f'write <meta name="{name}" content="light dark"> in the head',
            )
    root = {
        one.name: one.value
        for sheet in mail.page.sheets
        for rule in sheet.rules
        if rule.selector == ":root"
        for one in rule.declarations
    }
    if {root.get("color-scheme"), root.get("supported-color-schemes")} != {_MODES}:
        yield Remark(
            "no style sheet declares both modes",
            "head.css begins with :root { color-scheme: light dark; supported-color-schemes:"
            " light dark }",
        )


def b2(mail: Mail) -> Iterator[Remark]:
    """Every colour has a dark counterpart."""
    if not any(_dark_colours(rule) for rule in _dark_rules(mail)):
        yield Remark(
            "there is no dark mode",
            "print {{ theme.dark }} in a <style> of its own, after {{ theme.head }}",
        )
        return
    for element, text in mail.texts:
        day, night = mail.light[element], mail.dark[element]
        if not night.shown or day.front != night.front or day.back == night.back:
            continue
        if day.coloured and night.front and night.back and night.readable:
            yield Remark(
                f'"{" ".join(text.split())[:40]}" keeps its colour in dark mode'
                " on a background that changes",
                "use a class of mail.css instead of a colour in place",
                element,
            )


def b3(mail: Mail) -> Iterator[Remark]:
    """Each dark rule has its twin for Outlook, and the other way round."""
    dark = looks.by_selector(mail.page.styles, outlook=False)
    twins = looks.by_selector(mail.page.styles, outlook=True)
    for selector in sorted(dark.keys() | twins.keys()):
        if dark.get(selector) != twins.get(selector):
            yield Remark(
                f"{selector} is dark in one kind of client alone",
                "write it both in @media (prefers-color-scheme: dark) and as"
                f" [data-ogsc] {selector} or [data-ogsb] {selector}",
            )
            return


def b4(mail: Mail) -> Iterator[Remark]:
    """Dark rules win over inline styles, and depend on nothing else."""
    for rule in _dark_rules(mail):
        weak = [one.name for one in rule.declarations if not one.important]
        if weak:
            yield Remark(
                f"{rule.selector} {{ {weak[0]} }} in dark mode loses against the inline style",
                f"write {weak[0]}: ... !important",
            )
        elif len(rule.media) > 1:
            yield Remark(
                f"{rule.selector} is dark in some sizes alone",
                "do not nest @media (prefers-color-scheme: dark)",
            )


def b5(mail: Mail) -> Iterator[Remark]:
    """What is painted can be repainted: its class stands in the dark sheet."""
    for one in mail.page.seen:
        if one in mail.unturned:
            yield Remark(
                f"<{one.tag}> is painted {painted_in_place(one)} in dark mode too",
                "use note(...) or a class of mail.css instead of a colour in place",
                one,
            )


def b8(mail: Mail) -> Iterator[Remark]:
    """Of a picture and its dark twin one is shown, and told once."""
    for one in mail.page.all("img"):
        if "dark-only" in one.classes:
            if one.attributes.get("alt") != "" or one.attributes.get("aria-hidden") != "true":
                yield Remark(
                    "the dark twin of a picture is read out as well",
                    'write alt="" aria-hidden="true" in it',
                    one,
                )
            elif one.style("display") != "none" or one.style("mso-hide") != "all":
                yield Remark(
                    "the dark twin of a picture shows in light mode",
                    "write display:none;mso-hide:all in its style",
                    one,
                )


def b9(mail: Mail) -> Iterator[Remark]:
    """Pictures are of a kind that every client shows."""
    for one in mail.page.all("img"):
        address = one.attributes.get("src", "")
        if _POOR_FORMAT.search(address):
            yield Remark(
                f"many clients do not show {address[:60]}",
                "use PNG, JPEG or GIF from an https address",
                one,
                (address,),
            )


def c1(mail: Mail) -> Iterator[Remark]:
    """A mail is small enough to be shown whole."""
    if mail.size > MOST_BYTES:
        yield Remark(
            f"the page has {mail.size:,} bytes; Gmail cuts it off at 102 KB, way out included",
            "list fewer items: event.items[:10]",
        )


def c1_many(mail: Mail) -> Iterator[Remark]:
    """... with something to spare."""
    if MANY_BYTES < mail.size <= MOST_BYTES:
        yield Remark(
            f"the page has {mail.size:,} bytes, close to the 102 KB that Gmail shows",
            "list fewer items",
        )


def c2(mail: Mail) -> Iterator[Remark]:
    """Style sheets stand in the head, are small, and the dark one is the last."""
    sheets = mail.page.all("style")
    for one in sheets:
        if one.around("head") is None:
            yield Remark("a <style> outside the head is dropped", "put it into head.css", one)
        size = len("".join(map(str, one.children)).encode())
        if size > _SHEET_BYTES:
            yield Remark(f"a <style> of {size:,} bytes; Gmail drops it", "keep it below 16 KB", one)
    dark = [any(rule.outlook for rule in sheet.rules) for sheet in mail.page.sheets]
    own = [any(_dark_colours(rule) for rule in sheet.rules) for sheet in mail.page.sheets]
    if True in own and (own.index(True) == 0 or not dark[-1]):
        yield Remark(
            "the dark style sheet does not come last, in a <style> of its own",
            "print {{ theme.dark }} after {{ theme.head }}",
        )


def _dark_colours(rule: CssRule) -> bool:
    return rule.dark and any(one.name in {"color", "background-color"} for one in rule.declarations)


def c11(mail: Mail) -> Iterator[Remark]:
    """Nothing is loaded from hosts that are not the shop's."""
    for one in mail.page.elements:
        if one.tag == "link" and "href" in one.attributes:
            yield Remark("a style sheet or font from elsewhere", "leave <link> out", one)
        for address in _assets(one):
            host = (urlsplit(address).hostname or "").lower()
            if host and mail.facts == TYPICAL and not _ours(host, mail):
                yield Remark(
                    f"a picture comes from {host}, which learns who reads the mail",
                    f"put it on your own host, or write hosts: [{host}] under brand",
                    one,
                    (address, host),
                )
    for sheet in mail.page.sheets:
        for other in sheet.others:
            if _REMOTE.match(other):
                yield Remark(
                    "a font or a style sheet is loaded from elsewhere",
                    "use the fonts that are there: Georgia, Arial",
                    clues=(other[:40], "@font-face", "@import"),
                )


def _assets(element: Element) -> Iterator[str]:
    for name in ("src", "background"):
        if name in element.attributes:
            yield element.attributes[name]
    for choice in element.attributes.get("srcset", "").split(","):
        yield from choice.split()[:1]
    for one in element.declared:
        yield from re.findall(r"url\(\s*['\"]?([^'\")]+)", one.value)


def _ours(host: str, mail: Mail) -> bool:
    known = [urlsplit(mail.brand.url).hostname or "", urlsplit(mail.own).hostname or ""]
    return any(
        host == one or host.endswith(f".{one}") for one in (*known, *mail.brand.hosts) if one
    )


def c12(mail: Mail) -> Iterator[Remark]:
    """The same facts make the same bytes."""
    if mail.again is not None and mail.again != mail.wire:
        yield Remark("made twice from the same facts it is not the same", "leave chance out")


def _dark_rules(mail: Mail) -> list[CssRule]:
    return [rule for sheet in mail.page.sheets for rule in sheet.rules if rule.dark]
