"""A message as a made-up person would get it, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from typing import Any, Final

from orchestrator.domain.consent import ALL_TOPICS, ConsentState, ConsentStatus
from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.errors import PermanentError, RecipientRejected
from orchestrator.domain.facts import contact_names
from orchestrator.domain.flows import Channel, CouponStep, Flow, FlowBook, SendStep
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import FlowLibrary, RenderRequest

NOBODY: Final = "00000000-0000-7000-8000-000000000000"
"""The id of a person, run and message that do not exist: links of a sample lead to nobody."""

_CODE: Final = "SAMPLE-7Q4K"
_ITEMS: Final = (
    ("The Summer Book", 2, "14.50"),
    ("Moominland Midwinter", 1, "12.90"),
    ("A History of Reading", 1, "24.00"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What somebody would see: a mail's subject and HTML, or the text of a short message.

    `problem` says why there is nothing to see.
    """

    channel: Channel
    subject: str = ""
    html: str = ""
    text: str = ""
    problem: str = ""
    unreachable: bool = False
    """The problem is no mistake: this person has no address on the channel."""
    locale: str = ""
    """The language it is written in; the brand's where the template has no other."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Whom a sample is for, and the names that tell what it is about."""

    person: Contact
    names: Mapping[str, Any]


def sample_scene(book: FlowBook, now: datetime, locale: str | None = None) -> Scene:
    """Ada, and her basket."""
    person = sample_person(book, now, locale)
    return Scene(person, _names(book, person, now))


def sample_of(
    library: FlowLibrary,
    flow: Flow,
    step: SendStep,
    channel: Channel,
    now: datetime,
    scene: Scene | None = None,
) -> Sample:
    """A send step's message on a channel, made of the live version's templates."""
    version = library.live()
    known = scene or sample_scene(library.book(version), now)
    facts = {**_outputs(flow, now), **known.names}
    message = _message(flow, step, channel, version, now)
    try:
        made = library.renderer(version).render(RenderRequest(message, known.person, facts, now))
    except RecipientRejected as error:
        return Sample(channel, problem=str(error), unreachable=True)
    except PermanentError as error:
        return Sample(channel, problem=str(error))
    if channel is not Channel.EMAIL:
        return Sample(channel, text=made.body.decode(), locale=made.locale)
    mail = message_from_bytes(made.body, policy=policy.default)
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    return Sample(
        channel,
        subject=str(mail["Subject"] or ""),
        html=html.get_content() if html else "",
        text=text.get_content() if text else "",
        locale=made.locale,
    )


def sample_person(book: FlowBook, now: datetime, locale: str | None = None) -> Contact:
    """Ada, who has bought before."""
    brand = book.brand
    orders = OrderHistory(
        count=3,
        total=Decimal("96.40"),
        first_at=now - timedelta(days=400),
        last_at=now - timedelta(days=130),
    )
    return Contact(
        id=ContactId(NOBODY),
        email="ada@example.com",
        phone="+358401234567",
        first_name="Ada",
        last_name="Lovelace",
        locale=locale or brand.locale,
        timezone=brand.timezone,
        country="FI",
        tracking=False,
        tags=(),
        attributes={},
        source={},
        orders=orders,
        created_at=now - timedelta(days=420),
        last_seen_at=now - timedelta(days=1),
    )


def _names(book: FlowBook, person: Contact, now: datetime) -> Mapping[str, Any]:
    """A person, and a basket that is an order as well: a template takes what it is about."""
    states = [
        ConsentState(
            person.id, channel, ALL_TOPICS, ConsentStatus.GRANTED, "consent", NOBODY, 1, now
        )
        for channel in Channel
    ]
    shop = book.brand.url.rstrip("/")
    items = [
        {
            "id": f"sample-{number}",
            "name": name,
            "quantity": quantity,
            "price": price,
            "url": f"{shop}/sample-{number}",
        }
        for number, (name, quantity, price) in enumerate(_ITEMS, start=1)
    ]
    basket = {
        "id": "1001",
        "checkout_id": "1001",
        "order_id": "1001",
        "total": "65.90",
        "currency": book.brand.currency or "EUR",
        "checkout_url": book.brand.url,
        "items": items,
        "product": {**items[0], "url": book.brand.url},
        "rating": 5,
        "occurred_at": now,
    }
    known = contact_names(person, states, book.topics, now)
    return {
        "contact": known,
        "event": basket,
        "checkout": basket,
        "order": basket,
        "item": items[0],
    }


def _outputs(flow: Flow, now: datetime) -> dict[str, Mapping[str, Any]]:
    """What the steps of a flow leave behind: coupons, and sends that were looked at."""
    found: dict[str, Mapping[str, Any]] = {}
    for step in flow.steps:
        match step:
            case CouponStep():
                found[step.id] = {
                    "code": step.code or step.prefix + _CODE,
                    "percent": None if step.percent is None else str(step.percent),
                    "amount": None if step.amount is None else str(step.amount),
                    "expires_at": (now + timedelta(days=7)).isoformat() if step.valid else None,
                }
            case SendStep():
                found[step.id] = {"sent": True, "delivered": True, "clicked": False}
            case _:
                pass
    return found


def _message(
    flow: Flow, step: SendStep, channel: Channel, version: VersionHash, now: datetime
) -> Message:
    return Message(
        id=MessageId(NOBODY),
        enrolment_id=EnrolmentId(NOBODY),
        contact_id=ContactId(NOBODY),
        flow=flow.name,
        version=version,
        step=step.id,
        channel=channel,
        template=step.template,
        locale=None,
        variant=None,
        message_class=step.flow_class,
        topic=step.topic,
        priority=flow.priority,
        state=MessageState.QUEUED,
        reason=None,
        not_before=now,
        expires_at=None,
        created_at=now,
        sending_at=None,
        sent_at=None,
        attempts=0,
        provider=None,
        provider_id=None,
        decision={},
    )
