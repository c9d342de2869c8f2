"""The life of the process: publish, serve, tick, and drain when told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import uvicorn

from orchestrator.bootstrap.application import App, login_link
from orchestrator.bootstrap.files import FilesRead, read_files
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.findings import Severity
from orchestrator.flowfile.report import render_findings
from orchestrator.ports import Lane
from orchestrator.schedule import Tick, Ticks
from orchestrator.services import advance, dispatch, enrol
from orchestrator.services.consent import make_checkpoint
from orchestrator.services.results import doubt_expired
from orchestrator.services.versions import publish

log = logging.getLogger(__name__)

DRAIN: Final = 12.0
"""Seconds to finish what is under way: SIGTERM promises an end within 15."""


class _Server(uvicorn.Server):
    """Leaves signals to the daemon, which has more than the web to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: App, say: Callable[[str], None]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    `say` tells the person at the terminal.
    """
    listener = _listen(app)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not publish_files(app, say):
        listener.close()
        return 1
    server = _Server(_web_config(app))
    ticks = Ticks(tick_table(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    ticks.start()
    listening = asyncio.create_task(server.listening.wait(), name="listening")
    await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    app.standing.started = True
    say(_greeting(app, listener))
    stopping = asyncio.create_task(stop.wait(), name="signal")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return await _drain(app, server, serving, ticks)


async def _drain(app: App, server: _Server, serving: asyncio.Task[None], ticks: Ticks) -> int:
    """Stop claiming, finish what is being sent, record it, then let go."""
    app.standing.draining = True
    server.should_exit = True
    try:
        async with asyncio.timeout(DRAIN):
            await ticks.stop()
            await app.dispatching.drain()
            await serving
            await app.intake.close()
            for provider in app.providers.values():
                await provider.close()
    except TimeoutError:
        # Leases end by themselves: what is not finished here is taken up or put in doubt later.
        log.warning("stopped before everything was finished")
    return 0


def tick_table(app: App) -> list[Tick]:
    """All periodic work of a daemon: name, interval, what to do, and its batch."""
    short, database = timedelta(milliseconds=200), app.database

    async def settle_doubt() -> int:
        return await database.run(Lane.RESULTS, lambda uow: doubt_expired(uow, app.clock))

    async def follow_versions() -> int:
        return int(await asyncio.to_thread(app.library.refresh))

    async def checkpoint() -> int:
        return await database.run(
            Lane.IMPORT, lambda uow: make_checkpoint(uow, app.clock.now(), app.signer)
        )

    return [
        Tick("hear events", short, app.enrolling.run_once, enrol.BATCH),
        Tick("advance runs", short, app.advancing.run_once, advance.BATCH),
        Tick("dispatch messages", short, app.dispatching.run_once, dispatch.BATCH),
        Tick("settle doubt", timedelta(seconds=5), settle_doubt),
        Tick("follow versions", timedelta(seconds=1), follow_versions),
        Tick("sign the consent ledger", timedelta(minutes=1), checkpoint, batch=1),
    ]


def publish_files(app: App, say: Callable[[str], None]) -> bool:
    """Publish the flows file; with errors the last good version stays, if there is one."""
    settings = app.settings
    read = read_files(settings.flows, settings.templates)
    app.library.refresh()
    _show(read, say)
    if not read.candidate.publishable:
        if not app.library.revision:
            return False
        log.error("the flows file has errors: the version published last stays live")
        return True
    published = publish(app.database, app.library, read.candidate, "start", app.clock)
    log.info("flows are live", extra={"version": published.version[:12]})
    return True


def _show(read: FilesRead, say: Callable[[str], None]) -> None:
    """Errors in full; warnings are `check`'s to tell."""
    findings = read.candidate.findings
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    if errors:
        say(render_findings(errors, read.source))
    if warnings := len(findings) - len(errors):
        say(f"{warnings} warnings about {read.candidate.name}: `orchestrator check` shows them")


def _listen(app: App) -> socket.socket:
    settings = app.settings
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"ORCHESTRATOR_BIND: {settings.bind} cannot be listened on ({error.strerror})"
        ) from None
    listener.set_inheritable(True)
    return listener


def _web_config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app.web,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(app.settings.trusted_proxies),
        forwarded_allow_ips=list(app.settings.trusted_proxies),
        timeout_graceful_shutdown=5,
    )


def _greeting(app: App, listener: socket.socket) -> str:
    """Where it is, and what to try."""
    host, port = listener.getsockname()[:2]
    return (
        f"Ready on http://{host}:{port}\n"
        f"Log in, once and within 15 minutes: {login_link(app, app.clock.now())}\n"
        "Try: orchestrator send-event examples/checkout.json\n"
        "     orchestrator messages"
    )
