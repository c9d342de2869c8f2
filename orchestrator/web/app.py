"""The HTTP application: one table of routes, and what every request passes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from orchestrator.domain.errors import TransientError
from orchestrator.web.api import create_api
from orchestrator.web.following import Followed
from orchestrator.web.languages import language_of_browser
from orchestrator.web.middleware import AccessLog, HostCheck, SafeHeaders, allowed_hosts
from orchestrator.web.operations import Operations
from orchestrator.web.pages import page
from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.journeys import JourneyPages
from orchestrator.web.pages.login import LoginPages
from orchestrator.web.pages.messages import MessagePages
from orchestrator.web.pages.outbox import Outbox
from orchestrator.web.pages.outbox_pages import OutboxPages
from orchestrator.web.pages.people import PeoplePages
from orchestrator.web.pages.publishing import PublishingPage
from orchestrator.web.pages.sessions import Sessions
from orchestrator.web.parts import WebParts
from orchestrator.web.public import PublicPages
from orchestrator.web.replies import ReplyWebhooks
from orchestrator.web.webhooks import COME_BACK, Webhooks

_logger = logging.getLogger(__name__)

_OF_CUSTOMERS: Final = frozenset({"u", "c", "confirm", "preferences", "view"})
"""First segments of the links in messages."""

PATIENCE: Final = 8.0
"""Seconds for a page or a reply: a database that hangs tells nothing, and nobody waits for ever."""

Endpoint = Callable[[Request], Awaitable[Response]]

_WORDS: Final = {
    404: ("Not here", "There is nothing under this address."),
    405: ("Not this way", "This address does not take such requests."),
    503: ("Not now", "We cannot do this at the moment. Please try again soon."),
    500: ("Our mistake", "Something went wrong on our side. It has been written down."),
}


def create_app(parts: WebParts) -> Starlette:
    """The application; it opens nothing and starts nothing by itself."""
    routes = _routes(parts)
    known = {
        route.path.strip("/").partition("/")[0]
        for route in routes
        if isinstance(route, Route | Mount)
    }
    hosts = allowed_hosts(parts.public_url, parts.bind_host)
    problems = _Problems(parts)
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(AccessLog, parts.metrics, known),
            Middleware(SafeHeaders),
            Middleware(HostCheck, hosts),
        ],
        exception_handlers={
            HTTPException: problems.http,
            TransientError: problems.transient,
            Exception: problems.unexpected,
        },
    )


def _routes(parts: WebParts) -> list[BaseRoute]:
    operations, webhooks, public = Operations(parts), Webhooks(parts), PublicPages(parts)
    followed, sessions = Followed(parts), Sessions(parts)
    login = LoginPages(parts, sessions)
    return [
        Route("/healthz", operations.alive),
        Route("/readyz", operations.ready),
        Route("/metrics", operations.figures),
        Route("/webhooks/{source}", webhooks.receive, methods=["POST"]),
        Route("/replies/{provider}", _in_time(ReplyWebhooks(parts).receive), methods=["POST"]),
        *_both("/u/{token}", public.ask_unsubscribe, public.unsubscribe),
        *_both("/confirm/{token}", public.ask_confirmation, public.confirm),
        *_both("/preferences/{token}", public.ask_preferences, public.save_preferences),
        Route("/c/{token}", _in_time(followed.click)),
        Route("/view/{token}", _in_time(followed.view)),
        *_both("/login", login.form, login.enter),
        *_both("/login/{token}", login.link, login.enter_by_link),
        Route("/logout", login.leave, methods=["POST"]),
        *_inside(parts, sessions),
        Mount("/api", create_api(parts)),
    ]


def _inside(parts: WebParts, sessions: Sessions) -> list[Route]:
    """The marketers' pages, for whoever is logged in."""
    frame, outbox = Frame(parts, sessions), Outbox(parts.outbox)
    journeys, people = JourneyPages(parts, frame), PeoplePages(parts, frame, outbox)
    messages, written = MessagePages(parts, frame, outbox), OutboxPages(frame, outbox)
    publishing = PublishingPage(parts, frame)
    pages = {
        "/": journeys.board,
        "/journeys/{flow}": journeys.journey,
        "/journeys/{flow}/{step}": journeys.sample,
        "/journeys/{flow}/{step}/{look}": journeys.sample_html,
        "/people": people.people,
        "/people/{contact}": people.person,
        "/messages": messages.messages,
        "/outbox": written.listing,
        "/outbox/{message}": written.message,
        "/outbox/{message}/html": written.mail,
        "/publishing": publishing.show,
    }
    return [Route(path, frame.guarded(show)) for path, show in pages.items()]


def _both(path: str, get: Endpoint, post: Endpoint) -> list[Route]:
    """A page and its form under one path, so that any other method is 405."""

    async def either(request: Request) -> Response:
        return await (post if request.method == "POST" else get)(request)

    return [Route(path, _in_time(either), methods=["GET", "POST"])]


def _in_time(endpoint: Endpoint) -> Endpoint:
    """The same, answered 503 when it takes too long. What is stored all the same may come again."""

    async def limited(request: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                return await endpoint(request)
        except TimeoutError:
            raise TransientError("this takes too long") from None

    return limited


class _Problems:
    """Errors as answers: a page for browsers, JSON for programs."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def http(self, request: Request, error: Exception) -> Response:
        """What routing itself refuses: 404 and 405."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        answer = self._answer(request, status)
        answer.headers.update(headers or {})
        return answer

    async def transient(self, request: Request, error: Exception) -> Response:
        """The database is out of reach: come back later."""
        _logger.warning("a request could not be served now", exc_info=error)
        answer = self._answer(request, 503)
        answer.headers["retry-after"] = str(COME_BACK)
        return answer

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """A mistake of ours; the caller learns no more than that."""
        del error  # the server's own log shows it, redacted
        return self._answer(request, 500)

    def _answer(self, request: Request, status: int) -> Response:
        title, text = _WORDS.get(status, _WORDS[500])
        parts = self._parts
        first = request.url.path.strip("/").partition("/")[0]
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"code": HTTPStatus(status).name.lower(), "message": text}, status)
        if status == HTTPStatus.NOT_FOUND and first in _OF_CUSTOMERS:
            locale = language_of_browser(parts, request).locale
            return page(
                parts.pages, "unknown_link.html", brand=parts.brand, status=status, locale=locale
            )
        return page(
            parts.pages, "problem.html", brand=parts.brand, status=status, title=title, text=text
        )
