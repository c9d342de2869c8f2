"""Sessions of the pages: a signed cookie, and a token in every form."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.parts import WebParts
from orchestrator.web.security import SESSION_LIFE

_MOST_FIELDS: Final = 50


class Sessions:
    """Who is logged in, by cookie (HttpOnly, SameSite=Strict)."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        # Browsers hold a __Host- cookie to https, this host and path / (RFC 6265bis 4.1.3.2).
        self._cookie = "__Host-session" if parts.secure else "session"

    def of(self, request: Request) -> str | None:
        """The session a request belongs to, if any."""
        cookie = request.cookies.get(self._cookie, "")
        return cookie if self._parts.access.is_session(cookie, self._parts.clock.now()) else None

    def begin(self, response: Response) -> Response:
        """Log the browser in."""
        session = self._parts.access.session(self._parts.clock.now())
        return self._set(response, session, SESSION_LIFE)

    def end(self, response: Response) -> Response:
        """Log the browser out."""
        return self._set(response, "", timedelta())

    def form_token(self, session: str) -> str:
        """What the forms of a session's pages carry."""
        return self._parts.access.form_token(session)

    async def is_own_form(self, request: Request, session: str) -> bool:
        """Whether a POST comes from a form of this session."""
        fields = await form_fields(request)
        given = fields.get("form_token", "")
        return is_same_site(request) and self._parts.access.is_form_token(given, session)

    def _set(self, response: Response, value: str, life: timedelta) -> Response:
        response.set_cookie(
            self._cookie,
            value,
            max_age=int(life.total_seconds()),
            path="/",
            secure=self._parts.secure,
            httponly=True,
            samesite="strict",
        )
        return response


def is_same_site(request: Request) -> bool:
    """Whether no other site caused the request (Fetch Metadata; old browsers do not say).

    `Origin` cannot serve: under `Referrer-Policy: no-referrer` browsers send `null`.
    """
    return request.headers.get("sec-fetch-site", "none") in {"none", "same-origin"}


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form, the last of each name; empty if unreadable."""
    try:
        text = (await read_body(request)).decode(errors="replace")
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except (TooLarge, Incomplete, ValueError):
        return {}
    return {name: values[-1] for name, values in fields.items()}
