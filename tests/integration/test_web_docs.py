from __future__ import annotations

import re

import pytest
from starlette.routing import Route

from tests.integration.web_world import ROOT, World

pytestmark = pytest.mark.anyio

HTTP = (ROOT / "docs" / "http.md").read_text()


def _documented(path: str) -> bool:
    plain = re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", path)
    return re.search(rf"[`/ ]{re.escape(plain)}[`?]", HTTP) is not None


async def test_every_page_is_documented(web: World) -> None:
    paths = [route.path for route in web.app.routes if isinstance(route, Route)]
    assert len(paths) > 10
    assert [path for path in paths if not _documented(path)] == []


async def test_every_path_of_the_api_is_documented_with_its_questions(web: World) -> None:
    async with web.client() as client:
        described = (await client.get("/api/openapi.json")).json()
    missing = [f"/api{path}" for path in described["paths"] if not _documented(f"/api{path}")]
    questions = [
        parameter["name"]
        for operations in described["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if f"{parameter['name']}=" not in HTTP and f"{{{parameter['name']}}}" not in HTTP
    ]
    assert (missing, questions) == ([], [])
