"""A rendered mail as the bytes of an RFC 5322 message.

Words in headers go through the standard library's encoder, machine-readable values through a
strict check, bodies through `transfer`: a whole `EmailMessage` would cost ten times as much, and
its folding encodes any token longer than a line, which breaks one-click unsubscribing. What could
differ between two builds of one message (boundary, Message-ID, date) comes from the envelope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.utils import format_datetime, parseaddr, quote
from functools import lru_cache
from hashlib import sha256
from typing import Final

from orchestrator.domain.errors import RecipientRejected, RenderFailed
from orchestrator.rendering.email import RenderedEmail
from orchestrator.rendering.transfer import encoded

MAX_NAME: Final = 100
MAX_HEADER_LINE: Final = 998
"""Octets of a header line without its end (RFC 5322 section 2.1.1)."""

_FOLD_AT: Final = 76
_UNSAFE = re.compile(
    "[\x00-\x20\x7f-\xa0\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]+"
)
"""Control characters, those that turn the direction of what follows, and runs of space."""
_TOKENS = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_URI = re.compile(r"https?://[\x21-\x3b\x3d\x3f-\x7e]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}"
)


@dataclass(frozen=True, slots=True)
class MailEnvelope:
    """Everything around a mail. `sender` and `reply_to` are `Name <address>`, `date` is aware.

    With `unsubscribe_url` the mail gets the one-click pair of RFC 8058; `list_name` is a topic
    and `list_title` its title, for List-Id (RFC 2919).
    """

    message_id: str
    sender: str
    recipient: str
    date: datetime
    recipient_name: str = ""
    reply_to: str | None = None
    unsubscribe_url: str | None = None
    list_name: str | None = None
    list_title: str = ""
    feedback_id: str | None = None


def build_mail(envelope: MailEnvelope, mail: RenderedEmail) -> bytes:
    """The message, ready for SMTP: CRLF, ASCII only, every line within limits.

    Raises:
        RecipientRejected: the recipient's address cannot stand in a header.
        RenderFailed: another header cannot be written (an unsubscribe address with a space).
    """
    boundary = "=_" + sha256(envelope.message_id.encode()).hexdigest()[:24]
    head = [
        *_headers(envelope, mail),
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n',
    ]
    parts = (*_part(boundary, "plain", mail.text), *_part(boundary, "html", mail.html))
    return "".join(head).encode("ascii") + b"".join((*parts, f"--{boundary}--\r\n".encode()))


def clean(text: str) -> str:
    """One line without control characters or marks that turn the direction of the text."""
    return _UNSAFE.sub(" ", text).strip()


def domain_of(sender: str) -> str:
    """The domain a sender writes from, in its ASCII form."""
    return _sender(sender)[1].rpartition("@")[2]


def _headers(envelope: MailEnvelope, mail: RenderedEmail) -> list[str]:
    domain = domain_of(envelope.sender)
    lines = [
        _address_header("From", *_sender(envelope.sender)),
        _address_header("To", clean(envelope.recipient_name), _recipient(envelope.recipient)),
        _words_header("Subject", clean(mail.subject)),
        _date_header(envelope.date.replace(microsecond=0), envelope.date.utcoffset()),
        _token_header("Message-ID", f"<{envelope.message_id}@{domain}>"),
    ]
    if envelope.reply_to:
        lines.append(_address_header("Reply-To", *_sender(envelope.reply_to)))
    if envelope.list_name:
        lines.append(_list_id(envelope.list_name, envelope.list_title, domain))
    if envelope.unsubscribe_url:
        lines.append(_unsubscribe(envelope.unsubscribe_url))
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    if envelope.feedback_id:
        lines.append(_token_header("Feedback-ID", envelope.feedback_id))
    return [*lines, "Auto-Submitted: auto-generated\r\n", "MIME-Version: 1.0\r\n"]


@lru_cache(maxsize=64)
def _date_header(date: datetime, _offset: timedelta | None) -> str:
    """The date; times that are equal differ in their offsets."""
    return f"Date: {format_datetime(date)}\r\n"


@lru_cache(maxsize=64)
def _sender(sender: str) -> tuple[str, str]:
    name, address = parseaddr(sender)
    plain = _ascii_address(address)
    if plain is None:
        raise RenderFailed("headers", None, f"{sender!r} is no `Name <address>`")
    return clean(name), plain


def _recipient(address: str) -> str:
    plain = _ascii_address(address)
    if plain is None:
        raise RecipientRejected("not an address that mail can be sent to", "invalid_address")
    return plain


def _ascii_address(address: str) -> str | None:
    """The address with an international domain in its ASCII form (RFC 5891), None if it is none."""
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode()}" if not domain.isascii() else address
    except UnicodeError:
        return None
    return plain if _ADDRESS.fullmatch(plain) else None


@lru_cache(maxsize=1024)
def _words_header(name: str, words: str) -> str:
    """A header that people read: as it is, or as encoded words (RFC 2047)."""
    return f"{name}: {_spoken(words, name)}\r\n"


@lru_cache(maxsize=1024)
def _address_header(name: str, person: str, address: str) -> str:
    """A name and an address; the name is an atom, a quoted string or encoded words."""
    if not person:
        return f"{name}: {address}\r\n"
    person = person[:MAX_NAME].rstrip()
    if not _plain(person):
        phrase = _spoken(person, name)
    elif _ATOMS.fullmatch(person):
        phrase = person
    else:
        phrase = f'"{quote(person)}"'
    last_line = f"{name}: {phrase}".rpartition("\n")[2]
    fold = "\r\n " if len(last_line) + len(address) + 3 > _FOLD_AT else " "
    return f"{name}: {phrase}{fold}<{address}>\r\n"


def _plain(words: str) -> bool:
    return words.isascii() and "=?" not in words


def _spoken(words: str, name: str) -> str:
    charset = "us-ascii" if _plain(words) else "utf-8"
    header = Header(words, charset, maxlinelen=_FOLD_AT, header_name=name)
    return header.encode(linesep="\r\n")


@lru_cache(maxsize=256)
def _list_id(list_name: str, title: str, domain: str) -> str:
    label = re.sub(r"[^a-z0-9-]+", "-", list_name.lower()).strip("-") or "list"
    phrase = clean(title).replace("\\", "").replace('"', "")
    spoken = f'"{phrase}" ' if phrase and _plain(phrase) else ""
    return _token_header("List-Id", f"{spoken}<{label}.{domain}>")


def _unsubscribe(url: str) -> str:
    if not _URI.fullmatch(url):
        raise RenderFailed("headers", None, f"this cannot be an unsubscribe link: {url[:80]!r}")
    return _token_header("List-Unsubscribe", f"<{url}>")


def _token_header(name: str, value: str) -> str:
    """A header that machines read: never encoded, folded only after a comma and a space."""
    folded = value.replace(", ", ",\r\n ")
    fits = all(len(line) + len(name) + 2 <= MAX_HEADER_LINE for line in folded.split("\r\n"))
    if not fits or not _TOKENS.fullmatch(value):
        raise RenderFailed("headers", None, f"{name} cannot be written: {value[:80]!r}")
    return f"{name}: {folded}\r\n"


def _part(boundary: str, subtype: str, content: str) -> tuple[bytes, bytes, bytes]:
    encoding, body = encoded(content)
    head = (
        f"--{boundary}\r\n"
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode(), body, b"\r\n"
