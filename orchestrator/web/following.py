"""Where links of a message lead: on to their address, or to the message itself."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from orchestrator.domain.clicks import says_scanner
from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.ports import ClickTarget, LinkPurpose
from orchestrator.rendering.pages import Language
from orchestrator.web.languages import language_of, language_of_browser
from orchestrator.web.pages import page
from orchestrator.web.parts import WebParts

_logger = logging.getLogger(__name__)

_MAIL_POLICY: Final = (
    "default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""A mail shows its own styles and the shop's pictures, and does nothing else."""

_PURPOSES: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""Where a browser says that it loads ahead of its person."""


class Followed:
    """Links that people follow from a message. The token says everything: no cookie, no login."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def click(self, request: Request) -> Response:
        """On to the address in the token, and to no other; the click is kept afterwards.

        A person is never kept waiting for our books, nor turned away because they are closed.
        """
        target = self._parts.links.verify_click(request.path_params["token"])
        if target is None:
            return self._unknown_link(request)
        headers = request.headers
        purpose = " ".join(headers.get(name, "") for name in _PURPOSES)
        scanner = says_scanner(headers.get("user-agent"), purpose)
        task = None
        if request.method == "GET":  # HEAD is a machine's question where the link would lead
            task = BackgroundTask(self._note, target, scanner=scanner)
        return RedirectResponse(target.url, 302, background=task)

    async def _note(self, target: ClickTarget, *, scanner: bool) -> None:
        try:
            await self._parts.clicked(target, scanner)
        except TransientError:
            _logger.warning("a click could not be stored", exc_info=True)

    async def view(self, request: Request) -> Response:
        """The message in the browser, made again as it was made for sending."""
        claims = self._parts.links.verify(LinkPurpose.VIEW, request.path_params["token"])
        if claims is None:
            return self._unknown_link(request)
        letter = await self._parts.view(claims)
        if letter is None:
            return self._page("gone.html", await language_of(self._parts, claims), 404)
        if letter.channel is Channel.EMAIL:
            return HTMLResponse(letter.words, headers={"content-security-policy": _MAIL_POLICY})
        _ = await language_of(self._parts, claims)
        return self._page("view_text.html", _, 200, words=letter.words)

    def _unknown_link(self, request: Request) -> HTMLResponse:
        return self._page("unknown_link.html", language_of_browser(self._parts, request), 404)

    def _page(self, template: str, _: Language, status: int, **values: Any) -> HTMLResponse:
        parts = self._parts
        return page(
            parts.pages, template, brand=parts.brand, status=status, locale=_.locale, **values
        )
