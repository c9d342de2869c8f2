"""Made-up people and what their messages are about: little, much, hostile, from right to left."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, assert_never

from orchestrator.domain.consent import ALL_TOPICS, ConsentState, ConsentStatus
from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.facts import contact_names
from orchestrator.domain.flows import (
    AttributeType,
    Channel,
    CouponStep,
    Flow,
    FlowBook,
    SendStep,
    WebhookStep,
)
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import RenderRequest
from orchestrator.rendering.lint.subject import TYPICAL

NOBODY: Final = "00000000-0000-7000-8000-000000000000"
NOW: Final = datetime(2026, 11, 20, 10, tzinfo=UTC)
MINIMAL: Final = "minimal"
HOSTILE: Final = "hostile"
TAME: Final = "tame"
"""Like hostile, but for the words."""
KINDS: Final = (
    *(TYPICAL, MINIMAL, "maximal", HOSTILE, "right-to-left"),
    *("no items", "one item", "three items"),
)

_NASTY: Final = (
    "\"><script>alert(1)</script>{{ brand }}{% if %}<b x='y'>&amp;\r\nBcc: x@example.com\r\n"
    "\u202e’ 🎉"
) + "x" * 200
_LONG_NAME: Final = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh"
_LONG_TITLE: Final = (
    "A very long title, with a subtitle that goes on and on, in the third, revised, enlarged and"
    " newly illustrated edition, with Donaudampfschifffahrtsgesellschaftskapitän"
)
_MOST_ITEMS: Final = 20
OPEN_KEY: Final = re.compile(r"\b(?:data|product|source)\.([a-z_][a-z0-9_]*)")
"""Keys that only the shop knows."""
_ADDRESS_KEY = re.compile(r"(?:^|_)(?:url|link|href)$")
_PICTURE_KEY = re.compile(r"(?:^|_)(?:image|picture|photo|logo)(?:_url)?$")
_TIME_KEY = re.compile(r"(?:_at$|date|day$|until|expires|when)")
_NUMBER_KEY = re.compile(
    r"count|number|total|price|amount|points|percent|score|quantity|days|hours"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A template as a step sends it: in which flow, on which channel, in which language."""

    flow: Flow
    step: SendStep
    channel: Channel
    locale: str


@dataclass(frozen=True, slots=True)
class _Voice:
    """How a made-up person's words sound."""

    first_name: str | None
    last_name: str | None
    titles: tuple[str, ...]
    word: str
    path: str = "kept"


_USUAL: Final = ("Notebook Alma", "Notebook Bertil", "Notebook Cecilia")
_VOICES: Final = {
    TYPICAL: _Voice("Ada", "Lovelace", _USUAL[:2], "Posti"),
    MINIMAL: _Voice(None, None, (), ""),
    "maximal": _Voice(
        _LONG_NAME,
        _LONG_NAME,
        tuple(f"{_LONG_TITLE} ({number})" for number in range(1, _MOST_ITEMS + 1)),
        _LONG_TITLE,
        "c/" + "k" * 200,
    ),
    HOSTILE: _Voice(_NASTY, _NASTY, (_NASTY, "Tea"), _NASTY, "?a=1&b='{{x}}"),
    TAME: _Voice("Ada", "Lovelace", ("tame", "Tea"), "tame", "tame"),
    "right-to-left": _Voice("علی", "رضایی", ("دفتر یادداشت", "کتاب تابستان"), "پست"),
    "no items": _Voice("Ada", "Lovelace", (), "Posti"),
    "one item": _Voice("Ada", "Lovelace", _USUAL[:1], "Posti"),
    "three items": _Voice("Ada", "Lovelace", _USUAL, "Posti"),
}


def titles(kind: str) -> tuple[str, ...]:
    """The names of the items in the facts of a kind."""
    return _VOICES[kind].titles


def request(book: FlowBook, sent: Sent, kind: str, source: str) -> RenderRequest:
    """A message to a made-up person. `source` is the template's, for keys that it alone knows."""
    voice = _VOICES[kind]
    person = _person(book, voice, sent.locale, sparse=kind == MINIMAL)
    facts: dict[str, Any] = {**_outputs(sent.flow, voice, source, sparse=kind == MINIMAL)}
    states = [
        ConsentState(
            person.id, channel, ALL_TOPICS, ConsentStatus.GRANTED, "consent", NOBODY, 1, NOW
        )
        for channel in Channel
    ]
    facts["contact"] = contact_names(person, states, book.topics, NOW)
    if kind == MINIMAL:
        facts["event"] = {"type": "checkout.started", "checkout_id": "1001"}
    else:
        basket = _basket(book, voice, source)
        facts |= {"event": basket, "checkout": basket, "order": basket}
        facts["item"] = basket["items"][0] if basket["items"] else _item(book, voice, "Tea", 1)
    return RenderRequest(_message(sent), person, facts, NOW)


