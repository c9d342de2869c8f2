"""Bodies of a message for the wire: quoted-printable or base64 (RFC 2045 section 6).

The standard library's encoder looks at every byte by itself; a template's own lines come again
in every mail, and of the others only a few characters need more than a copy.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from typing import Final

_BASE64_ABOVE: Final = 6
"""With more than one byte in so many beyond ASCII, base64 is shorter than quoted-printable."""
_BASE64_LINE: Final = 76
_BEYOND_ASCII: Final = bytes(range(128, 256))
_CONTROL: Final = bytes([*range(32), 127])
_FULL_LINE: Final = 75  # and the `=` that continues it (RFC 2045 section 6.7, rule 5)
_FOLDED = re.compile(rb".{1,%d}(?<!=)(?<!=.)" % _FULL_LINE)
"""As much as fits into a line without cutting through an `=3D`."""
_BEYOND = re.compile(rb"[\x80-\xff]")


def encoded(content: str) -> tuple[str, bytes]:
    """The name of the shorter encoding, and the text in it: lines of at most 76, CRLF between."""
    if "\r" in content:
        content = content.replace("\r\n", "\n").replace("\r", "\n")
    data = content.encode("utf-8", "replace")
    if _is_foreign(data, len(content)):
        return "base64", _base64(data.replace(b"\n", b"\r\n"))
    return "quoted-printable", b"\r\n".join(map(_quoted, data.split(b"\n")))


def _is_foreign(data: bytes, characters: int) -> bool:
    """Whether so much of it lies beyond ASCII that base64 is shorter."""
    most = 2 * (len(data) - characters)  # a character of n bytes adds n - 1, and n is 2 or more
    if most * _BASE64_ABOVE <= len(data):
        return False
    return (len(data) - len(data.translate(None, _BEYOND_ASCII))) * _BASE64_ABOVE > len(data)


@lru_cache(maxsize=4096)
def _quoted(line: bytes) -> bytes:
    """One line, quoted-printable. Most are the template's own, the same in every mail."""
    if len(line.translate(None, _CONTROL)) < len(line) or line == b".":
        return b2a_qp(line).replace(b"\n", b"\r\n")
    text = line.replace(b"=", b"=3D")
    if not text.isascii():
        for byte in set(_BEYOND.findall(text)):
            text = text.replace(byte, b"=%02X" % ord(byte))
    if text.endswith(b" "):
        text = text[:-1] + b"=20"
    return text if len(text) <= _FULL_LINE else _folded(text)


def _folded(text: bytes) -> bytes:
    *lines, last = _FOLDED.findall(text)
    if len(last) == 1 and len(lines[-1]) == _FULL_LINE:
        lines[-1] += last  # nothing continues it, so that one more fits
    else:
        lines.append(last)
    return b"=\r\n".join(lines)


def _base64(data: bytes) -> bytes:
    text = b2a_base64(data, newline=False)
    places = range(0, len(text), _BASE64_LINE)
    return b"\r\n".join([text[place : place + _BASE64_LINE] for place in places])
