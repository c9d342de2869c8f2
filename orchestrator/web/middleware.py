"""What every request passes: the count and the log line, the Host check, safe headers."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.ports import Metrics

_logger = logging.getLogger("orchestrator.web.access")

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROBES: Final = frozenset({"/healthz", "/readyz"})
_QUIET: Final = frozenset({"healthz", "readyz", "metrics", "webhooks"})
"""Routes whose successes are counted, not written down one by one."""

_SAFE_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class AccessLog:
    """One line and one count per request; paths are redacted by the log, queries left out.

    `routes` are the first path segments there are: a stranger's own are counted as `other`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = str(scope["path"])
        first = path.strip("/").partition("/")[0]
        route = first if first in self._routes else "other"
        self._metrics.count("http_requests", route=route, status=str(status))
        self._metrics.observe("http_request_seconds", seconds, route=route)
        usual = route in _QUIET and status < 400  # noqa: PLR2004  # RFC 9110 section 15
        _logger.log(
            logging.DEBUG if usual else logging.INFO,
            "request",
            extra={
                "method": scope["method"],
                "path": path,
                "status": status,
                "ms": round(seconds * 1000, 1),
            },
        )


class HostCheck:
    """Refuses requests made under a name that is not ours (400, RFC 9112 section 3.2).

    It stops DNS rebinding: a web page that makes its own name point at this machine. Probes
    come by bare address and learn nothing, so they pass.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its Host is ours."""
        if scope["type"] == "http" and scope["path"] not in _PROBES:
            given = Headers(scope=scope).getlist("host")
            if len(given) != 1 or host_name(given[0]) not in self._hosts:
                answer = PlainTextResponse("This name is not served here.\n", 400)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class SafeHeaders:
    """Headers that no answer should lack; what a route sets itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add them to the head of the answer."""

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, adding)


def allowed_hosts(public_url: str, bind_host: str) -> frozenset[str]:
    """The names under which we may be asked: the public one, the bound one, and loopback."""
    public = urlsplit(public_url).hostname or ""
    return _LOOPBACK | {name for name in (public, host_name(bind_host)) if name}


def host_name(host: str) -> str:
    """A Host header's name: without port and brackets, in lower case, addresses canonical."""
    host = host.strip().lower()
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.partition(":")[0] if host.count(":") == 1 else host
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.removesuffix(".")
