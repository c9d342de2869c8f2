"""The outbox in the browser: messages that were written instead of being sent."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from orchestrator.web.pages.frame import Frame, Visit
from orchestrator.web.pages.outbox import MOST_LISTED, OpenedMessage, Outbox

# A mail's own styles and pictures, but no script, no form and no reach into our pages.
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src https: http: data:; frame-ancestors 'self'"
)


class OutboxPages:
    """`/outbox` and what is below it."""

    def __init__(self, frame: Frame, outbox: Outbox) -> None:
        self._frame = frame
        self._outbox = outbox

    async def listing(self, visit: Visit) -> Response:
        """The messages, the newest first."""
        messages = await run_in_threadpool(self._outbox.newest)
        return await self._frame.page(
            visit,
            "outbox.html",
            here="outbox",
            rows=[(message, visit.when(message.written_at)) for message in messages],
            more=len(messages) == MOST_LISTED,
        )

    async def message(self, visit: Visit) -> Response:
        """One of them: as it looks, as text, and its headers."""
        found = await self._opened(visit)
        if found is None:
            return await self._missing(visit)
        return await self._frame.page(
            visit,
            "outbox_message.html",
            here="outbox",
            frames=True,
            message=found.summary,
            written=visit.when(found.summary.written_at),
            headers=found.headers,
            has_html=found.html is not None,
            text=found.text,
        )

    async def mail(self, visit: Visit) -> Response:
        """The HTML part of one of them, for the frame within its page."""
        found = await self._opened(visit)
        if found is None or found.html is None:
            return await self._missing(visit)
        # Links of the mail open beside the page; within the frame they would be shut out.
        html = found.html.replace("<head>", '<head><base target="_blank">', 1)
        return HTMLResponse(html, headers={"content-security-policy": _MAIL_POLICY})

    async def _opened(self, visit: Visit) -> OpenedMessage | None:
        return await run_in_threadpool(self._outbox.opened, visit.request.path_params["message"])

    async def _missing(self, visit: Visit) -> Response:
        text = "There is no such message in the outbox. It may have been cleared away."
        return await self._frame.missing(visit, text, "outbox")
