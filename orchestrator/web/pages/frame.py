"""What every page inside has around it: who may see it, the bar, and the time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.timing import zone_of
from orchestrator.services.publishing import LastTry, last_try
from orchestrator.web.pages import page
from orchestrator.web.pages.sessions import Sessions
from orchestrator.web.pages.words import When, spaced, when
from orchestrator.web.parts import WebParts

SHEETS: Final = ("style.css", "inside.css")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is logged in, and what holds while it is answered."""

    request: Request
    session: str
    now: datetime
    book: FlowBook | None
    zone: tzinfo

    def when(self, at: datetime | None) -> When | None:
        """A moment as pages show it."""
        return None if at is None else when(at, self.now, self.zone)

    def asked(self, name: str) -> str:
        """A field of the address, without space around it."""
        return self.request.query_params.get(name, "").strip()

    def title_of(self, flow: str) -> str:
        """A journey's title; its name where the live version has no such journey."""
        known = self.book.flows.get(flow) if self.book else None
        return known.title if known else flow


Show = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Bar:
    """What is live, and whether the last edit went live."""

    version: str
    refused: bool
    errors: int
    tried: When | None


class Frame:
    """Lets those in who are logged in, and puts the bar over their pages."""

    def __init__(self, parts: WebParts, sessions: Sessions) -> None:
        self._parts = parts
        self._sessions = sessions

    def guarded(self, show: Show) -> Callable[[Request], Awaitable[Response]]:
        """A page for whoever is logged in; anybody else is asked to log in."""

        async def entered(request: Request) -> Response:
            session = self._sessions.of(request)
            if session is None:
                return RedirectResponse("/login", 303)
            book = self._parts.live_book()
            zone: tzinfo = zone_of(None, book.brand.timezone) if book else UTC
            return await show(Visit(request, session, self._parts.clock.now(), book, zone))

        return entered

    async def page(
        self, visit: Visit, template: str, *, here: str = "", status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page with the bar. `here` names the tab it belongs to."""
        tried = await self._parts.database.query(last_try)
        return page(
            self._parts.pages,
            template,
            brand=visit.book.brand if visit.book else None,
            status=status,
            sheets=SHEETS,
            here=here,
            bar=self._bar(visit, tried),
            form_token=self._sessions.form_token(visit.session),
            asked=visit.asked,
            spaced=spaced,
            **values,
        )

    async def missing(self, visit: Visit, text: str, here: str = "") -> HTMLResponse:
        """404, in words."""
        return await self.page(visit, "missing.html", here=here, status=404, text=text)

    def _bar(self, visit: Visit, tried: LastTry | None) -> Bar:
        live = self._parts.library.live() if visit.book else ""
        return Bar(
            version=live[:8],
            refused=tried is not None and tried.version is None,
            errors=errors_in(tried),
            tried=visit.when(tried.at) if tried else None,
        )


def errors_in(tried: LastTry | None) -> int:
    """How many findings stopped the last try to publish."""
    findings: Sequence[Any] = tried.findings if tried else ()
    return sum(finding.severity is Severity.ERROR for finding in findings)
