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
from typing import Final

MAX_LINE: Final = 998
"""Octets of a line without its end (RFC 5322 section 2.1.1)."""
_BASE64_ABOVE: Final = 6
"""With more than one byte in so many beyond ASCII, base64 is shorter than quoted-printable."""
_MOST_GROWTH: Final = 10
"""References may make a page longer by one character in so many."""
_BASE64_LINE: Final = 76
_ASCII: Final = bytes(range(128))
_CONTROL: Final = bytes({*range(32), 127} - {9, 10})
_FULL_LINE: Final = 75  # and the `=` that continues it (RFC 2045 section 6.7, rule 5)
_LONE_DOT = re.compile(rb"\n\.(?=\n)")
_RAW_TEXT = re.compile(
    r"<(?=[inpsxINPSX])(?:style\b([^<]*)|script|xmp|iframe|noembed|noframes|noscript|plaintext)",
    re.IGNORECASE,
)
"""Elements in which a reference is no reference (HTML, section 13.2.5)."""
_CHANGED = re.compile(rb"\n(?:(?<=[ \t]\n)|From |\.\n)")
"""What a server may change: space at the end of a line (RFC 2045 section 6.7, rule 3), `From `,
which becomes `>From `, and a dot alone. It begins with what a search skips to."""


def encoded(content: str) -> tuple[str, bytes]:
    """The name of the shortest encoding that serves, and the text in it; CRLF between lines.

    They have at most 998 bytes if nothing is encoded, else at most 76.
    """
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    data = content.encode("utf-8", "replace")
    if data.isascii() and _passes(data):
        return "7bit", data.replace(b"\n", b"\r\n")
    if _is_foreign(data, len(content)):
        return "base64", _base64(data.replace(b"\n", b"\r\n"))
    if len(data.translate(None, _CONTROL)) < len(data):
        return "quoted-printable", b2a_qp(data).replace(b"\n", b"\r\n")
    return "quoted-printable", _quoted(data)


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


def _passes(data: bytes) -> bool:
    """Whether every server passes the text on as it is."""
    start, end = 0, len(data)
    while end - start > MAX_LINE:
        start = data.rfind(b"\n", start, start + MAX_LINE + 1) + 1
        if not start:
            return False
    return b"\0" not in data and not _CHANGED.search(b"\n%b\n" % data)


def _is_foreign(data: bytes, characters: int) -> bool:
    """Whether so much of it lies beyond ASCII that base64 is shorter."""
    most = 2 * (len(data) - characters)  # a character of n bytes adds n - 1, and n is 2 or more
    if most * _BASE64_ABOVE <= len(data):
        return False
    return len(data.translate(None, _ASCII)) * _BASE64_ABOVE > len(data)


def _quoted(data: bytes) -> bytes:
    """Lines without control characters, quoted-printable."""
    text = data.replace(b"=", b"=3D")
    for byte in set(data.translate(None, _ASCII)):
        text = text.replace(bytes([byte]), b"=%02X" % byte)
    text = b"\n%b\n" % text
    if _CHANGED.search(text):
        text = text.replace(b" \n", b"=20\n").replace(b"\t\n", b"=09\n")
        text = _LONE_DOT.sub(b"\n=2E", text)
    lines = text[1:-1].split(b"\n")
    return b"\r\n".join([line if len(line) <= _FULL_LINE else _folded(line) for line in lines])


@lru_cache(maxsize=4096)
def _folded(text: bytes) -> bytes:
    """A long line. Most are the template's own, the same in every mail."""
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
