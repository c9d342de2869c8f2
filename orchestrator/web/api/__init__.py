"""The admin API: JSON for the bearer of the admin token, described by OpenAPI."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import orchestrator
from orchestrator.domain.errors import NotFound, TransientError
from orchestrator.web.api.journeys import journey_routes
from orchestrator.web.api.models import ProblemOut
from orchestrator.web.api.people import people_routes
from orchestrator.web.parts import WebParts
from orchestrator.web.security import Access
from orchestrator.web.webhooks import COME_BACK

_PROBLEM = "application/problem+json"
_DESCRIPTION = "/openapi.json"
_BEARER = HTTPBearer(
    scheme_name="admin_token", description="`ORCHESTRATOR_ADMIN_TOKEN`", auto_error=False
)


def create_api(parts: WebParts) -> ASGIApp:
    """The API, to be mounted at `/api`; its description alone is open to everybody."""
    api = FastAPI(
        title="Retention orchestrator",
        version=orchestrator.__version__,
        summary="What is stored about people, their consent, their runs and their messages.",
        openapi_url=_DESCRIPTION,
        docs_url=None,  # would load scripts from elsewhere
        redoc_url=None,
        # Described here, for clients made from the description; asked for by `_BearerOnly`.
        dependencies=[Depends(_BEARER)],
        responses={
            status: {"model": ProblemOut, "content": {_PROBLEM: {}}} for status in (401, 404, 422)
        },
    )
    api.include_router(people_routes(parts))
    api.include_router(journey_routes(parts))
    api.add_exception_handler(HTTPException, _refused)
    api.add_exception_handler(RequestValidationError, _misread)
    api.add_exception_handler(NotFound, _missing)
    api.add_exception_handler(TransientError, _deferred)
    api.add_middleware(_BearerOnly, access=parts.access)
    return api


class _BearerOnly:
    """Lets nobody pass without the admin token, whether or not the path exists."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        request = Request(scope)
        own_path = scope["path"].removeprefix(scope.get("root_path", ""))
        if own_path == _DESCRIPTION or self._access.is_bearer(
            request.headers.get("authorization", "")
        ):
            await self._app(scope, receive, send)
            return
        answer = _problem(401, "Not authorised", self._advice())
        answer.headers["www-authenticate"] = "Bearer"
        await answer(scope, receive, send)

    def _advice(self) -> str:
        if self._access.has_admin_token:
            return "Send the header Authorization: Bearer with ORCHESTRATOR_ADMIN_TOKEN."
        return "Set ORCHESTRATOR_ADMIN_TOKEN first; without it the API is closed."


async def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, HTTPException):
        raise error
    answer = _problem(error.status_code, "Not possible", str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _misread(request: Request, error: Exception) -> JSONResponse:
    del request
    if not isinstance(error, RequestValidationError):
        raise error
    places = [
        f"{'.'.join(map(str, detail['loc'][1:]))}: {detail['msg']}" for detail in error.errors()
    ]
    return _problem(422, "Unreadable request", "; ".join(places))


async def _missing(request: Request, error: Exception) -> JSONResponse:
    del request
    return _problem(404, "Not found", str(error))


async def _deferred(request: Request, error: Exception) -> JSONResponse:
    del request, error
    answer = _problem(503, "Not now", "The database cannot be reached; please come back.")
    answer.headers["retry-after"] = str(COME_BACK)
    return answer


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    content = ProblemOut(title=title, status=status, detail=detail).model_dump()
    return JSONResponse(content, status, media_type=_PROBLEM)
