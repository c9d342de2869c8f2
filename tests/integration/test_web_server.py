"""The application behind the real server, on loopback."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
import uvicorn

from orchestrator.daemon.web import listen
from orchestrator.observability import configure_logging
from orchestrator.ports import LinkPurpose
from orchestrator.settings import Settings
from tests.integration.test_web_public import CLAIMS
from tests.integration.web_world import SIGNING, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(secrets=[SIGNING], level="DEBUG", stream=stream)
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@asynccontextmanager
async def served(web: World) -> AsyncIterator[str]:
    """The application on a free port; the address of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(web.app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def test_a_webhook_an_opt_out_and_a_probe_over_a_socket(web: World) -> None:
    body = json.dumps({"type": "a.b", "data": {}})
    token = web.parts.links.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    async with served(web) as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        answer = await client.post("/webhooks/standard", content=body, headers=web.signed(body))
        assert answer.json() == {"status": "stored"}
        answer = await client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    assert len(web.outside.events) == 1
    assert web.outside.claims == [CLAIMS]


async def test_a_sender_of_10_mb_gets_to_hear_that_it_is_too_much(web: World) -> None:
    async with served(web) as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        answer = await client.post("/webhooks/standard", content=b"x" * 10_000_000)
        assert answer.status_code == 413
        assert (await client.get("/healthz")).status_code == 200


async def test_a_sender_that_goes_away_harms_nobody(web: World) -> None:
    async with served(web) as base:
        host, port = base.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /webhooks/standard HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nhalf"
        )
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200
    assert web.outside.events == []


async def test_the_log_of_requests_shows_no_token_and_no_address(
    web: World, log: io.StringIO
) -> None:
    token = web.parts.links.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    login = web.parts.access.login_token(web.clock.now())
    async with served(web) as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        await client.get(f"/u/{token}", params={"email": "ada@example.com"})
        await client.post(f"/u/{token}")
        await client.get(f"/login/{login}")
        await client.post(f"/login/{login}")
        await client.get("/ada@example.com")
    text = log.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    paths = [line["path"] for line in lines if line["event"] == "request"]
    assert paths == ["/u/[redacted]"] * 2 + ["/login/[redacted]"] * 2 + ["[email]"]
    assert token not in text
    assert login not in text
    assert "ada@" not in text


async def test_a_mistake_of_ours_is_500_and_in_the_log(web: World, log: io.StringIO) -> None:
    web.outside.failure = RuntimeError("no way to reach ada@example.com")
    token = web.parts.links.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    async with served(web) as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        answer = await client.post(f"/u/{token}", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert "Our mistake" in answer.text
    assert "RuntimeError" not in answer.text
    assert "RuntimeError: no way to reach [email]" in log.getvalue()
    assert token not in log.getvalue()


async def test_an_answer_is_not_held_back_until_its_head_is_acknowledged() -> None:
    """Nagle's algorithm (RFC 1122 section 4.2.3.4) would cost 40 ms between head and body."""
    bind = {"bind": "127.0.0.1:0", "secret_key": SIGNING, "suppression_key": SIGNING}
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours = writer.get_extra_info("socket")
        accepted.set_result(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = listen(Settings.model_validate(bind))
    async with await asyncio.start_server(note, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await accepted
        writer.close()
