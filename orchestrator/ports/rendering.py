"""Templates, links and compiled versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.identifiers import (
    ContactId,
    MessageId,
    VersionHash,
)
from orchestrator.domain.messages import Message


class LinkPurpose(StrEnum):
    """What a signed link may do."""

    UNSUBSCRIBE = "u"
    PREFERENCES = "p"
    CONFIRM = "c"
    CLICK = "k"
    VIEW = "v"


@dataclass(frozen=True, slots=True)
class LinkClaims:
    """What a link's token says, once its signature holds."""

    contact_id: ContactId
    message_id: MessageId | None = None
    channel: Channel | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class ClickTarget:
    """A link of a message, and where it leads."""

    contact_id: ContactId
    message_id: MessageId
    url: str


class LinkTokens(Protocol):
    """Opaque signed tokens for links; no address in clear."""

    def sign(self, purpose: LinkPurpose, claims: LinkClaims) -> str:
        """A token for a URL path."""
        ...

    def verify(self, purpose: LinkPurpose, token: str) -> LinkClaims | None:
        """The claims, or None if the token is forged, damaged or of another purpose."""
        ...

    def sign_click(self, target: ClickTarget) -> str:
        """A token that leads to one address and nowhere else."""
        ...

    def verify_click(self, token: str) -> ClickTarget | None:
        """Where a token leads, or None if it is forged, damaged or of another purpose."""
        ...


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Everything a message is made from. `facts` are the template's variables."""

    message: Message
    contact: Contact
    facts: Mapping[str, Any]
    now: datetime


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """What goes to a provider: for email the whole RFC 5322 message, for SMS its text.

    `envelope_to` is an address or number; `details` (subject, sizes, hashes) is recorded.
    """

    channel: Channel
    sender: str
    envelope_to: str
    body: bytes
    locale: str
    details: Mapping[str, Any] = field(default_factory=dict)
    valid_for: timedelta | None = None
    """How long a provider may keep it waiting before it would come too late."""


class Renderer(Protocol):
    """Templates and data in, a message out."""

    def render(self, request: RenderRequest) -> RenderedMessage:
        """Render; raises RenderFailed."""
        ...


class FlowLibrary(Protocol):
    """Compiled versions of the flows, by hash."""

    def book(self, version: VersionHash) -> FlowBook:
        """The flows of a version; raises NotFound."""
        ...

    def renderer(self, version: VersionHash) -> Renderer:
        """The renderer of a version's templates and brand; raises NotFound."""
        ...

    def live(self) -> VersionHash:
        """The version new runs enter with; raises NotFound before the first publishing."""
        ...
