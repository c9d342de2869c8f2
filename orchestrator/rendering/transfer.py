"""Bodies of a message for the wire: as they are, quoted-printable or base64 (RFC 2045 section 6).

ASCII in lines that SMTP takes needs no encoding. A page in Latin script becomes ASCII by
references (`&#228;`), which every HTML parser reads as the characters they stand for, and which
are no longer than in quoted-printable. For what is left the standard library's encoder is slow:
it looks at every byte by itself, though only a few characters need more than a copy.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from operator import itemgetter
from typing import Final

MAX_LINE: Final = 998
"""Octets of a line without its end (RFC 5322 section 2.1.1)."""
_BASE64_ABOVE: Final = 6
"""With more than one byte in so many beyond ASCII, base64 is shorter than quoted-printable."""
_MOST_GROWTH: Final = 10
"""References may make a page longer by one character in so many."""
_BASE64_LINE: Final = 76
_BEYOND_ASCII: Final = bytes(range(128, 256))
_CONTROL: Final = bytes([*range(32), 127])
_FULL_LINE: Final = 75  # and the `=` that continues it (RFC 2045 section 6.7, rule 5)
_BEYOND = re.compile(rb"[\x80-\xff]")
_RAW_TEXT = re.compile(
    r"<(?=[inpsxINPSX])(?:style\b([^<]*)|script|xmp|iframe|noembed|noframes|noscript|plaintext)",
    re.IGNORECASE,
)
"""Elements in which a reference is no reference (HTML, section 13.2.5)."""
_CHANGED_ENDS: Final = frozenset({b" ", b"\t"})
"""At the end of a line servers may drop them (RFC 2045 section 6.7, rule 3)."""
_CHANGED_STARTS: Final = frozenset({b"From ", b"."})
"""Lines that some servers write as `>From`, or take for the end of the message."""
_END, _START = itemgetter(slice(-1, None)), itemgetter(slice(5))


def encoded(content: str) -> tuple[str, bytes]:
    """The name of the shortest encoding that serves, and the text in it; CRLF between lines.

    They have at most 998 bytes if nothing is encoded, else at most 76.
    """
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    data = content.encode("utf-8", "replace")
    lines = data.split(b"\n")
    if data.isascii() and _passes(data, lines):
        return "7bit", b"\r\n".join(lines)
    if _is_foreign(data, len(content)):
        return "base64", _base64(b"\r\n".join(lines))
    odd = len(data.translate(None, _CONTROL)) + len(lines) - 1 < len(data) or b"." in lines
    return "quoted-printable", b"\r\n".join(map(_oddly_quoted if odd else _quoted, lines))


def in_ascii(page: str) -> str:
    """A page with references for the few characters beyond ASCII.

    It stays as it is if they are so many that clients would get a much larger page, or stand where
    a reference would be shown as it is written.
    """
    if page.isascii():
        return page
    for raw in _RAW_TEXT.finditer(page):
        if raw[1] is None or not raw[1].isascii():
            return page
    referring = page.encode("ascii", "xmlcharrefreplace")
    many = (len(referring) - len(page)) * _MOST_GROWTH > len(page)
    return page if many else referring.decode()


def _passes(data: bytes, lines: list[bytes]) -> bool:
    """Whether every server passes the text on as it is."""
    return (
        b"\0" not in data
        and max(map(len, lines)) <= MAX_LINE
        and _CHANGED_ENDS.isdisjoint(map(_END, lines))
        and _CHANGED_STARTS.isdisjoint(map(_START, lines))
    )


def _is_foreign(data: bytes, characters: int) -> bool:
    """Whether so much of it lies beyond ASCII that base64 is shorter."""
    most = 2 * (len(data) - characters)  # a character of n bytes adds n - 1, and n is 2 or more
    if most * _BASE64_ABOVE <= len(data):
        return False
    return (len(data) - len(data.translate(None, _BEYOND_ASCII))) * _BASE64_ABOVE > len(data)


@lru_cache(maxsize=4096)
def _quoted(line: bytes) -> bytes:
    """One line, quoted-printable. Most are the template's own, the same in every mail."""
    text = line.replace(b"=", b"=3D")
    if not text.isascii():
        for byte in set(_BEYOND.findall(text)):
            text = text.replace(byte, b"=%02X" % ord(byte))
    if text.endswith(b" "):
        text = text[:-1] + b"=20"
    return text if len(text) <= _FULL_LINE else _folded(text)


@lru_cache(maxsize=4096)
def _oddly_quoted(line: bytes) -> bytes:
    """Likewise, where control characters or a lone dot may be in it."""
    return b2a_qp(line).replace(b"\n", b"\r\n")


def _folded(text: bytes) -> bytes:
    lines: list[bytes] = []
    start = 0
    while len(text) - start > _FULL_LINE:
        end = start + _FULL_LINE
        cut = text.rfind(b"=", end - 2, end)  # not through an `=3D`
        if cut < 0 and end + 1 == len(text):
            break  # nothing continues it, so that one more fits
        end = end if cut < 0 else cut
        lines.append(text[start:end])
        start = end
    return b"=\r\n".join([*lines, text[start:]])


def _base64(data: bytes) -> bytes:
    text = b2a_base64(data, newline=False)
    places = range(0, len(text), _BASE64_LINE)
    return b"\r\n".join([text[place : place + _BASE64_LINE] for place in places])
