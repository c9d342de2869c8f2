"""Links of a mail lead through `/c/`, so that a click is known; where to, the token says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape, unescape
from typing import Final

from orchestrator.rendering.email import RenderedEmail

LONGEST: Final = 1200
"""Characters of an address that is still led through us: its token has to fit into a URL."""

# It begins with letters, which a search skips to; with a look behind it every place is tried.
_HREF: Final = re.compile(r'(<a [^>]*?\bhref=")(https?://[^"]+)"')
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")


def with_counted_links(
    mail: RenderedEmail, own: str, counted: Callable[[str], str]
) -> RenderedEmail:
    """The mail with `counted(url)` for every web address, the same in both parts.

    Addresses below `own` (unsubscribing, preferences, ...) stay: nobody's way out is counted.
    """

    @cache
    def through(url: str) -> str:
        return url if url.startswith(own) or len(url) > LONGEST else counted(url)

    @cache
    def through_in_markup(url: str) -> str:
        return escape(through(unescape(url)))

    def link(found: re.Match[str]) -> str:
        return f'{found[1]}{through_in_markup(found[2])}"'

    def mention(found: re.Match[str]) -> str:
        return through(found[0])

    return replace(mail, html=_HREF.sub(link, mail.html), text=_IN_TEXT.sub(mention, mail.text))
