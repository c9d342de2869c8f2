"""The life of the process: publish, serve, tick, and drain when told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from datetime import timedelta
from enum import StrEnum
from typing import Final

from orchestrator.bootstrap.application import App, login_link
from orchestrator.daemon.edits import Edits, Say
from orchestrator.daemon.memory import spare_what_is_loaded
from orchestrator.daemon.supervision import orphaned
from orchestrator.daemon.ticks import web_ticks, worker_ticks
from orchestrator.daemon.web import Server, listen, server_of
from orchestrator.schedule import Tick, Ticks
from orchestrator.services.recovery import recover

log = logging.getLogger(__name__)

DRAIN: Final = 10.0
"""Seconds to finish what is under way: SIGTERM promises an end within 15, on a busy machine too."""

LOOK: Final = timedelta(milliseconds=500)
"""How often the files are looked at; two looks later an edit is checked, and then live."""


class Role(StrEnum):
    """What a process does."""

    ALL = "all"  # everything, alone on its SQLite file or beside others on PostgreSQL
    WEB = "web"  # webhooks and pages
    WORKER = "worker"  # journeys and delivery

    @property
    def serves(self) -> bool:
        """Whether it answers HTTP."""
        return self is not Role.WORKER

    @property
    def works(self) -> bool:
        """Whether it takes runs through their journeys."""
        return self is not Role.WEB


async def serve(app: App, role: Role, say: Say) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # First the port: a daemon that cannot serve must not publish.
    listener = listen(app.settings) if role.serves else None
    edits = Edits(app, say) if role is Role.ALL and app.settings.reload == "auto" else None
    if edits is None:
        app.library.refresh()
    elif not edits.publish("start"):
        if listener is not None:
            listener.close()
        return 1
    if app.alone:
        recover(app.database, app.clock)
    spare_what_is_loaded()
    ticks = Ticks(tick_table(app, role, edits))
    stopping = asyncio.create_task(stop.wait(), name="signal")
    orphan = asyncio.create_task(orphaned(), name="parent")
    orphan.add_done_callback(lambda _: stop.set())
    server = None
    if listener is not None:
        server = await _start_web(app, listener, ticks, say)
        await asyncio.wait({server.task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    else:
        ticks.start()
        say("This worker is at work; it publishes nothing and answers no requests.")
        await stopping
    stopping.cancel()
    orphan.cancel()
    await _drain(app, server, ticks)
    return 0


class _Web:
    """A server that serves."""

    def __init__(self, server: Server, task: asyncio.Task[None]) -> None:
        self.server = server
        self.task = task


async def _start_web(app: App, listener: socket.socket, ticks: Ticks, say: Say) -> _Web:
    server = server_of(app)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="web")
    ticks.start()
    listening = asyncio.create_task(server.listening.wait(), name="listening")
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    app.standing.started = True
    host, port = listener.getsockname()[:2]
    say(_greeting(app, host, port))
    return _Web(server, task)


async def _drain(app: App, web: _Web | None, ticks: Ticks) -> None:
    """Stop claiming, finish what is being sent, record it, then let go."""
    app.standing.draining = True
    app.dispatching.stop()
    if web is not None:
        web.server.should_exit = True
    try:
        async with asyncio.timeout(DRAIN):
            await ticks.stop()
            await app.dispatching.drain()
            if web is not None:
                await web.task
            await app.intake.close()
            for provider in app.providers.values():
                await provider.close()
    except TimeoutError:
        # What cannot even be recorded now is taken up or put in doubt when its lease ends.
        await app.dispatching.cut_short()
        app.standing.cut_short = True
        log.warning("stopped before everything was finished")


def tick_table(app: App, role: Role, edits: Edits | None = None) -> list[Tick]:
    """The periodic work of a role, and following the files where they publish themselves."""
    table = [*web_ticks(app), *(worker_ticks(app) if role.works else ())]
    if edits is not None:
        table.append(Tick("publish edits", LOOK, edits.run_once))
    return table


def _greeting(app: App, host: str, port: int) -> str:
    """Where it is, and what to try."""
    where = f"[{host}]" if ":" in host else host
    return (
        f"Ready on http://{where}:{port}\n"
        f"Log in, once and within 15 minutes: {login_link(app, app.clock.now())}\n"
        "Try: orchestrator send-event examples/checkout.json\n"
        "     orchestrator messages"
    )
