"""Events as the product understands them, whatever source they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain.identifiers import ContactId, EventId

CANONICAL_TYPES = frozenset(
    [
        "contact.created",
        "contact.updated",
        "contact.subscribed",
        "contact.confirmed",
        "contact.unsubscribed",
        "contact.erased",
        "product.viewed",
        "product.restocked",
        "product.price_changed",
        "stock.requested",
        "cart.updated",
        "checkout.started",
        "checkout.updated",
        "checkout.expired",
        "order.placed",
        "order.paid",
        "order.fulfilled",
        "order.delivered",
        "order.cancelled",
        "order.refunded",
        "review.submitted",
        "survey.answered",
        "support.opened",
        "support.closed",
        "webinar.registered",
        "loyalty.tier_reached",
        "message.sent",
        "message.delivered",
        "message.opened",
        "message.clicked",
        "message.bounced",
        "message.complained",
        "message.replied",
    ]
)
"""The types with a meaning of their own; any other dotted name is a custom event."""

EVENT_FIELDS = [
    "checkout_id",
    "order_id",
    "total",
    "currency",
    "items",
    "product",
    "checkout_url",
    "tracking",
    "rating",
    "score",
    "text",
    "consent",
    "data",
]
"""The fields of an event besides id, type, occurred_at and contact."""


class ConsentAnswer(StrEnum):
    """What an event says of one channel. Only an explicit yes or no means anything."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ContactFields:
    """What an event tells of its person; None is "not said", never "empty it"."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    country: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identified(self) -> bool:
        """Whether anything in it can recognise a person."""
        return bool(self.id or self.email or self.phone)


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """A verified and parsed event, before it is stored.

    `source` and `source_id` together are its identity. `payload` holds the fields of
    `EVENT_FIELDS`, JSON values only, money as decimal text.
    """

    source: str
    source_id: str
    type: str
    occurred_at: datetime
    contact: ContactFields | None
    payload: Mapping[str, Any]
    consent: Mapping[str, ConsentAnswer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A stored event."""

    id: EventId
    source: str
    source_id: str
    type: str
    contact_id: ContactId | None
    occurred_at: datetime
    received_at: datetime
    payload: Mapping[str, Any]
