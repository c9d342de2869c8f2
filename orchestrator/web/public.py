"""Pages customers reach from a message. GET and HEAD change nothing: link scanners ask, too."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.pages import LOCALE, page
from orchestrator.web.parts import WebParts
from orchestrator.web.webhooks import COME_BACK

_logger = logging.getLogger(__name__)

_CHANNEL_WORDS = {
    Channel.EMAIL: "email",
    Channel.SMS: "text message",
    Channel.WHATSAPP: "WhatsApp",
    None: "email",
}


class PublicPages:
    """Unsubscribing."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def ask_unsubscribe(self, request: Request) -> Response:
        """A page with one button; the way out of a link is always open, so links never end."""
        claims = self._claims(request)
        if claims is None:
            return self._unknown_link()
        return self._page("unsubscribe.html", **self._words(claims))

    async def unsubscribe(self, request: Request) -> Response:
        """One-click (RFC 8058 section 3.1) and the button of our own page alike.

        The token says everything, so the body may be of any kind, or missing; no cookie is
        asked for and no redirect given. Repeating it is answered the same way.
        """
        claims = self._claims(request)
        if claims is None:
            return self._unknown_link()
        try:
            await read_body(request)
        except (TooLarge, Incomplete):
            _logger.info("an opt-out came with a body that could not be read")
        try:
            changed = await self._parts.unsubscribe(claims)
        except TransientError:
            _logger.warning("an opt-out could not be stored", exc_info=True)
            return self._try_again()
        self._parts.metrics.count("unsubscribes", outcome="changed" if changed else "already")
        return self._page("unsubscribed.html", **self._words(claims))

    def _claims(self, request: Request) -> LinkClaims | None:
        token: str = request.path_params["token"]
        return self._parts.links.verify(LinkPurpose.UNSUBSCRIBE, token)

    def _words(self, claims: LinkClaims) -> dict[str, Any]:
        """What the link is about: the topic by its title, if there still is one."""
        book = self._parts.live_book()
        topic = book.topics.get(claims.topic or "") if book else None
        return {
            "topic": topic.title.in_locale(LOCALE) if topic else None,
            "channel": _CHANNEL_WORDS[claims.channel],
        }

    def _unknown_link(self) -> HTMLResponse:
        return self._page("unknown_link.html", status=404)

    def _try_again(self) -> HTMLResponse:
        answer = self._page("try_again.html", status=503)
        answer.headers["retry-after"] = str(COME_BACK)
        return answer

    def _page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return page(self._parts.pages, template, brand=self._parts.brand, status=status, **values)