def _person(book: FlowBook, voice: _Voice, locale: str, *, sparse: bool) -> Contact:
    person = Contact(
        id=ContactId(NOBODY),
        email="ada@example.com",
        phone="+358401234567",
        first_name=voice.first_name,
        last_name=voice.last_name,
        locale=locale,
        timezone=None,
        country=None,
        tracking=False,
        tags=(),
        attributes={},
        source={},
        orders=OrderHistory(),
        created_at=NOW - timedelta(days=420),
        last_seen_at=None,
    )
    if sparse:
        return person
    orders = OrderHistory(
        count=3,
        total=Decimal("96.40"),
        first_at=NOW - timedelta(days=400),
        last_at=NOW - timedelta(days=130),
    )
    declared = {name: _attribute(kind, voice) for name, kind in book.attributes.items()}
    return replace(
        person,
        timezone=book.brand.timezone,
        country="FI",
        attributes=declared,
        source={"campaign": voice.word},
        orders=orders,
        last_seen_at=NOW - timedelta(days=1),
    )


def _attribute(kind: AttributeType, voice: _Voice) -> Any:
    match kind:
        case AttributeType.TEXT:
            return voice.word
        case AttributeType.NUMBER:
            return Decimal(7)
        case AttributeType.BOOLEAN:
            return True
        case AttributeType.DATE | AttributeType.TIME:
            return NOW
        case AttributeType.LIST:
            return (voice.word,)
    assert_never(kind)


def _basket(book: FlowBook, voice: _Voice, source: str) -> dict[str, Any]:
    """A basket that is an order as well: a template takes what it is about."""
    url = f"{book.brand.url.rstrip('/')}/{voice.path}"
    items = [_item(book, voice, title, number) for number, title in enumerate(voice.titles, 1)]
    invented = {key: _invented(key, voice, url) for key in OPEN_KEY.findall(source)}
    return {
        "id": "1001",
        "type": "checkout.started",
        "checkout_id": "c-1001",
        "order_id": "1043",
        "total": Decimal("65.90"),
        "currency": book.brand.currency or "EUR",
        "checkout_url": url,
        "items": items,
        "product": {**invented, **_item(book, voice, "Tea", 1)},
        "tracking": {"carrier": voice.word, "number": "JJFI1", "url": url},
        "rating": 5,
        "score": 9,
        "text": voice.word,
        "status": "open",
        "occurred_at": NOW,
        "placed_at": NOW,
        "data": invented,
    }


def _item(book: FlowBook, voice: _Voice, title: str, number: int) -> dict[str, Any]:
    url = book.brand.url.rstrip("/")
    return {
        "id": f"i-{number}",
        "product_id": f"p-{number}",
        "sku": f"SKU-{number}",
        "name": title,
        "category": voice.word,
        "quantity": number,
        "price": Decimal("14.50"),
        "url": f"{url}/{number}/{voice.path}",
        "image": f"{url}/{number}.png",
    }


def _invented(key: str, voice: _Voice, url: str) -> Any:
    """A value for a key that only the shop knows, by its name."""
    if _PICTURE_KEY.search(key):
        return f"{url}.png"
    if _ADDRESS_KEY.search(key):
        return url
    if _TIME_KEY.search(key):
        return NOW.isoformat()
    return 7 if _NUMBER_KEY.search(key) else voice.word


def _outputs(flow: Flow, voice: _Voice, source: str, *, sparse: bool) -> dict[str, dict[str, Any]]:
    """What the steps of a flow leave behind."""
    found: dict[str, dict[str, Any]] = {}
    for step in flow.steps:
        match step:
            case CouponStep():
                found[step.id] = {
                    "code": step.code or f"{step.prefix}SAMPLE-7Q4K",
                    "percent": step.percent,
                    "amount": step.amount,
                    "expires_at": None if sparse or not step.valid else NOW + timedelta(days=7),
                }
            case SendStep():
                known = dict.fromkeys(("sent", "delivered"), True)
                found[step.id] = {
                    **known,
                    **dict.fromkeys(("bounced", "clicked", "replied"), False),
                }
            case WebhookStep():
                keys = re.findall(rf"\b{re.escape(step.id)}\.([a-z_][a-z0-9_]*)", source)
                url = "https://example.com/answer"
                found[step.id] = {} if sparse else {k: _invented(k, voice, url) for k in keys}
            case _:
                pass
    return found


def _message(sent: Sent) -> Message:
    step = sent.step
    return Message(
        id=MessageId(NOBODY),
        enrolment_id=EnrolmentId(NOBODY),
        contact_id=ContactId(NOBODY),
        flow=sent.flow.name,
        version=VersionHash("check"),
        step=step.id,
        channel=sent.channel,
        template=step.template,
        locale=None,
        variant=None,
        message_class=step.flow_class,
        topic=step.topic,
        priority=sent.flow.priority,
        state=MessageState.QUEUED,
        reason=None,
        not_before=NOW,
        expires_at=None,
        created_at=NOW,
        sending_at=None,
        sent_at=None,
        attempts=0,
        provider=None,
        provider_id=None,
        decision={},
    )
