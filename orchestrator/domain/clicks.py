"""Who followed a link: a person, or a machine that opens links before people do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.identifiers import ClickId, ContactId, MessageId

TOO_SOON: Final = timedelta(seconds=2)
"""No person reads a message and follows a link so soon after it was sent."""
TOGETHER: Final = timedelta(seconds=1)
"""Different links of one message followed within this time: that opens all there are."""
SETTLED: Final = timedelta(seconds=3)
"""After this nothing can come that changes what a click was."""

# Cubot makes telephones.
_SCANNERS: Final = re.compile(
    r"(?<!\bcu)bot\b|crawl|spider|scan|preview|prefetch|monitor|headless|curl|wget|python|java/|go-http|"
    r"okhttp|libwww|httpclient|proofpoint|mimecast|barracuda|safelinks|urldefense|googleimageproxy",
    re.IGNORECASE,
)


_AHEAD: Final = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Click:
    """That a link of a message was followed; `scanner` where the request itself said so."""

    id: ClickId
    message_id: MessageId
    contact_id: ContactId
    url: str
    clicked_at: datetime
    scanner: bool


def says_scanner(agent: str | None, purpose: str | None) -> bool:
    """Whether a request admits to be no person's: by `User-Agent`, or by a purpose.

    `purpose` is `Sec-Purpose`, or what browsers called it before: `prefetch`, `preview`.
    """
    ahead = bool(_AHEAD.search(purpose or ""))
    return not agent or bool(_SCANNERS.search(agent)) or ahead


def by_machine(click: Click, sent_at: datetime | None, others: Iterable[Click]) -> bool:
    """Whether a click is a machine's; `others` are those of the same message, itself included."""
    hasty = sent_at is not None and click.clicked_at - sent_at < TOO_SOON
    return (
        click.scanner
        or hasty
        or any(
            other.url != click.url and abs(other.clicked_at - click.clicked_at) < TOGETHER
            for other in others
        )
    )
