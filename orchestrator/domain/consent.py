"""The consent ledger: entries, their chain, and the state that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

ALL_TOPICS = "*"
"""A record about every topic of its channel, present and future."""


class ConsentAction(StrEnum):
    """What happened."""

    REQUESTED = "requested"  # asked for, to be confirmed by double opt-in
    GRANTED = "granted"
    CONFIRMED = "confirmed"  # the double opt-in was completed
    DENIED = "denied"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    OBJECTED = "objected"  # to direct marketing as such: GDPR article 21(2)


class ConsentStatus(StrEnum):
    """Where a contact stands on a channel and topic."""

    GRANTED = "granted"
    REQUESTED = "requested"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """A record to append. `details` is not personal; `personal` is erased on request."""

    contact_id: ContactId
    channel: Channel
    topic: str
    action: ConsentAction
    legal_basis: str
    method: str
    occurred_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsentState:
    """The fold for one channel and topic, and the record that decided it."""

    contact_id: ContactId
    channel: Channel
    topic: str
    status: ConsentStatus
    legal_basis: str
    subject_id: str
    seq: int
    changed_at: datetime
    expires_at: datetime | None = None
