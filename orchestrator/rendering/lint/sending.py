"""The rules that a message is held to once more when it is sent, with the facts of its person.

Only those that facts can break, and only in ways that cost little: some 60 µs a mail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from orchestrator.domain.errors import LintFailed
from orchestrator.domain.segments import MOST_CHARACTERS, MOST_SEGMENTS
from orchestrator.rendering.email import RenderedEmail
from orchestrator.rendering.lint.darkness import MOST_BYTES
from orchestrator.rendering.lint.wire import MAX_LINE, ONE_CLICK
from orchestrator.rendering.lint.wording import (
    allowed_address,
    claims_to_answer,
    shouts,
    template_syntax,
)
from orchestrator.rendering.sms import NAMED_WITHIN, RenderedSms, names_sender

_ONCE: Final = tuple(
    f"\r\n{name}: ".encode()
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")
)
_ONE_CLICK: Final = f"\r\nList-Unsubscribe-Post: {ONE_CLICK}\r\n".encode()
_WAY_OUT: Final = re.compile(
    rb"\r\nList-Unsubscribe: <(?:https://|http://(?:127\.[\d.]+|localhost|\[::1\])[:/])[^\r\n]+>"
)
_USUAL: Final = ("https://", "mailto:", "#")
_ENCODED: Final = re.compile(rb"\r\n(?:List-|Feedback-|Message-)[^\r\n]*=\?")
_OWN_WAYS: Final = r"(?:links|brand)\.[^{}]+|(?:unsubscribe|preferences|confirm|view|privacy)\s*-?"
_FROM_FACTS: Final = re.compile(rf'\b((?:href|src)=")[^"]*\{{[{{%](?!-?\s*(?:{_OWN_WAYS})\}}\}})')

Said = Callable[[], frozenset[str]]
"""All texts among the facts; asked for only where something looks wrong."""


def hold_mail(
    template: str,
    mail: RenderedEmail,
    wire: bytes,
    *,
    marketing: bool,
    addressed: Iterable[str],
    said: Said,
) -> None:
    """Raise LintFailed for a mail that must not leave.

    `addressed` are the attributes into which templates write facts by themselves.
    """
    for rule, message in _broken(mail, wire, marketing=marketing, addressed=addressed, said=said):
        raise LintFailed(template, rule, message)


def hold_text(template: str, sms: RenderedSms, name: str) -> None:
    """Raise LintFailed for a text message that must not leave; `name` is the brand's."""
    if sms.size.segments > MOST_SEGMENTS or len(sms.text) > MOST_CHARACTERS:
        length = f"{sms.size.segments} SMS and {len(sms.text)} characters are too long a text"
        raise LintFailed(template, "F3", length)
    if not names_sender(sms.text, name):
        message = f"the first {NAMED_WITHIN} characters do not say who sends it"
        raise LintFailed(template, "F7", message)


def addressed_by_facts(sources: Mapping[str, str], built_in: Mapping[str, str]) -> tuple[str, ...]:
    """How attributes begin, `href="` and `src="`, into which the shop's templates write facts.

    Those of the components are looked at where they are printed.
    """
    found: set[str] = set()
    for path, text in sources.items():
        if path.endswith(".html") and built_in.get(path) != text:
            found |= {one[1] for one in _FROM_FACTS.finditer(text)}
    return tuple(sorted(found))


def texts_of(*facts: Any) -> frozenset[str]:
    """Every text in nested facts, and each of its words."""
    found: set[str] = set()
    waiting = [*facts]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found |= {one, *one.split()}
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, Iterable) and not isinstance(one, bytes):
            waiting += one
    return frozenset(found)


def _broken(
    mail: RenderedEmail, wire: bytes, *, marketing: bool, addressed: Iterable[str], said: Said
) -> Iterator[tuple[str, str]]:
    html, subject = mail.html, mail.subject
    # Encoded for the wire it is larger, never smaller.
    if len(wire) > MOST_BYTES and (size := len(html.encode())) > MOST_BYTES:
        yield "C1", f"the page has {size:,} bytes, more than clients show"
    # Sheets are full of brackets; behind them there are none but by mistake, or as data.
    end = max(html.rfind("</style>"), 0)
    for start in addressed:
        at = html.find(start, end)
        while at > 0:
            at += len(start)
            if not html.startswith(_USUAL, at):
                address = html[at : html.find('"', at)]
                if not allowed_address(address):
                    yield "C4", f"{address[:60]!r} is no address that a mail may have"
            at = html.find(start, at)
    if html.find("{", end) > 0 or "{" in mail.text or "{" in subject:
        yield from _left((html[end:], mail.text, subject), said)
    if not subject or claims_to_answer(subject):
        yield "C6", f"the subject {subject!r} is missing, or claims to answer a mail"
    capitals = sum(map(str.isupper, subject))
    if capitals * 2 > len(subject) and shouts(subject, said()):
        yield "C6", f"the subject {subject!r} shouts"
    yield from _headers(wire[: wire.find(b"\r\n\r\n") + 2], marketing=marketing)


def _left(parts: Iterable[str], said: Said) -> Iterator[tuple[str, str]]:
    """What is left of a template; the same in the facts is what somebody is called."""
    for one in (found for part in parts for found in template_syntax(part)):
        if not any(one in text for text in said()):
            yield "C5", f"{one!r} is left of the template"


def _headers(head: bytes, *, marketing: bool) -> Iterator[tuple[str, str]]:
    lines = b"\r\n" + head
    if any(lines.count(name) != 1 for name in _ONCE):
        yield "D1", "a header that every mail has once is missing or there twice"
    elif b"@" not in lines.partition(_ONCE[4])[2].partition(b"\r\n")[0]:
        yield "D2", "Message-ID has no domain"
    if marketing and (_ONE_CLICK not in lines or not _WAY_OUT.search(lines)):
        yield "D3", "a marketing mail without one-click unsubscribing by https"
    if _ENCODED.search(lines) or max(map(len, head.split(b"\r\n"))) > MAX_LINE:
        yield "D4", "a header that machines read is encoded, or a line too long"
