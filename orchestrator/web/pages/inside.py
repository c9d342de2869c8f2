"""The marketers' pages, for whoever is logged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.domain.flows import Flow, FlowBook
from orchestrator.web.pages import LOCALE, page
from orchestrator.web.pages.outbox import MOST_LISTED, OpenedMessage, newest, opened
from orchestrator.web.pages.sessions import Sessions
from orchestrator.web.parts import WebParts

_DEEPEST: Final = 6  # what the style sheet knows
_INDENT: Final = 2

# A mail's own styles and pictures, but no script, no form and no reach into our pages.
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class _Step:
    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class _Account:
    """Who enters, what happens, and what ends it."""

    before: list[str]
    steps: list[_Step]
    after: list[str]


class InsidePages:
    """Journeys and the outbox."""

    def __init__(self, parts: WebParts, sessions: Sessions) -> None:
        self._parts = parts
        self._sessions = sessions

    async def journeys(self, request: Request) -> Response:
        """Every journey of the live version, in plain sentences."""
        return await self._inside(request, self._journeys)

    async def outbox(self, request: Request) -> Response:
        """The messages that were written instead of sent, the newest first."""
        return await self._inside(request, self._outbox)

    async def message(self, request: Request) -> Response:
        """One of them."""
        return await self._inside(request, self._message)

    async def mail(self, request: Request) -> Response:
        """The HTML part of one of them, for the frame within its page."""
        return await self._inside(request, self._mail)

    async def _inside(
        self, request: Request, show: Callable[[Request, str], Awaitable[Response]]
    ) -> Response:
        session = self._sessions.of(request)
        if session is None:
            return RedirectResponse("/login", 303)
        return await show(request, session)

    async def _journeys(self, request: Request, session: str) -> Response:
        del request
        book = self._parts.live_book()
        journeys = (
            [] if book is None else [self._journey(book, flow) for flow in book.flows.values()]
        )
        return self._page(
            "journeys.html",
            session,
            here="journeys",
            version=None if book is None else self._parts.library.live(),
            journeys=journeys,
        )

    def _journey(self, book: FlowBook, flow: Flow) -> dict[str, Any]:
        topic = book.topics.get(flow.topic or "")
        kind = [flow.flow_class.value, topic.title.in_locale(LOCALE) if topic else ""]
        return {
            "name": flow.name,
            "title": flow.title,
            "kind": " · ".join(part for part in kind if part),
            "description": flow.description,
            "account": _account(flow, self._parts.explain(book, flow.name)),
        }

    async def _outbox(self, request: Request, session: str) -> Response:
        del request
        messages = await run_in_threadpool(newest, self._parts.outbox)
        return self._page(
            "outbox.html",
            session,
            here="outbox",
            messages=messages,
            more=len(messages) == MOST_LISTED,
        )

    async def _message(self, request: Request, session: str) -> Response:
        found = await self._opened(request)
        if found is None:
            return self._missing()
        return self._page(
            "outbox_message.html",
            session,
            here="outbox",
            frames=True,
            message=found.summary,
            headers=found.headers,
            has_html=found.html is not None,
            text=found.text,
        )

    async def _mail(self, request: Request, session: str) -> Response:
        del session
        found = await self._opened(request)
        if found is None or found.html is None:
            return self._missing()
        # Links of the mail open beside the page; within the frame they would be shut out.
        html = found.html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(html, headers={"content-security-policy": _MAIL_POLICY})

    async def _opened(self, request: Request) -> OpenedMessage | None:
        message_id: str = request.path_params["message"]
        return await run_in_threadpool(opened, self._parts.outbox, message_id)

    def _missing(self) -> Response:
        return page(
            self._parts.pages,
            "problem.html",
            brand=self._parts.brand,
            status=404,
            title="Not here",
            text="There is no such message in the outbox. It may have been cleared away.",
        )

    def _page(
        self, template: str, session: str, *, frames: bool = False, **values: Any
    ) -> Response:
        return page(
            self._parts.pages,
            template,
            brand=self._parts.brand,
            frames=frames,
            form_token=self._sessions.form_token(session),
            **values,
        )


def _account(flow: Flow, explanation: str) -> _Account:
    """An explanation in three: sentences, indented lines, sentences."""
    shown = {flow.title, flow.description}
    lines = [line for line in explanation.splitlines() if line.strip() and line not in shown]
    indented = [place for place, line in enumerate(lines) if line.startswith(" ")] or [len(lines)]
    first, last = indented[0], indented[-1]
    before = [line for line in lines[:first] if not line.endswith(":")]
    return _Account(before, [_step(line) for line in lines[first : last + 1]], lines[last + 1 :])


def _step(line: str) -> _Step:
    text = line.lstrip(" ")
    depth = (len(line) - len(text)) // _INDENT - 1
    return _Step(min(max(depth, 0), _DEEPEST), text)
