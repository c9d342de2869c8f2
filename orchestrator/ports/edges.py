"""Providers that take messages, sources that bring events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.identifiers import (
    MessageId,
)
from orchestrator.domain.replies import Reply
from orchestrator.ports.rendering import RenderedMessage


class DeliveryOutcome(StrEnum):
    """What came of handing a message over."""

    SENT = "sent"  # accepted
    REJECTED = "rejected"  # refused for good
    RETRY = "retry"  # known not to have been accepted; may be tried again
    POSTPONED = "postponed"  # not offered: the way to the provider is closed; counts as no try
    UNKNOWN = "unknown"  # it may or may not have been accepted


@dataclass(frozen=True, slots=True)
class Delivery:
    """A provider's answer in our words. `detail` holds no address and no secret."""

    outcome: DeliveryOutcome
    provider_id: str | None = None
    code: str | None = None
    detail: str | None = None
    reason: str | None = None
    """For REJECTED: one of the failed reasons."""
    retry_after: timedelta | None = None
    """Zero when the try was broken off before anything left: it is made again at once.

    For POSTPONED: how long the provider rests, for whichever message.
    """
    provider: str | None = None
    """Who answered, where one of several was asked."""
    opted_out: bool = False
    """The recipient told the provider to stop: their consent on the channel is withdrawn."""


class Provider(Protocol):
    """One way to hand over messages of a channel."""

    name: str
    connections: int
    """How many messages may be under way at once."""

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Hand a message over; never raises for what a provider may answer."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Source(Protocol):
    """One sender of events: verifies and reads its requests."""

    name: str

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> IncomingEvent | None:
        """Verify the raw bytes and parse them; None for a request that carries no event.

        Header names are lower case. Raises VerificationError or MalformedPayload.
        """
        ...


class ReplySource(Protocol):
    """One provider that passes on what people answer: verifies and reads its requests."""

    name: str

    def read(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Verify a request to `url`, our public address for it, and parse its body.

        Header names are lower case. Raises VerificationError or MalformedPayload.
        """
        ...
