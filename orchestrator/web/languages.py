"""In which language a page speaks to whom."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from starlette.requests import Request

from orchestrator.domain.errors import TransientError
from orchestrator.ports import LinkClaims
from orchestrator.rendering.pages import Language
from orchestrator.web.parts import WebParts

_logger = logging.getLogger(__name__)


async def language_of(parts: WebParts, claims: LinkClaims) -> Language:
    """The language of the person a link was made for, else the shop's, else English.

    No page waits for it: where the person cannot be looked up, it is the shop's.
    """
    try:
        own = await parts.preferences.locale(claims)
    except TransientError:
        _logger.info("a page is shown in the shop's language: its person cannot be looked up")
        own = None
    return parts.pages.language(own, _of_shop(parts))


def language_of_browser(parts: WebParts, request: Request) -> Language:
    """Where nobody knows who asks: what the browser prefers (RFC 9110 section 12.5.4)."""
    return parts.pages.language(
        *_accepted(request.headers.get("accept-language", "")), _of_shop(parts)
    )


def _of_shop(parts: WebParts) -> str | None:
    return parts.brand.locale if parts.brand else None


def _accepted(header: str) -> Iterator[str]:
    """Tags of an Accept-Language field, in the order it gives: browsers write the best first."""
    for one in header[:200].split(","):
        tag = one.partition(";")[0].strip()
        if tag.replace("-", "").isalnum() and tag.isascii():
            yield tag
