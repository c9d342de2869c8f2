"""The HTTP server inside the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from orchestrator.bootstrap.application import App
from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import Settings


class Server(uvicorn.Server):
    """Leaves signals to the daemon, which has more than the web to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual, and say when it is done."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server_of(app: App) -> Server:
    """The server of an application's web part; it does not listen yet."""
    proxies = list(app.settings.trusted_proxies)
    return Server(
        uvicorn.Config(
            app.web,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=5,
        )
    )


def listen(settings: Settings) -> socket.socket:
    """A socket bound to BIND. Raises ConfigurationError where that cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol named: only then does asyncio set TCP_NODELAY on what is accepted. Without it
    # an answer's body waits 40 ms for the client to acknowledge its head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"ORCHESTRATOR_BIND: {settings.bind} cannot be listened on ({error.strerror})"
        ) from None
    return listener
