"""What can be said against a text message from how it comes out: length, letters, sender, way out.

A template is rendered with a made-up order, once as most people meet it and once with the longest
names and addresses, from every sender the brand has. Rules are those of 3GPP TS 23.038 (letters),
the carriers' limits (length) and the CTIA's messaging principles (sender and way out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.findings import Finding, Severity
from orchestrator.domain.flows import Brand, MessageClass
from orchestrator.domain.segments import (
    MOST_CHARACTERS,
    MOST_SEGMENTS,
    Encoding,
    Offender,
    in_plain_letters,
    offenders,
    size_of,
)
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.sms import NAMED_WITHIN, RenderedSms, SmsRenderer, names_sender

BUDGET: Final = {Encoding.GSM7: 2, Encoding.UCS2: 3}
"""SMS that a text should not exceed as most people meet it."""
LINK_TOKEN: Final = 77
"""Characters of a link's token."""
_LONG: Final = "M" * 60
"""A name, or the end of an address, as long as one gets."""
_STOP: Final = "stop"
_SOME_DAY: Final = datetime(2026, 11, 20, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SentText:
    """A template as some step sends it."""

    template: str
    message_class: MessageClass
    outputs: Sequence[str] = ()
    locale: str | None = None


def check_text(
    renderer: SmsRenderer, brand: Brand, sent: SentText, folder: str
) -> Iterator[Finding]:
    """Findings about one template in one language; it compiles, and knows its names."""
    file, source = renderer.source(sent.template, sent.locale)
    place = f"{folder}/{file}"
    try:
        usual, longest = _rendered(renderer, brand, sent), _rendered(renderer, brand, sent, _LONG)
    except RenderFailed as failure:
        message = f"it cannot be rendered for a made-up order: {failure.message}"
        yield Finding(Severity.WARNING, "sms", place, failure.line or 0, 1, message)
        return
    dearest = max(usual, key=_cost)
    yield from _too_long(place, max(longest, key=_cost))
    yield from _over_budget(place, dearest)
    yield from _foreign_letters(place, source, dearest.text)
    yield from _nameless(place, dearest, brand)
    if sent.message_class is MessageClass.MARKETING and any(_is_trap(one.text) for one in usual):
        message = "a marketing text that does not say how to stop"
        hint = 'write "Reply STOP to stop", or give links.unsubscribe a line of its own'
        yield Finding(Severity.WARNING, "F8", place, 0, 0, message, hint)


def _rendered(
    renderer: SmsRenderer, brand: Brand, sent: SentText, long: str | None = None
) -> list[RenderedSms]:
    """The text from every sender of the brand."""
    senders = dict.fromkeys(brand.sms.values()) or {"": None}
    contexts = [_context(brand, sent, sender, long) for sender in senders]
    return [renderer.render_unbounded(sent.template, context) for context in contexts]


def _cost(sms: RenderedSms) -> tuple[int, int]:
    return sms.size.segments, len(sms.text)


def _too_long(place: str, sms: RenderedSms) -> Iterator[Finding]:
    size = sms.size
    if size.segments > MOST_SEGMENTS or len(sms.text) > MOST_CHARACTERS:
        message = (
            f"with long names and addresses it takes {size.segments} SMS and {len(sms.text)}"
            f" characters; {MOST_SEGMENTS} and {MOST_CHARACTERS} are the most that is sent"
        )
        yield Finding(Severity.ERROR, "F3", place, 0, 0, message, "say one thing")


def _over_budget(place: str, sms: RenderedSms) -> Iterator[Finding]:
    size = sms.size
    if size.segments > BUDGET[size.encoding]:
        message = (
            f"it takes {size.segments} SMS ({size.units} of {size.encoding.in_part} units each,"
            f" {size.encoding.value}), {BUDGET[size.encoding]} are the budget"
        )
        yield Finding(Severity.WARNING, "F3", place, 0, 0, message, "each one is paid for")


def _foreign_letters(place: str, source: str, text: str) -> Iterator[Finding]:
    """Typographic characters that alone make a text UCS-2; letters of a language may do so."""
    found = offenders(text)
    if not found or any(one.instead is None for one in found):
        return
    now, plain = size_of(text), size_of(in_plain_letters(text))
    cost = f"{now.segments} SMS instead of {plain.segments}"
    for one in found:
        line, column = _where(source, one)
        message = (
            f"{one.character!r} ({one.code_point}) is not in the SMS alphabet; with"
            f" {'it' if len(found) == 1 else 'such characters'} the text is UCS-2: {cost}"
        )
        hint = f"write {one.instead!r} instead" if one.instead else "leave it out"
        yield Finding(Severity.WARNING, "F4", place, line, column, message, hint)


def _nameless(place: str, sms: RenderedSms, brand: Brand) -> Iterator[Finding]:
    if not names_sender(sms.text, brand.name.in_locale(sms.locale)):
        message = f"it does not say within its first {NAMED_WITHIN} characters who sends it"
        yield Finding(Severity.ERROR, "F7", place, 0, 0, message, "begin with {{ brand.name }}:")


def _is_trap(text: str) -> bool:
    """Whether neither a word nor a link tells how to stop."""
    return _STOP not in text.casefold() and _link("u") not in text


def _where(source: str, offender: Offender) -> tuple[int, int]:
    """Line and column in the template itself, or (0, 0) where the character comes from data."""
    for number, line in enumerate(source.splitlines(), 1):
        if (column := line.find(offender.character)) >= 0:
            return number, column + 1
    return 0, 0


def _link(path: str) -> str:
    return f"/{path}/{'x' * LINK_TOKEN}"


def _context(brand: Brand, sent: SentText, sender: str, long: str | None = None) -> RenderContext:
    """A made-up order; `long` stands for every name, and once more in its address."""
    bought = {
        "checkout_id": "c-1001",
        "order_id": "1043",
        "total": Decimal("84.50"),
        "currency": brand.currency,
        "checkout_url": f"{brand.url}/checkout/{long or 'c-1001'}",
        "tracking": {"carrier": long or "Posti", "number": "JJFI1", "url": f"{brand.url}/t/1"},
        "items": [_item(long or "Notebook"), _item(long or "The Summer Book")],
    }
    output: dict[str, Any] = {"code": "CART-7K2MQ", "percent": 10, "expires_at": _SOME_DAY}
    roots = {"unsubscribe": "u", "preferences": "preferences", "confirm": "confirm", "view": "view"}
    context = RenderContext(
        message_class=sent.message_class,
        links={name: brand.url + _link(path) for name, path in roots.items()}
        | {"privacy": brand.privacy.url if brand.privacy else brand.url},
        locale=sent.locale,
        sender=sender,
        contact={"first_name": long or "Ada", "last_name": long or "Lovelace"},
        event=bought,
        checkout=bought,
        order=bought,
        item=_item(long or "Notebook"),
    )
    return replace(context, outputs=dict.fromkeys(sent.outputs, output))


def _item(name: str) -> dict[str, Any]:
    return {"name": name, "quantity": 1, "price": Decimal("42.25")}
