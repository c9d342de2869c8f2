"""Links of a mail lead through `/c/`, so that a click is known; where to, the token says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from html import escape, unescape
from typing import Final

from orchestrator.rendering.email import RenderedEmail

LONGEST: Final = 1200
"""Characters of an address that is still led through us: its token has to fit into a URL."""

# It begins with letters, which a search skips to; with a look behind it every place is tried.
_HREF: Final = re.compile(r'(<a [^>]*?\bhref=")(https?://[^"]+)"')
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+")


def with_counted_links(
    mail: RenderedEmail, own: str, counted: Callable[[str], str], plain: Collection[str | None] = ()
) -> RenderedEmail:
    """The mail with `counted(url)` for every web link, the same in both parts.

    Addresses below `own` (unsubscribing, preferences, ...) stay, for nobody's way out is
    counted, and so do those of `plain`. In the plain part only the HTML's links are counted: any
    other address may be somebody's words, and we do not sign for those.
    """
    known: dict[str, str] = {}

    def link(found: re.Match[str]) -> str:
        url = unescape(found[2])
        if url not in known:
            stays = url.startswith(own) or url in plain or len(url) > LONGEST
            known[url] = url if stays else counted(url)
        return f'{found[1]}{escape(known[url])}"'

    def mention(found: re.Match[str]) -> str:
        return known.get(found[0], found[0])

    html = _HREF.sub(link, mail.html)
    return replace(mail, html=html, text=_IN_TEXT.sub(mention, mail.text))
