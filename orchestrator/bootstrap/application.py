"""A daemon with everything it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from starlette.types import ASGIApp

from orchestrator.bootstrap.databases import OpenDatabase, open_database
from orchestrator.bootstrap.engine import Engine, assemble_engine
from orchestrator.bootstrap.library import link_tokens, open_library
from orchestrator.channels.email.smtp import smtp_provider
from orchestrator.channels.failover import FailoverProvider
from orchestrator.channels.outbox import OutboxProvider
from orchestrator.channels.sms.twilio import twilio_provider
from orchestrator.channels.sms.twilio_replies import TwilioReplies
from orchestrator.channels.urls import ProviderUrl, read_provider_url
from orchestrator.domain.flows import Channel
from orchestrator.flowfile.explain import explain_flow
from orchestrator.observability import PrometheusMetrics
from orchestrator.ports import Clock, Metrics, Provider, ReplySource, Source
from orchestrator.rendering.pages import PageEnvironment
from orchestrator.services.intake import Intake
from orchestrator.services.results import Results
from orchestrator.services.versions import VersionLibrary
from orchestrator.settings import Settings
from orchestrator.sources.fields import NormalisePhone
from orchestrator.sources.phones import normalise_phone
from orchestrator.sources.shopify import ShopifySource
from orchestrator.sources.standard import StandardSource
from orchestrator.storage.engine import sqlite_file
from orchestrator.storage.lock import DaemonLock
from orchestrator.web.app import create_app
from orchestrator.web.pages import FOLDER as PAGES
from orchestrator.web.parts import BeforeAll, WebParts
from orchestrator.web.security import Access


@dataclass(frozen=True, slots=True)
class App(Engine):
    """Everything a daemon runs: the engine, and what answers requests."""

    settings: Settings
    alone: bool
    """Whether no other process works on this database."""
    web: ASGIApp
    access: Access
    standing: Standing


class Standing:
    """Whether the daemon is starting, up or on its way out: what `/readyz` asks."""

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self.cut_short = False
        """Whether it stops with work still under way, in a database that hangs, say."""
        self.checks: list[Callable[[], str | None]] = []

    def reasons(self) -> list[str]:
        """Why the process is not ready, a sentence each."""
        found = [reason for check_one in self.checks if (reason := check_one())]
        if not self.started:
            found.append("starting")
        if self.draining:
            found.append("stopping")
        return found


def providers_of(
    settings: Settings, clock: Clock, metrics: Metrics | None = None
) -> dict[Channel, Provider]:
    """The provider of each channel. Raises ConfigurationError for a URL that names none."""
    urls = {
        Channel.EMAIL: settings.email_url,
        Channel.SMS: settings.sms_url,
        Channel.WHATSAPP: settings.whatsapp_url,
    }
    return {channel: _provider(channel, found, clock, metrics) for channel, found in urls.items()}


def _provider(
    channel: Channel, urls: tuple[SecretStr, ...], clock: Clock, metrics: Metrics | None
) -> Provider:
    """The provider of a channel, with those it fails over to."""
    setting = f"ORCHESTRATOR_{channel.value.upper()}_URL"
    addresses = [read_provider_url(url.get_secret_value(), setting) for url in urls]
    providers = [_open_provider(channel, address, clock) for address in addresses]
    if all(isinstance(provider, OutboxProvider) for provider in providers):
        return providers[0]
    return FailoverProvider(providers, clock, setting, metrics)


def _open_provider(channel: Channel, url: ProviderUrl, clock: Clock) -> Provider:
    if url.scheme == "outbox":
        return _outbox(url, clock)
    kinds = _PROVIDERS.get(channel, {})
    if url.scheme in kinds:
        return kinds[url.scheme][0](url)
    known = ["outbox:var/outbox", *(example for _, example in kinds.values())]
    words = f"{url.scheme} is not available for {channel.value}; write {' or '.join(known)}"
    raise url.problem(words)


_PROVIDERS: Final[Mapping[Channel, Mapping[str, tuple[Callable[[ProviderUrl], Provider], str]]]] = {
    Channel.EMAIL: {"smtp": (smtp_provider, "smtp://user:password@host:587")},
    Channel.SMS: {"twilio": (twilio_provider, "twilio://SID:TOKEN@default?from=+15005550006")},
}
"""By channel and scheme: what opens an address, and what one looks like."""


def _outbox(url: ProviderUrl, clock: Clock) -> OutboxProvider:
    outbox = OutboxProvider(Path(url.path or "var/outbox"), clock)
    try:
        outbox.prepare()
    except OSError as error:
        raise url.problem(f"{outbox.folder} cannot be written ({error.strerror})") from None
    return outbox


def _sources(settings: Settings) -> dict[str, Source]:
    """The sources that have secrets: without one nothing can be believed."""
    kinds: dict[str, Callable[[Sequence[str], NormalisePhone], Source]] = {
        "standard": StandardSource,
        "shopify": ShopifySource,
    }
    return {
        name: kind([secret.get_secret_value() for secret in secrets], normalise_phone)
        for name, kind in kinds.items()
        if (secrets := settings.webhook_secrets.get(name, ()))
    }


def _reply_sources(settings: Settings) -> dict[str, ReplySource]:
    """The providers whose replies can be believed."""
    kinds: dict[str, Callable[[Sequence[str]], ReplySource]] = {"twilio": TwilioReplies}
    return {
        name: kind([secret.get_secret_value() for secret in secrets])
        for name, kind in kinds.items()
        if (secrets := settings.webhook_secrets.get(name, ()))
    }


def _outboxes(providers: Mapping[Channel, Provider]) -> tuple[Path, ...]:
    chains = (p.providers if isinstance(p, FailoverProvider) else (p,) for p in providers.values())
    folders = (p.folder for chain in chains for p in chain if isinstance(p, OutboxProvider))
    return tuple(dict.fromkeys(folders))


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One daemon per SQLite file; PostgreSQL takes any number."""
    file = sqlite_file(settings.database_url.get_secret_value())
    if file is None:
        yield
        return
    with DaemonLock(file):
        yield


