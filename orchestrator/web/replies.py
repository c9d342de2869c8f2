"""What people answer to text messages: verify the raw bytes, store, act, answer."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orchestrator.domain.errors import MalformedPayload, TransientError, VerificationError
from orchestrator.ports import ReplySource
from orchestrator.web.bodies import Incomplete, TooLarge, read_body
from orchestrator.web.parts import WebParts
from orchestrator.web.webhooks import COME_BACK

_logger = logging.getLogger(__name__)

NOTHING_TO_SAY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML that sends nothing: the provider itself confirms a STOP and answers HELP."""


class ReplyWebhooks:
    """`POST /replies/{provider}`: 200 once it is stored and acted upon."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def receive(self, request: Request) -> Response:
        """One request, to its answer."""
        source = self._parts.reply_sources.get(request.path_params["provider"])
        if source is None:
            return _refusal(404, "unknown_provider", "no such provider is set up here")
        try:
            body = await read_body(request)
            reply = source.read(self._public_url(request), request.headers, body)
            await self._parts.replies.receive(reply)
        except TooLarge:
            return self._refused(source, 413, "too_large", "the body is over 1 MB")
        except Incomplete:
            return self._refused(source, 400, "unreadable", "the body is not complete")
        except VerificationError as error:
            return self._refused(source, 401, "not_authentic", str(error))
        except MalformedPayload as error:
            return self._refused(source, 400, "unreadable", str(error))
        except TransientError:
            return self._deferred(source)
        except Exception:
            # Whatever it was, the reply is not stored, and its sender may come back.
            _logger.exception("a reply by %s could not be stored", source.name)
            return self._deferred(source)
        return Response(NOTHING_TO_SAY, media_type="text/xml")

    def _public_url(self, request: Request) -> str:
        """The address by which we are known outside, whatever a proxy has made of the request."""
        query = request.scope["query_string"].decode("latin-1")
        address = self._parts.public_url + request.url.path
        return f"{address}?{query}" if query else address

    def _deferred(self, source: ReplySource) -> JSONResponse:
        answer = self._refused(source, 503, "deferred", "cannot be stored now; please come back")
        answer.headers["retry-after"] = str(COME_BACK)
        return answer

    def _refused(self, source: ReplySource, status: int, code: str, message: str) -> JSONResponse:
        self._parts.metrics.count("webhooks_refused", source=source.name, reason=code)
        _logger.info("reply refused", extra={"source": source.name, "code": code})
        return _refusal(status, code, message)


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status)
