"""Rules about the headers of a finished mail (section D), on the bytes that are sent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from orchestrator.rendering.lint.subject import Mail, Remark

MAX_LINE: Final = 998
"""Octets of a line without its end (RFC 5322 section 2.1.1)."""
_ENCODED_LINE: Final = 76
"""Characters of a line in quoted-printable or base64 (RFC 2045 section 6.7)."""
_ENCODING: Final = b"\r\nContent-Transfer-Encoding: "
_ONCE: Final = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")
_MACHINE_READ: Final = (
    *("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"),
    *("Feedback-ID", "CFBL-Address", "Message-ID"),
)
_OFFSET = re.compile(r"[+-]\d{4}$")
_LIST_ID = re.compile(r"(?:\"[^\"\r\n]*\" )?<[a-z0-9-]+(?:\.[A-Za-z0-9-]+)+>")
_LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
ONE_CLICK: Final = "List-Unsubscribe=One-Click"
"""The only value there is (RFC 8058 section 3.1)."""

Headers = Mapping[str, Sequence[str]]


def headers(wire: bytes) -> Headers:
    """Every header by its name in small letters, unfolded, in order."""
    head = wire.partition(b"\r\n\r\n")[0].decode("ascii", "replace")
    found: dict[str, list[str]] = defaultdict(list)
    for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n"):
        name, _, value = line.partition(":")
        found[name.lower()].append(value.strip())
    return found


def d1(mail: Mail) -> Iterator[Remark]:
    """One of each header that every mail has, and a date with an offset in numbers."""
    known = headers(mail.wire)
    for name in _ONCE:
        number = len(known.get(name.lower(), ()))
        if number != 1:
            yield Remark(f"the mail has {number} headers {name} instead of one")
    for date in known.get("date", ()):
        try:
            parsedate_to_datetime(date)
        except ValueError:
            yield Remark(f"Date: {date} is no date")
        else:
            if not _OFFSET.search(date):
                yield Remark(f"Date: {date} has no offset in numbers")


def d2(mail: Mail) -> Iterator[Remark]:
    """Message-ID stands under the sender's domain, and holds nothing of the recipient."""
    known = headers(mail.wire)
    domain = known.get("from", [""])[0].rpartition("@")[2].rstrip("> ")
    recipient = known.get("to", [""])[0].rpartition("<")[2].partition("@")[0]
    for identity in known.get("message-id", ()):
        local, _, under = identity.strip("<>").rpartition("@")
        if under.lower() != domain.lower() or not local:
            yield Remark(f"Message-ID {identity} is not under {domain}")
        elif recipient and recipient.lower() in local.lower():
            yield Remark("Message-ID holds the recipient's address")


def d3(mail: Mail) -> Iterator[Remark]:
    """Marketing mail can be unsubscribed from with one click."""
    known = headers(mail.wire)
    ways, posts = known.get("list-unsubscribe", ()), known.get("list-unsubscribe-post", ())
    if not mail.marketing:
        if posts:
            yield Remark(f"a {mail.message_class.value} mail offers one-click unsubscribing")
        return
    if len(ways) != 1 or list(posts) != [ONE_CLICK]:
        yield Remark("a marketing mail without one-click unsubscribing")
        return
    first = urlsplit(ways[0].partition(",")[0].strip("<> "))
    if first.scheme != "https" and not (first.scheme == "http" and first.hostname in _LOCAL):
        yield Remark(
            "List-Unsubscribe does not begin with an https address",
            "PUBLIC_URL has to begin with https://",
        )


def d4(mail: Mail) -> Iterator[Remark]:
    """What machines read is never encoded, and no line is too long."""
    known = headers(mail.wire)
    for name in _MACHINE_READ:
        if any("=?" in value for value in known.get(name.lower(), ())):
            yield Remark(f"{name} is encoded (RFC 2047): machines cannot read it")
    head, _, body = mail.wire.partition(b"\r\n\r\n")
    if max(map(len, head.split(b"\r\n"))) > MAX_LINE:
        yield Remark(f"a header line has more than {MAX_LINE} bytes")
    for part in body.split(_ENCODING)[1:]:
        most = MAX_LINE if part.startswith(b"7bit\r\n") else _ENCODED_LINE
        if max(map(len, part.split(b"\r\n"))) > most:
            yield Remark(f"a line of the body has more than {most} characters")


def d11(mail: Mail) -> Iterator[Remark]:
    """List-Id is the topic's, under the sender's domain."""
    known = headers(mail.wire)
    domain = known.get("from", [""])[0].rpartition("@")[2].rstrip("> ")
    lists = known.get("list-id", ())
    if mail.marketing and len(lists) != 1:
        yield Remark("a marketing mail without List-Id", "give the flow a topic")
    for one in lists:
        if not _LIST_ID.fullmatch(one) or not one.rstrip(">").endswith(f".{domain}"):
            yield Remark(f"List-Id {one} is no name under {domain}")
