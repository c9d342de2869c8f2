"""Pages customers reach from a message. GET and HEAD change nothing: link scanners ask, too."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orchestrator.domain.consent import Method, Standing
from orchestrator.domain.errors import TransientError
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.rendering.pages import Language
from orchestrator.services.consent import Visit
from orchestrator.services.preferences import Choices
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.choosing import (
    at_head,
    boxes,
    by,
    chosen,
    form_of,
    question,
    titles,
    wishes,
    wording_of,
)
from orchestrator.web.languages import language_of, language_of_browser
from orchestrator.web.pages import page
from orchestrator.web.parts import WebParts
from orchestrator.web.webhooks import COME_BACK

_logger = logging.getLogger(__name__)

_LONGEST_AGENT: Final = 512


class PublicPages:
    """Unsubscribing, confirming a sign-up, and choosing what to get.

    The token of the link is the authority: no cookie, no login, no script. Every page is in the
    language of its person, as the message was that led here.
    """

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def ask_unsubscribe(self, request: Request) -> Response:
        """A page with one button; the way out of a link is always open, so links never end."""
        claims = self._claims(request, LinkPurpose.UNSUBSCRIBE)
        if claims is None:
            return self._unknown_link(request)
        _ = await language_of(self._parts, claims)
        return self._page("unsubscribe.html", _, **self._words(claims, _))

    async def unsubscribe(self, request: Request) -> Response:
        """One-click (RFC 8058 section 3.1) and the button of our own page alike.

        The token says everything, so the body may be of any kind, or missing; no cookie is
        asked for and no redirect given. Repeating it is answered the same way.
        """
        claims = self._claims(request, LinkPurpose.UNSUBSCRIBE)
        if claims is None:
            return self._unknown_link(request)
        try:
            await read_body(request)
        except (TooLarge, Incomplete):
            _logger.info("an opt-out came with a body that could not be read")
        try:
            changed = await self._parts.unsubscribe(claims)
        except TransientError:
            _logger.warning("an opt-out could not be stored", exc_info=True)
            _ = language_of_browser(self._parts, request)
            return self._try_again(_, _("Unsubscribe"))
        self._parts.metrics.count("unsubscribes", outcome="changed" if changed else "already")
        more, _ = self._preferences_link(claims), await language_of(self._parts, claims)
        return self._page("unsubscribed.html", _, preferences=more, **self._words(claims, _))

    async def ask_confirmation(self, request: Request) -> Response:
        """What was asked for, and one button: a scanner that opens the link confirms nothing."""
        claims = self._claims(request, LinkPurpose.CONFIRM)
        if claims is None:
            return self._unknown_link(request, LinkPurpose.CONFIRM)
        choices = await self._parts.preferences.choices(claims)
        _ = await language_of(self._parts, claims)
        if choices is None:
            return self._gone(_)
        if claims.channel is None or not choices.asked[claims.channel]:
            return self._confirmed(claims, choices, _, changed=False)
        return self._page(
            "confirm.html",
            _,
            asked=titles(choices.asked[claims.channel], self._parts.live_book(), _),
            address=choices.addresses.get(claims.channel),
            button=_agreement(_),
            **self._words(claims, _),
        )

    async def confirm(self, request: Request) -> Response:
        """Double opt-in, once per link; pressed again, the page says how things stand."""
        claims = self._claims(request, LinkPurpose.CONFIRM)
        if claims is None:
            return self._unknown_link(request, LinkPurpose.CONFIRM)
        _ = await language_of(self._parts, claims)
        try:
            before = await self._parts.preferences.choices(claims)
            asked = before.asked[claims.channel] if before and claims.channel else ()
            named = "; ".join(titles(asked, self._parts.live_book(), _))
            wording = f"{at_head(claims.channel, _)}: {named}. {_agreement(_)}"
            visit = _visit(request, claims, Method.CONFIRM_LINK, wording, _)
            token = request.path_params["token"]
            decision = await self._parts.preferences.confirm(claims, token, visit)
        except TransientError:
            _logger.warning("a confirmation could not be stored", exc_info=True)
            return self._try_again(_, _agreement(_))
        if decision is None:
            return self._gone(_)
        return self._confirmed(claims, decision.choices, _, changed=bool(decision.changed))

    async def ask_preferences(self, request: Request) -> Response:
        """Every topic by channel, as it stands."""
        claims = self._claims(request, LinkPurpose.PREFERENCES)
        if claims is None:
            return self._unknown_link(request)
        _ = await language_of(self._parts, claims)
        return self._form(await self._parts.preferences.choices(claims), question(_), _)

    async def save_preferences(self, request: Request) -> Response:
        """Save what was sent, and show what came of it in the form it came from.

        A box that the form did not show is left as it is, and so is everything if the form
        cannot be read.
        """
        claims = self._claims(request, LinkPurpose.PREFERENCES)
        if claims is None:
            return self._unknown_link(request)
        _ = await language_of(self._parts, claims)
        form = await form_of(request)
        preferences, book = self._parts.preferences, self._parts.live_book()
        try:
            if form is None:
                choices = await preferences.choices(claims)
                said = [_("What you sent could not be read. Nothing has changed.")]
                return self._form(choices, question(_), _, said, status=400)
            visit = _visit(request, claims, Method.PREFERENCE_PAGE, wording_of(form, book, _), _)
            decision = await (
                preferences.stop(claims, visit)
                if "stop" in form
                else preferences.choose(claims, wishes(form), visit)
            )
        except TransientError:
            _logger.warning("preferences could not be stored", exc_info=True)
            return self._try_again(_, None)
        if decision is None:
            return self._gone(_)
        heading, said = chosen(decision, book, _, stop="stop" in form)
        return self._form(decision.choices, heading, _, said)

    def _form(
        self,
        choices: Choices | None,
        heading: str,
        _: Language,
        said: list[str] | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        if choices is None:
            return self._gone(_)
        return self._page(
            "preferences.html",
            _,
            status=status,
            heading=heading,
            said=said or [],
            groups=boxes(choices, self._parts.live_book(), _),
            stopped=choices.stopped,
        )

    def _confirmed(
        self, claims: LinkClaims, choices: Choices, _: Language, *, changed: bool
    ) -> HTMLResponse:
        book = self._parts.live_book()
        granted = [
            topic
            for (channel, topic), standing in choices.standings.items()
            if channel is claims.channel and standing is Standing.ALLOWED
        ]
        return self._page(
            "confirmed.html",
            _,
            changed=changed,
            granted=titles(granted, book, _),
            address=choices.addresses.get(claims.channel) if claims.channel else None,
            preferences=self._preferences_link(claims),
            **self._words(claims, _),
        )

    def _claims(self, request: Request, purpose: LinkPurpose) -> LinkClaims | None:
        return self._parts.links.verify(purpose, request.path_params["token"])

    def _preferences_link(self, claims: LinkClaims) -> str:
        """Relative: whoever sees our page is on our host."""
        return "/preferences/" + self._parts.links.sign(LinkPurpose.PREFERENCES, claims)

    def _words(self, claims: LinkClaims, _: Language) -> dict[str, Any]:
        """What the link is about: the topic by its title, if there still is one."""
        book = self._parts.live_book()
        topic = book.topics.get(claims.topic or "") if book else None
        return {
            "topic": topic.title.in_locale(_.locale) if topic else None,
            "by": by(claims.channel, _),
        }

    def _unknown_link(self, request: Request, purpose: LinkPurpose | None = None) -> HTMLResponse:
        """Forged or damaged; a link that we made and whose time is over is told so."""
        _ = language_of_browser(self._parts, request)
        if purpose and self._parts.issued.verify(purpose, request.path_params["token"]):
            return self._page("expired_link.html", _)
        return self._page("unknown_link.html", _, status=404)

    def _gone(self, _: Language) -> HTMLResponse:
        return self._page("gone.html", _, status=404)

    def _try_again(self, _: Language, button: str | None) -> HTMLResponse:
        answer = self._page("try_again.html", _, status=503, button=button)
        answer.headers["retry-after"] = str(COME_BACK)
        return answer

    def _page(
        self, template: str, _: Language, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        parts = self._parts
        return page(
            parts.pages, template, brand=parts.brand, status=status, locale=_.locale, **values
        )


def _agreement(_: Language) -> str:
    """What the button says whose press is the proof."""
    return _("Yes, send me these")


def _visit(
    request: Request, claims: LinkClaims, method: Method, wording: str, language: Language
) -> Visit:
    """The proof of what was shown, where and to whom."""
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    return Visit(
        page="/confirm" if method is Method.CONFIRM_LINK else "/preferences",
        method=method,
        message_id=claims.message_id,
        wording=wording,
        locale=language.locale,
        ip=request.client.host if request.client else None,
        user_agent=agent or None,
    )
