"""Pages for people: what customers reach from a mail, and what marketers work with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.responses import HTMLResponse

from orchestrator.domain.flows import Brand
from orchestrator.rendering.pages import STYLE, PageEnvironment

FOLDER: Final = Path(__file__).with_name("templates")
"""The templates a `PageEnvironment` is made from."""

LOCALE: Final = "en"
"""The language of the pages that marketers work with."""


def page(  # what a page is made from
    environment: PageEnvironment,
    template: str,
    *,
    brand: Brand | None,
    status: int = 200,
    locale: str = LOCALE,
    frames: bool = False,
    sheets: tuple[str, ...] = STYLE,
    **values: Any,
) -> HTMLResponse:
    """A page that loads nothing from anywhere, runs no script and cannot be framed.

    `frames` lets it show other pages of ours, `locale` is one that `PageEnvironment.language` gave.
    """
    accent = None if brand is None else brand.theme.get("accent")
    html, style = environment.render(
        template, locale=locale, accent=accent, values={"brand": brand, **values}, sheets=sheets
    )
    policy = (
        f"default-src 'none'; style-src {style}; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'" + ("; frame-src 'self'" if frames else "")
    )
    return HTMLResponse(html, status, {"content-security-policy": policy})
