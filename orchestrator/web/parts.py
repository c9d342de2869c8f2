"""What the web needs from the rest of the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import Brand, FlowBook
from orchestrator.observability import PrometheusMetrics
from orchestrator.ports import (
    ClickTarget,
    Clock,
    Database,
    FlowLibrary,
    LinkClaims,
    LinkTokens,
    ReplySource,
    Source,
)
from orchestrator.rendering.pages import PageEnvironment
from orchestrator.services.letters import Letter
from orchestrator.services.preferences import Preferences
from orchestrator.services.replies import Replies
from orchestrator.web.security import Access


class BeforeAll:
    """A clock at a moment before any link was made: by it, no link's time is over."""

    def now(self) -> datetime:
        """The first moment of 1970."""
        return datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class WebParts:
    """The collaborators of `create_app`, every one explicit."""

    clock: Clock
    database: Database
    library: FlowLibrary
    links: LinkTokens
    issued: LinkTokens
    """Knows every link we ever made, those whose time is over, too."""
    metrics: PrometheusMetrics
    access: Access
    pages: PageEnvironment
    sources: Mapping[str, Source]
    """By their name in `/webhooks/{source}`."""
    submit: Callable[[IncomingEvent], Awaitable[bool]]
    """Resolves after the commit: True for a new event, False for a repeated one. May raise
    TransientError or NotFound while it cannot be stored."""
    unsubscribe: Callable[[LinkClaims], Awaitable[bool]]
    """Withdraws what the link names; True if that changed anything. May raise TransientError."""
    clicked: Callable[[ClickTarget, bool], Awaitable[None]]
    """Keeps that a link was followed, and whether a scanner said that it did. May raise
    TransientError."""
    view: Callable[[LinkClaims], Awaitable[Letter | None]]
    """A sent message as it was. May raise TransientError."""
    preferences: Preferences
    """Confirming and choosing; its calls may raise TransientError."""
    reply_sources: Mapping[str, ReplySource]
    """By their name in `/replies/{provider}`."""
    replies: Replies
    """Taking what people answer; may raise TransientError."""
    ready: Callable[[], Sequence[str]]
    """Why the process is not ready yet, a sentence each; empty when it is."""
    explain: Callable[[FlowBook, str], str]
    """A journey in plain sentences, by its name; a line per step, indented by branch."""
    public_url: str
    """Where the daemon is reached from outside, without a slash at the end."""
    bind_host: str = "127.0.0.1"
    outbox: tuple[Path, ...] = field(default=())
    """Folders into which messages are written instead of being sent."""

    def live_book(self) -> FlowBook | None:
        """The journeys as published, or None before the first publishing."""
        try:
            return self.library.book(self.library.live())
        except NotFound:
            return None

    @property
    def brand(self) -> Brand | None:
        """The brand as published."""
        book = self.live_book()
        return None if book is None else book.brand

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https."""
        return self.public_url.startswith("https://")
