"""For whoever keeps the process running: liveness, readiness, figures."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orchestrator.domain.errors import TransientError
from orchestrator.observability import CONTENT_TYPE
from orchestrator.ports import DueCounts
from orchestrator.web.parts import WebParts

_logger = logging.getLogger(__name__)


class Operations:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    async def alive(self, request: Request) -> JSONResponse:
        """200 while the event loop runs."""
        del request
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> JSONResponse:
        """200 once flows and database are loaded, else 503 with the reasons."""
        del request
        reasons = list(self._parts.ready())
        if reasons:
            return JSONResponse(
                {"status": "not_ready", "reasons": reasons}, 503, {"retry-after": "1"}
            )
        return JSONResponse({"status": "ready"})

    async def figures(self, request: Request) -> Response:
        """Prometheus' text format, for the bearer of the admin token."""
        if not self._parts.access.is_bearer(request.headers.get("authorization", "")):
            return Response(status_code=401, headers={"www-authenticate": "Bearer"})
        now = self._parts.clock.now()
        content = self._parts.metrics.exposition(await self._due(), now)
        return Response(content, headers={"content-type": CONTENT_TYPE})

    async def _due(self) -> DueCounts | None:
        """The waiting work; a database out of reach must not hide the other figures."""
        now = self._parts.clock.now()
        try:
            return await self._parts.database.query(lambda uow: uow.due_counts(now))
        except TransientError:
            _logger.warning("the waiting work could not be counted", exc_info=True)
            return None
