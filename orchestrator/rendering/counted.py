"""Links of a mail lead through `/c/`, so that a click is known; where to, the token says."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from html import escape, unescape
from typing import Final

from orchestrator.rendering.email import RenderedEmail

LONGEST: Final = 1200
"""Characters of an address that is still led through us: its token has to fit into a URL."""

# It begins with letters, which a search skips to; with a look behind it every place is tried.
_HREF: Final = re.compile(r'(<a [^>h]*+(?:h(?!ref=")[^>h]*+)*+\bhref=")(https?://[^"]++)(?=")')
_SPLIT: Final = 3
"""What `_HREF.split` yields for each link: the text before it, its tag and its address."""
_IN_TEXT: Final = re.compile(r"(https?://[^\s<>\"]+)")


def with_counted_links(
    mail: RenderedEmail, own: str, counted: Callable[[str], str], plain: Collection[str | None] = ()
) -> RenderedEmail:
    """The mail with `own` and the path `counted(url)` for every web link, the same in both parts.

    Addresses below `own` (unsubscribing, preferences, ...) stay, for nobody's way out is
    counted, and so do those of `plain`. In the plain part only the HTML's links are counted: any
    other address may be somebody's words, and we do not sign for those.
    """
    pieces = _HREF.split(mail.html)
    addresses = pieces[2::_SPLIT]
    written_own = escape(own)
    known: dict[str, str] = {}
    written: dict[str, str] = {}
    for address in dict.fromkeys(addresses):
        url = unescape(address)
        if url.startswith(own) or url in plain or len(url) > LONGEST:
            written[address] = address
        else:
            path = counted(url)
            known[url] = own + path
            written[address] = written_own + path
    pieces[2::_SPLIT] = map(written.__getitem__, addresses)
    words = _IN_TEXT.split(mail.text)
    words[1::2] = [known.get(url, url) for url in words[1::2]]
    html, text = "".join(pieces), "".join(words)
    return RenderedEmail(mail.subject, mail.preheader, html, text, mail.locale)
