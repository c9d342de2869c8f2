"""Logging in, by a link that works once or by the admin token, and out."""

from __future__ import annotations

import logging
from collections import deque
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.ports import Lane
from orchestrator.web.pages import page
from orchestrator.web.pages.sessions import Sessions, form_fields, is_same_site
from orchestrator.web.parts import WebParts

MOST_FAILURES: Final = 10
"""Wrong admin tokens within `FAILURE_WINDOW`, from whomever; then everybody waits."""
FAILURE_WINDOW: Final = timedelta(minutes=1)

_logger = logging.getLogger(__name__)


class LoginPages:
    """`/login`, `/login/{token}` and `/logout`."""

    def __init__(self, parts: WebParts, sessions: Sessions) -> None:
        self._parts = parts
        self._sessions = sessions
        self._failures: deque[datetime] = deque(maxlen=MOST_FAILURES)

    async def form(self, request: Request) -> Response:
        """Ask for the admin token."""
        if self._sessions.of(request) is not None:
            return RedirectResponse("/", 303)
        return self._form()

    async def enter(self, request: Request) -> Response:
        """Log in with the admin token."""
        if not is_same_site(request):
            return self._form("Please log in from this page.", 403)
        if self._too_many_failures():
            return self._form("Too many wrong tokens. Please wait a minute.", 429)
        fields = await form_fields(request)
        if not self._parts.access.is_admin_token(fields.get("token", "").strip()):
            self._failures.append(self._parts.clock.now())
            _logger.warning("a login with a wrong admin token")
            return self._form("This is not the admin token.", 401)
        return self._sessions.begin(RedirectResponse("/", 303))

    async def link(self, request: Request) -> Response:
        """A page with a button: a preview of the link must not use it up."""
        token: str = request.path_params["token"]
        if self._parts.access.login_expiry(token, self._parts.clock.now()) is None:
            return self._form("This link is over. Each works once, for 15 minutes.", 404)
        return page(self._parts.pages, "login_link.html", brand=self._parts.brand)

    async def enter_by_link(self, request: Request) -> Response:
        """Use up the link and log in."""
        token: str = request.path_params["token"]
        now = self._parts.clock.now()
        expires_at = self._parts.access.login_expiry(token, now)
        if expires_at is None or not await self._parts.database.run(
            Lane.INTAKE, lambda uow: uow.tokens.use(token, now, expires_at)
        ):
            return self._form("This link is over. Each works once, for 15 minutes.", 404)
        return self._sessions.begin(RedirectResponse("/", 303))

    async def leave(self, request: Request) -> Response:
        """Log out."""
        session = self._sessions.of(request)
        if session is not None and not await self._sessions.is_own_form(request, session):
            return self._form("Please log out from one of the pages.", 403)
        return self._sessions.end(RedirectResponse("/login", 303))

    def _form(self, problem: str | None = None, status: int = 200) -> HTMLResponse:
        return page(
            self._parts.pages,
            "login.html",
            brand=self._parts.brand,
            status=status,
            problem=problem,
            with_token=self._parts.access.has_admin_token,
        )

    def _too_many_failures(self) -> bool:
        full = len(self._failures) == MOST_FAILURES
        return full and self._parts.clock.now() - self._failures[0] < FAILURE_WINDOW
