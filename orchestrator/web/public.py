"""Pages customers reach from a message. GET and HEAD change nothing: link scanners ask, too."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orchestrator.domain.consent import Method, Standing
from orchestrator.domain.errors import TransientError
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.services.consent import Visit
from orchestrator.services.preferences import Choices
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.choosing import (
    BY,
    QUESTION,
    boxes,
    chosen,
    form_of,
    titles,
    wishes,
    wording_of,
)
from orchestrator.web.pages import LOCALE, page
from orchestrator.web.parts import WebParts
from orchestrator.web.webhooks import COME_BACK

_logger = logging.getLogger(__name__)

_LONGEST_AGENT: Final = 512
_CONFIRM: Final = "Yes, send me these"
_UNSUBSCRIBE: Final = "Unsubscribe"


class PublicPages:
    """Unsubscribing, confirming a sign-up, and choosing what to get.

    The token of the link is the authority: no cookie, no login, no script.
    """

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def ask_unsubscribe(self, request: Request) -> Response:
        """A page with one button; the way out of a link is always open, so links never end."""
        claims = self._claims(request, LinkPurpose.UNSUBSCRIBE)
        if claims is None:
            return self._unknown_link()
        return self._page("unsubscribe.html", **self._words(claims))

    async def unsubscribe(self, request: Request) -> Response:
        """One-click (RFC 8058 section 3.1) and the button of our own page alike.

        The token says everything, so the body may be of any kind, or missing; no cookie is
        asked for and no redirect given. Repeating it is answered the same way.
        """
        claims = self._claims(request, LinkPurpose.UNSUBSCRIBE)
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
            return self._try_again(_UNSUBSCRIBE)
        self._parts.metrics.count("unsubscribes", outcome="changed" if changed else "already")
        more = self._preferences_link(claims)
        return self._page("unsubscribed.html", preferences=more, **self._words(claims))

    async def ask_confirmation(self, request: Request) -> Response:
        """What was asked for, and one button: a scanner that opens the link confirms nothing."""
        claims = self._claims(request, LinkPurpose.CONFIRM)
        if claims is None:
            return self._unknown_link(LinkPurpose.CONFIRM, request)
        choices = await self._parts.preferences.choices(claims)
        if choices is None:
            return self._gone()
        if claims.channel is None or not choices.asked[claims.channel]:
            return self._confirmed(claims, choices, changed=False)
        return self._page(
            "confirm.html",
            asked=titles(choices.asked[claims.channel], self._parts.live_book()),
            address=choices.addresses.get(claims.channel),
            button=_CONFIRM,
            **self._words(claims),
        )

    async def confirm(self, request: Request) -> Response:
        """Double opt-in, once per link; pressed again, the page says how things stand."""
        claims = self._claims(request, LinkPurpose.CONFIRM)
        if claims is None:
            return self._unknown_link(LinkPurpose.CONFIRM, request)
        try:
            before = await self._parts.preferences.choices(claims)
            asked = before.asked[claims.channel] if before and claims.channel else ()
            named = "; ".join(titles(asked, self._parts.live_book()))
            wording = f"By {BY[claims.channel]}: {named}. {_CONFIRM}"
            visit = _visit(request, claims, "/confirm", Method.CONFIRM_LINK, wording)
            token = request.path_params["token"]
            decision = await self._parts.preferences.confirm(claims, token, visit)
        except TransientError:
            _logger.warning("a confirmation could not be stored", exc_info=True)
            return self._try_again(_CONFIRM)
        if decision is None:
            return self._gone()
        return self._confirmed(claims, decision.choices, changed=bool(decision.changed))

    async def ask_preferences(self, request: Request) -> Response:
        """Every topic by channel, as it stands."""
        claims = self._claims(request, LinkPurpose.PREFERENCES)
        if claims is None:
            return self._unknown_link()
        return self._form(await self._parts.preferences.choices(claims), QUESTION)

    async def save_preferences(self, request: Request) -> Response:
        """Save what was sent, and show what came of it in the form it came from.

        A box that the form did not show is left as it is, and so is everything if the form
        cannot be read.
        """
        claims = self._claims(request, LinkPurpose.PREFERENCES)
        if claims is None:
            return self._unknown_link()
        form = await form_of(request)
        preferences, book = self._parts.preferences, self._parts.live_book()
        try:
            if form is None:
                choices = await preferences.choices(claims)
                said = ["What you sent could not be read. Nothing has changed."]
                return self._form(choices, QUESTION, said, status=400)
            wording = wording_of(form, book)
            visit = _visit(request, claims, "/preferences", Method.PREFERENCE_PAGE, wording)
            decision = await (
                preferences.stop(claims, visit)
                if "stop" in form
                else preferences.choose(claims, wishes(form), visit)
            )
        except TransientError:
            _logger.warning("preferences could not be stored", exc_info=True)
            return self._try_again(None)
        if decision is None:
            return self._gone()
        heading, said = chosen(decision, book, stop="stop" in form)
        return self._form(decision.choices, heading, said)

    def _form(
        self,
        choices: Choices | None,
        heading: str,
        said: list[str] | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        if choices is None:
            return self._gone()
        return self._page(
            "preferences.html",
            status=status,
            heading=heading,
            said=said or [],
            groups=boxes(choices, self._parts.live_book()),
            stopped=choices.stopped,
        )

    def _confirmed(self, claims: LinkClaims, choices: Choices, *, changed: bool) -> HTMLResponse:
        book = self._parts.live_book()
        granted = [
            topic
            for (channel, topic), standing in choices.standings.items()
            if channel is claims.channel and standing is Standing.ALLOWED
        ]
        return self._page(
            "confirmed.html",
            changed=changed,
            granted=titles(granted, book),
            address=choices.addresses.get(claims.channel) if claims.channel else None,
            preferences=self._preferences_link(claims),
            **self._words(claims),
        )

    def _claims(self, request: Request, purpose: LinkPurpose) -> LinkClaims | None:
        return self._parts.links.verify(purpose, request.path_params["token"])

    def _preferences_link(self, claims: LinkClaims) -> str:
        """Relative: whoever sees our page is on our host."""
        return "/preferences/" + self._parts.links.sign(LinkPurpose.PREFERENCES, claims)

    def _words(self, claims: LinkClaims) -> dict[str, Any]:
        """What the link is about: the topic by its title, if there still is one."""
        book = self._parts.live_book()
        topic = book.topics.get(claims.topic or "") if book else None
        return {
            "topic": topic.title.in_locale(LOCALE) if topic else None,
            "channel": BY[claims.channel],
        }

    def _unknown_link(
        self, purpose: LinkPurpose | None = None, request: Request | None = None
    ) -> HTMLResponse:
        """Forged or damaged; a link that we made and whose time is over is told so."""
        if purpose and request and self._parts.issued.verify(purpose, request.path_params["token"]):
            return self._page("expired_link.html")
        return self._page("unknown_link.html", status=404)

    def _gone(self) -> HTMLResponse:
        return self._page("gone.html", status=404)

    def _try_again(self, button: str | None) -> HTMLResponse:
        answer = self._page("try_again.html", status=503, button=button)
        answer.headers["retry-after"] = str(COME_BACK)
        return answer

    def _page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        return page(self._parts.pages, template, brand=self._parts.brand, status=status, **values)


def _visit(request: Request, claims: LinkClaims, path: str, method: Method, wording: str) -> Visit:
    """The proof of what was shown, where and to whom."""
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    return Visit(
        page=path,
        method=method,
        message_id=claims.message_id,
        wording=wording,
        locale=LOCALE,
        ip=request.client.host if request.client else None,
        user_agent=agent or None,
    )