@contextmanager
def build(settings: Settings) -> Iterator[App]:
    """Build a daemon. Raises ConfigurationError for what a person has to mend."""
    with _alone(settings), open_database(settings) as opened:
        metrics = PrometheusMetrics()
        providers = providers_of(settings, opened.clock, metrics)
        yield assemble(settings, opened, providers, metrics)


def assemble(
    settings: Settings,
    opened: OpenDatabase,
    providers: Mapping[Channel, Provider],
    metrics: PrometheusMetrics | None = None,
) -> App:
    """Put a daemon together around an open database and the providers given."""
    metrics = metrics or PrometheusMetrics()
    library = open_library(settings, opened)
    engine = assemble_engine(settings, opened, library, providers, metrics)
    standing = _standing(library, engine.intake, engine.results)
    parts = {field.name: getattr(engine, field.name) for field in fields(engine)}
    return App(
        **parts,
        settings=settings,
        alone=sqlite_file(settings.database_url.get_secret_value()) is not None,
        web=_web(settings, opened, engine, standing, metrics),
        access=_access(settings),
        standing=standing,
    )


def _web(
    settings: Settings,
    opened: OpenDatabase,
    engine: Engine,
    standing: Standing,
    metrics: PrometheusMetrics,
) -> ASGIApp:
    return create_app(
        WebParts(
            clock=opened.clock,
            database=opened.database,
            library=engine.library,
            links=link_tokens(settings, opened.clock),
            issued=link_tokens(settings, BeforeAll()),
            metrics=metrics,
            access=_access(settings),
            pages=PageEnvironment(PAGES),
            sources=_sources(settings),
            submit=engine.intake.submit_in_time,
            unsubscribe=engine.preferences.unsubscribe,
            clicked=engine.clicks.note,
            view=engine.letters.view,
            preferences=engine.preferences,
            reply_sources=_reply_sources(settings),
            replies=engine.replies,
            ready=standing.reasons,
            explain=explain_flow,
            public_url=settings.base_url,
            bind_host=settings.host,
            outbox=_outboxes(engine.providers),
        )
    )


def _access(settings: Settings) -> Access:
    token = settings.admin_token
    secret_keys = [key.get_secret_value() for key in settings.secret_key]
    return Access(secret_keys, token.get_secret_value() if token else None)


def _standing(library: VersionLibrary, intake: Intake, results: Results) -> Standing:
    standing = Standing()
    standing.checks.append(lambda: None if library.revision else "no flows have been published")
    standing.checks.append(lambda: "events cannot be stored" if intake.stuck else None)
    standing.checks.append(lambda: "results cannot be stored" if results.stuck else None)
    return standing


def login_link(app: App, now: datetime) -> str:
    """A link that logs one person in once, within 15 minutes."""
    return f"{app.settings.base_url}/login/{app.access.login_token(now)}"
