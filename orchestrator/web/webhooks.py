"""Events coming in: verify the raw bytes, store, answer; the work is done later."""

from __future__ import annotations

import logging
from math import ceil
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from orchestrator.domain.errors import (
    MalformedPayload,
    NotFound,
    RateLimited,
    TransientError,
    VerificationError,
)
from orchestrator.domain.events import IncomingEvent
from orchestrator.ports import Source
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.parts import WebParts

COME_BACK: Final = 5
"""Seconds after which a sender may try again when storing failed."""

_logger = logging.getLogger(__name__)


class Webhooks:
    """`POST /webhooks/{source}`: 200 only after the commit.

    Senders keep events we have not answered 200, so nothing is lost by refusing. 410 is never
    given: Standard Webhooks senders would switch the endpoint off.
    """

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def receive(self, request: Request) -> JSONResponse:
        """One request, to its answer."""
        source = self._parts.sources.get(request.path_params["source"])
        if source is None:
            return _refusal(404, "unknown_source", "no such source is set up here")
        try:
            body = await read_body(request)
        except TooLarge:
            return self._refused(source, 413, "too_large", "the body is over 1 MB")
        except Incomplete:
            return self._refused(source, 400, "unreadable", "the body is not complete")
        try:
            event = source.read(request.headers, body, self._parts.clock.now())
        except VerificationError as error:
            return self._refused(source, 401, "not_authentic", str(error))
        except MalformedPayload as error:
            return self._refused(source, 400, "unreadable", str(error))
        if event is None:
            return JSONResponse({"status": "nothing_to_store"})
        return await self._stored(source, event)

    async def _stored(self, source: Source, event: IncomingEvent) -> JSONResponse:
        try:
            new = await self._parts.submit(event)
        except (TransientError, NotFound) as error:
            return self._deferred(source, error)
        except Exception as error:
            # Whatever it was, the event is not stored, and its sender has it still.
            _logger.exception("an event of %s could not be stored", source.name)
            return self._deferred(source, error)
        return JSONResponse({"status": "stored" if new else "duplicate"})

    def _deferred(self, source: Source, error: Exception) -> JSONResponse:
        seconds = COME_BACK
        if isinstance(error, RateLimited):
            seconds = max(1, ceil(error.retry_after.total_seconds()))
        answer = self._refused(source, 503, "deferred", "cannot be stored now; please come back")
        answer.headers["retry-after"] = str(seconds)
        return answer

    def _refused(self, source: Source, status: int, code: str, message: str) -> JSONResponse:
        self._parts.metrics.count("webhooks_refused", source=source.name, reason=code)
        _logger.info("webhook refused", extra={"source": source.name, "code": code})
        return _refusal(status, code, message)


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)
