"""The plain part: simple HTML, as the text dialect of the components writes it, to lines.

Data in it is escaped, so `<` always begins a tag that a template's author wrote. Most tags say
no more than "a new line here"; `settled` makes marks of them when a template is compiled, so
that only links and the like are left to look at in a message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Final

WIDTH: Final = 78
"""RFC 5322 section 2.1.1 asks for lines of at most 78 characters; URLs are never broken."""

_TAG = re.compile(r"""<(/?)([a-zA-Z][\w-]*)((?:"[^"]*"|'[^']*'|[^'">])*)>|<!--.*?-->""", re.DOTALL)
_SPLIT: Final = 4
"""What `_TAG.split` yields for each tag: its three groups, and the words behind it."""
_HREF = re.compile(r"""\shref\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ENTRY, _CELL, _LINE, _PARAGRAPH, _BREAK = "\x1a", "\x1c", "\x1d", "\x1e", "\x1f"
"""What a tag asks for at its place. None of these can come from the data: facts hold none."""
_MARKS = re.compile(r"[\x1a\x1c-\x1f]")
_LINES_WANTED = re.compile(f"{_LINE}[ {_LINE}]*")
_GAP: Final = "\x00"
"""Where an expression stands between two pieces of a template's own text."""

_PARAGRAPHS: Final = frozenset(
    "p h1 h2 h3 h4 h5 h6 ul ol table blockquote section header footer".split()
)
_LINES: Final = frozenset("div tr li dt dd hr pre".split())
_HIDDEN: Final = frozenset("style script head title".split())
_WITH_WORDS: Final = _HIDDEN | {"a", "img"}
"""Tags that say more than a mark can."""


def to_line(markup: str) -> str:
    """One line without markup, control characters or doubled spaces: a subject, a preheader."""
    return " ".join(_CONTROL.sub(" ", unescape(_TAG.sub("", markup))).split())


def settled(pieces: Sequence[str]) -> list[str]:
    """A template's own text between its expressions, in order, with marks for most tags."""
    if not pieces:
        return []
    whole = _GAP.join(_MARKS.sub("", piece.replace(_GAP, "")) for piece in pieces)
    return _TAG.sub(_settled, whole).split(_GAP)


def to_text(markup: str) -> str:
    """Paragraphs set apart by an empty line, lines of at most 78 characters but for URLs."""
    return flowed(_CONTROL.sub("", markup.replace("\t", " ").replace("\r", " ")))


def flowed(markup: str) -> str:
    """The same for what a template made after `settled`; its facts hold no control characters."""
    markup = _in_line(markup)
    flow = "".join(_pieces(markup)) if "<" in markup else _words(markup)
    flow = flow.replace(_ENTRY, f"{_LINE}- ").replace(_CELL, " ")
    flow = _LINES_WANTED.sub("\n", flow.replace(_PARAGRAPH, "\n\n").replace(_BREAK, "\n"))
    stripped = [line.strip() for line in flow.split("\n")]
    whole = "".join(stripped)
    if "  " in whole or not whole.isprintable():
        stripped = [" ".join(line.split()) for line in stripped]
    lines: list[str] = []
    for line in stripped:
        if len(line) > WIDTH:
            lines += _wrapped(line)
        elif line or (lines and lines[-1]):
            lines.append(line)
    return _ended(lines)


def verbatim(markup: str) -> str:
    """A plain text as its author laid it out: only escapes and control characters go."""
    text = _CONTROL.sub("", unescape(_TAG.sub("", markup)).replace("\r\n", "\n"))
    lines: list[str] = []
    for raw in text.split("\n"):
        line = raw.rstrip()
        if line or (lines and lines[-1]):
            lines.append(line)
    return _ended(lines)


def _settled(tag: re.Match[str]) -> str:
    name = (tag[2] or "").lower()
    later = not name or name in _WITH_WORDS or _GAP in tag[0]
    return tag[0] if later else _mark(name, closing=bool(tag[1]))


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
        elif name == "img":
            pieces.append(_alternative(rest))
        elif mark := _mark(name, closing=bool(closing)):
            pieces.append(mark)
        if hidden is None and words:
            pieces.append(_words(words))
    return pieces


def _wrapped(line: str) -> list[str]:
    """Lines as short as they have to be; those of a list's entry stand beneath its words."""
    indent = "  " if line.startswith("- ") else ""
    lines: list[str] = []
    start, lead, room = 0, "", WIDTH
    while len(line) - start > room:
        cut = line.rfind(" ", start, start + room + 1)
        if cut < 0:
            cut = line.find(" ", start + room)
        if cut < 0:
            break
        lines.append(lead + line[start:cut])
        start, lead, room = cut + 1, indent, WIDTH - len(indent)
    lines.append(lead + line[start:])
    return lines


def _words(text: str) -> str:
    return _in_line(unescape(text)) if "&" in text else text


def _in_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ").replace("\t", " ")


def _mark(name: str, *, closing: bool) -> str:
    if name in _PARAGRAPHS:
        return _PARAGRAPH
    if name == "li" and not closing:
        return _ENTRY
    if name == "br":
        return _BREAK
    if name in _LINES:
        return _LINE
    return _CELL if name in {"td", "th"} else ""


def _alternative(attributes: str) -> str:
    found = _ALT.search(attributes)
    return unescape(found[1] or found[2] or "") if found else ""


def _link(pieces: list[str], links: list[tuple[str, int]], rest: str, *, closing: bool) -> None:
    """After the words of a link comes its address in angle brackets (RFC 3986 appendix C)."""
    if not closing:
        found = _HREF.search(rest)
        address = unescape(found[1] or found[2] or "").strip() if found else ""
        if not address.isprintable():
            address = _CONTROL.sub("", address)
        links.append((address, len(pieces)))
        return
    if not links:
        return
    address, start = links.pop()
    words = "".join(pieces[start:]).strip()
    if address and address.removeprefix("mailto:").removeprefix("tel:") != words:
        pieces.append(f" <{address}>" if words else f"<{address}>")


def _ended(lines: list[str]) -> str:
    """Without an empty line at its end, but with a newline."""
    return "\n".join(lines).rstrip("\n") + "\n"
