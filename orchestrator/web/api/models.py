"""What the admin API answers with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from orchestrator.domain.consent import ConsentStatus
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.messages import MessageState


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class OrdersOut(_Answer):
    """What a person has bought, money in the brand's currency."""

    count: int
    total: Decimal
    first_at: datetime | None
    last_at: datetime | None
    skus: list[str]
    categories: list[str]


class ContactOut(_Answer):
    """A person; `external_id` is the shop's own."""

    id: str
    external_id: str | None
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    locale: str | None
    timezone: str | None
    country: str | None
    tracking: bool
    tags: list[str]
    attributes: Mapping[str, Any]
    source: Mapping[str, Any]
    orders: OrdersOut
    created_at: datetime
    last_seen_at: datetime | None
    erased_at: datetime | None
    merged_into: str | None


class ConsentOut(_Answer):
    """Where a person stands; record `seq` of ledger subject `subject_id` proves it."""

    contact_id: str
    channel: Channel
    topic: str
    status: ConsentStatus
    legal_basis: str
    subject_id: str
    seq: int
    changed_at: datetime
    expires_at: datetime | None


class FlowOut(_Answer):
    """A journey of the live version."""

    name: str
    title: str
    description: str
    message_class: MessageClass
    topic: str | None
    stage: str | None
    via: list[Channel]
    steps: list[str]
    explanation: str
    version: str


class VersionOut(_Answer):
    """A published version; `source` is the file as it was."""

    hash: str
    name: str
    live: bool
    revision: int | None
    source: str
    templates: list[str]


class EnrolmentOut(_Answer):
    """A run; `step` is where it stands."""

    id: str
    flow: str
    version: str
    contact_id: str
    key: str
    entry: int
    event_id: str | None
    step: str | None
    step_started_at: datetime | None
    due_at: datetime | None
    outputs: Mapping[str, Any]
    entered_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    attempts: int


class MessageOut(_Answer):
    """A message; `contact` is the person's email address, else the phone, else the id."""

    id: str
    contact: str
    contact_id: str
    enrolment_id: str
    channel: Channel
    flow: str
    version: str
    step: str
    template: str
    variant: str | None
    locale: str | None
    status: MessageState
    reason: str | None
    not_before: datetime
    expires_at: datetime | None
    provider: str | None
    provider_id: str | None
    created_at: datetime
    sent_at: datetime | None


class EventOut(_Answer):
    """A stored event; (`source`, `source_id`) is its identity at the sender."""

    id: str
    source: str
    source_id: str
    type: str
    contact_id: str | None
    occurred_at: datetime
    received_at: datetime
    payload: Mapping[str, Any]


class SuppressionOut(_Answer):
    """An address that must not be written to; `hard` stops every class of message."""

    channel: Channel
    address: str
    hard: bool


class ProblemOut(BaseModel):
    """What went wrong (RFC 9457)."""

    title: str
    status: int
    detail: str
