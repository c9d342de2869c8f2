"""The plain part: simple HTML, as the text dialect of the components writes it, to lines.

Data in it is escaped, so `<` always begins a tag that a template's author wrote.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from typing import Final

WIDTH: Final = 78
"""RFC 5322 section 2.1.1 asks for lines of at most 78 characters; URLs are never broken."""

_TAG = re.compile(r"""<(/?)([a-zA-Z][\w-]*)((?:"[^"]*"|'[^']*'|[^'">])*)>|<!--.*?-->""", re.DOTALL)
_SPLIT: Final = 4
"""What `_TAG.split` yields for each tag: its three groups, and the words behind it."""
_HREF = re.compile(r"""\shref\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SPACE = re.compile(r"[ \t\r\n\f]+")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LINE, _PARAGRAPH = "\x1d", "\x1e"
"""A new line and an empty line wanted here; neither can come from the data."""
_BREAKS = re.compile(f"[{_LINE}{_PARAGRAPH}][ {_LINE}{_PARAGRAPH}]*")

_PARAGRAPHS: Final = frozenset(
    "p h1 h2 h3 h4 h5 h6 ul ol table blockquote section header footer".split()
)
_LINES: Final = frozenset("div tr li dt dd hr pre".split())
_HIDDEN: Final = frozenset("style script head title".split())


def to_line(markup: str) -> str:
    """One line without markup, control characters or doubled spaces: a subject, a preheader."""
    return " ".join(_CONTROL.sub(" ", unescape(_TAG.sub("", markup))).split())


def to_text(markup: str) -> str:
    """Paragraphs set apart by an empty line, lines of at most 78 characters but for URLs."""
    lines: list[str] = []
    flow = _BREAKS.sub(_break, "".join(_pieces(markup)))
    for raw in flow.split("\n"):
        line = " ".join(raw.split())
        if len(line) > WIDTH:
            lines.extend(_wrapped(line))
        else:
            lines.append(line)
    return _tidy(lines)


def verbatim(markup: str) -> str:
    """A plain text as its author laid it out: only escapes and control characters go."""
    text = _CONTROL.sub("", unescape(_TAG.sub("", markup)).replace("\r\n", "\n"))
    return _tidy([line.rstrip() for line in text.split("\n")])


def _pieces(markup: str) -> list[str]:
    pieces: list[str] = []
    links: list[tuple[str, int]] = []
    hidden: str | None = None
    first, *found = _TAG.split(markup)
    pieces.append(_words(first))
    for closing, tag, rest, words in zip(*(iter(found),) * _SPLIT, strict=True):
        name = (tag or "").lower()
        if hidden is not None:
            hidden = None if closing and name == hidden else hidden
        elif name in _HIDDEN:
            hidden = None if closing else name
        elif name == "a":
            _link(pieces, links, rest, closing=bool(closing))
        elif mark := _mark(name, rest, closing=bool(closing)):
            pieces.append(mark)
        if hidden is None and words:
            pieces.append(_words(words))
    return pieces


@lru_cache(maxsize=512)
def _wrapped(line: str) -> tuple[str, ...]:
    """Lines as short as they have to be; those of a list's entry stand beneath its words.

    Most long lines are the template's own, the same in every mail.
    """
    indent = "  " if line.startswith("- ") else ""
    lines: list[str] = []
    kept, *others = line.split(" ")
    for word in others:
        if len(kept) + 1 + len(word) <= WIDTH:
            kept = f"{kept} {word}"
        else:
            lines.append(kept)
            kept = indent + word
    return (*lines, kept)


def _break(match: re.Match[str]) -> str:
    return "\n\n" if _PARAGRAPH in match[0] else "\n"


def _words(text: str) -> str:
    if "&" not in text and (text.isprintable() or text.isspace()):
        return text if text.isprintable() else " "
    return _CONTROL.sub("", unescape(_SPACE.sub(" ", text)))


def _mark(name: str, rest: str, *, closing: bool) -> str:
    if name in _PARAGRAPHS:
        return _PARAGRAPH
    if name == "li" and not closing:
        return f"{_LINE}- "
    if name == "br":
        return "\n"
    if name in _LINES:
        return _LINE
    if name in {"td", "th"}:
        return " "
    if name == "img" and (alt := _ALT.search(rest)):
        return unescape(alt[1] or alt[2] or "")
    return ""


def _link(pieces: list[str], links: list[tuple[str, int]], rest: str, *, closing: bool) -> None:
    """After the words of a link comes its address in angle brackets (RFC 3986 appendix C)."""
    if not closing:
        found = _HREF.search(rest)
        address = unescape(found[1] or found[2] or "").strip() if found else ""
        links.append((_CONTROL.sub("", address), len(pieces)))
        return
    if not links:
        return
    address, start = links.pop()
    words = "".join(pieces[start:]).strip()
    if address and address.removeprefix("mailto:").removeprefix("tel:") != words:
        pieces.append(f" <{address}>" if words else f"<{address}>")


def _tidy(lines: list[str]) -> str:
    """At most one empty line in a row, none at either end, one newline at the end."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n") + "\n"
