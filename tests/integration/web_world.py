"""The web with real parts around it: database, links, sources; no sockets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from orchestrator.channels.sms.twilio_replies import TwilioReplies
from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.identifiers import VersionHash
from orchestrator.flowfile import explain_flow, load_file
from orchestrator.observability import PrometheusMetrics
from orchestrator.ports import ClickTarget, LinkClaims, Renderer
from orchestrator.rendering.links import SignedLinkTokens, TokenSigner
from orchestrator.rendering.pages import PageEnvironment
from orchestrator.services.letters import Letter
from orchestrator.services.preferences import Preferences
from orchestrator.services.replies import Replies
from orchestrator.sources.standard import StandardSource, sign
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.expression_sql import register_functions
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.unit_of_work import SqlDatabase
from orchestrator.web.app import create_app
from orchestrator.web.pages import FOLDER
from orchestrator.web.parts import BeforeAll, WebParts
from orchestrator.web.security import Access
from tests.integration.twilio_server import TOKEN as TWILIO_TOKEN

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "admin-token-of-the-tests"
SECRET_KEYS = ["a-secret-key-for-tests", "an-older-key-for-tests"]
SIGNING = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
BEARER = {"authorization": f"Bearer {TOKEN}"}
BASE = "http://testing.example"
VERSION = VersionHash("f" * 64)


class SteppingClock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> datetime:
        return self._now

    def step(self, span: timedelta) -> None:
        self._now += span


class FixedLibrary:
    """The shipped journeys, published; or none."""

    def __init__(self, book: FlowBook | None) -> None:
        self._book = book

    def book(self, version: VersionHash) -> FlowBook:
        if self._book is None:
            raise NotFound(version)
        return self._book

    def renderer(self, version: VersionHash) -> Renderer:
        raise NotFound(version)

    def live(self) -> VersionHash:
        if self._book is None:
            raise NotFound("nothing is published")
        return VERSION


@dataclass
class Outside:
    """What the application did, and what it is to meet."""

    events: list[IncomingEvent] = field(default_factory=list)
    claims: list[LinkClaims] = field(default_factory=list)
    clicks: list[tuple[ClickTarget, bool]] = field(default_factory=list)
    letters: dict[LinkClaims, Letter] = field(default_factory=dict)
    failure: Exception | None = None
    reasons: list[str] = field(default_factory=list)

    async def submit(self, event: IncomingEvent) -> bool:
        if self.failure is not None:
            raise self.failure
        new = event.source_id not in {known.source_id for known in self.events}
        if new:
            self.events.append(event)
        return new

    async def clicked(self, target: ClickTarget, scanner: bool) -> None:
        if self.failure is not None:
            raise self.failure
        self.clicks.append((target, scanner))

    async def view(self, claims: LinkClaims) -> Letter | None:
        return self.letters.get(claims)

    async def unsubscribe(self, claims: LinkClaims) -> bool:
        if self.failure is not None:
            raise self.failure
        self.claims.append(claims)
        return self.claims.count(claims) == 1


@dataclass
class World:
    """The application, and hands to work it with."""

    parts: WebParts
    clock: SteppingClock
    outside: Outside
    database: SqlDatabase
    outbox: Path

    @property
    def app(self) -> Starlette:
        return create_app(self.parts)

    def changed(self, **parts: Any) -> World:
        """The same world with other parts."""
        return replace(self, parts=replace(self.parts, **parts))

    def client(self, base: str = BASE, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=base, **options)

    def signed(self, body: Mapping[str, Any] | str, event_id: str = "evt_1") -> dict[str, str]:
        text = body if isinstance(body, str) else json.dumps(body)
        return sign(SIGNING, event_id, self.clock.now(), text)

    def figures(self) -> str:
        return self.parts.metrics.exposition(None, self.clock.now()).decode()


@contextmanager
def a_world(database_url: str, outbox: Path) -> Iterator[World]:
    """Everything real but the time and the services behind the callables."""
    clock, outside = SteppingClock(), Outside()
    database = SqlDatabase(
        create_engine_for(database_url, register_functions), clock, UuidIds(), b"suppression-key"
    )
    metrics = PrometheusMetrics()
    library = FixedLibrary(load_file(ROOT / "flows.yaml").book)
    parts = WebParts(
        clock=clock,
        database=database,
        library=library,
        links=SignedLinkTokens(TokenSigner(SECRET_KEYS), clock),
        issued=SignedLinkTokens(TokenSigner(SECRET_KEYS), BeforeAll()),
        metrics=metrics,
        access=Access(SECRET_KEYS, TOKEN),
        pages=PageEnvironment(FOLDER),
        sources={"standard": StandardSource([SIGNING], lambda text, _region: text)},
        submit=outside.submit,
        unsubscribe=outside.unsubscribe,
        clicked=outside.clicked,
        view=outside.view,
        preferences=Preferences(database, library, clock, UuidIds()),
        reply_sources={"twilio": TwilioReplies([TWILIO_TOKEN])},
        replies=Replies(database, library, clock, UuidIds(), metrics),
        ready=lambda: outside.reasons,
        explain=explain_flow,
        public_url=BASE,
        outbox=(outbox,),
    )
    try:
        yield World(parts, clock, outside, database, outbox)
    finally:
        database.close()
