from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.errors import NotFound, RateLimited, TransientError
from orchestrator.web.bodies import LARGEST_BODY
from tests.integration.web_world import World

PATH = "/webhooks/standard"
EVENT = {"type": "checkout.started", "timestamp": "2026-11-20T11:59:00Z", "data": {"total": 5}}

pytestmark = pytest.mark.anyio


async def test_an_authentic_event_is_stored_and_answered_200(web: World) -> None:
    body = json.dumps(EVENT)
    async with web.client() as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert [event.type for event in web.outside.events] == ["checkout.started"]


async def test_a_repeated_event_is_a_success(web: World) -> None:
    body = json.dumps(EVENT)
    async with web.client() as client:
        for wanted in ("stored", "duplicate", "duplicate"):
            answer = await client.post(PATH, content=body, headers=web.signed(body))
            assert (answer.status_code, answer.json()) == (200, {"status": wanted})
    assert len(web.outside.events) == 1


@pytest.mark.parametrize("data", [{}, None, {"contact": {"email": "?"}}, ["odd"]])
async def test_a_readable_event_of_any_kind_is_stored(web: World, data: Any) -> None:
    body = json.dumps({"type": "never.heard.of", "data": data})
    async with web.client() as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert answer.status_code == 200
    assert len(web.outside.events) == 1


GOOD = json.dumps(EVENT).encode()

ABUSE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "no headers": (GOOD, {"webhook-id": "", "webhook-signature": ""}, 401),
    "no id": (GOOD, {"webhook-id": ""}, 401),
    "no signature": (GOOD, {"webhook-signature": ""}, 401),
    "another signature": (GOOD, {"webhook-signature": "v1,AAAA"}, 401),
    "no comma": (GOOD, {"webhook-signature": "v1"}, 401),
    "a fraction of a second": (GOOD, {"webhook-timestamp": "1795521600.5"}, 401),
    "a stale time": (GOOD, {"webhook-timestamp": "1"}, 401),
    "a time to come": (GOOD, {"webhook-timestamp": "99999999999"}, 401),
    "an altered body": (GOOD + b" ", {}, 401),
    "not UTF-8": (b"\xff\xfe\x00", {}, 401),
    "10 MB": (b"x" * 10_000_000, {}, 413),
}


@pytest.mark.parametrize("name", ABUSE)
async def test_what_is_not_authentic_is_refused(web: World, name: str) -> None:
    body, change, status = ABUSE[name]
    async with web.client() as client:
        headers = web.signed(GOOD.decode()) | change
        answer = await client.post(PATH, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["code"] in {"not_authentic", "too_large"}
    assert web.outside.events == []


UNREADABLE = {
    "empty": "",
    "no JSON": "{",
    "an array": "[1, 2]",
    "a number": "7",
    "no type": "{}",
    "NaN": '{"type": "a.b", "data": {"total": NaN}}',
    "deep nesting": '{"type": "a.b", "data": {"x": ' + "[" * 5_000 + "]" * 5_000 + "}}",
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_authentic_body_that_cannot_be_read_is_400(web: World, name: str) -> None:
    body = UNREADABLE[name]
    async with web.client() as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable")
    assert web.outside.events == []


ODD = {
    "NUL": '{"type": "a.b", "data": {"text": "\\u0000\\ud800"}}',
    "huge numbers": '{"type": "a.b", "data": {"total": 1e999999, "n": ' + "9" * 9_000 + "}}",
    "a thousand items": json.dumps({"type": "a.b", "data": {"items": [{}] * 1000}}),
    "a long text": json.dumps({"type": "a.b", "data": {"text": "x" * 500_000}}),
    "odd fields": json.dumps({"type": "a.b", "data": {"contact": [], "items": {}, "total": {}}}),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_authentic_odd_body_is_stored(web: World, name: str) -> None:
    body = ODD[name]
    async with web.client() as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert answer.status_code == 200


async def test_a_body_of_1_mb_is_read_and_one_byte_more_is_not(web: World) -> None:
    body = json.dumps(EVENT)
    body += " " * (LARGEST_BODY - len(body))
    async with web.client() as client:
        assert (await client.post(PATH, content=body, headers=web.signed(body))).status_code == 200
        body += " "
        assert (await client.post(PATH, content=body, headers=web.signed(body))).status_code == 413


async def test_a_body_without_a_length_is_capped_too(web: World) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with web.client() as client:
        answer = await client.post(PATH, content=pieces(), headers=web.signed("x"))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("failure", "seconds"),
    [
        (TransientError("the disk is full"), "5"),
        (NotFound("nothing is published"), "5"),
        (RateLimited("busy", timedelta(seconds=29.2)), "30"),
        (RuntimeError("a mistake of ours"), "5"),
    ],
    ids=["transient", "unpublished", "rate", "unforeseen"],
)
async def test_when_storing_fails_the_sender_is_asked_to_come_back(
    web: World, failure: Exception, seconds: str
) -> None:
    web.outside.failure = failure
    body = json.dumps(EVENT)
    async with web.client() as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, seconds)
        web.outside.failure = None
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert answer.json() == {"status": "stored"}


async def test_an_unknown_source_is_404_and_another_method_405(web: World) -> None:
    async with web.client() as client:
        assert (await client.post("/webhooks/other", content=b"")).status_code == 404
        assert (await client.post("/webhooks/", content=b"")).status_code == 404
        answer = await client.get(PATH)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


async def test_a_request_under_another_name_is_refused(web: World) -> None:
    body = json.dumps(EVENT)
    async with web.client("http://evil.example") as client:
        answer = await client.post(PATH, content=body, headers=web.signed(body))
    assert answer.status_code == 400
    assert web.outside.events == []


async def test_refusals_are_counted_by_reason(web: World) -> None:
    async with web.client() as client:
        await client.post(PATH, content=b"{}", headers={})
        await client.post("/webhooks/whatever", content=b"")
        await client.get("/a-path-of-a-strangers-own")
    figures = web.figures()
    assert 'webhooks_refused_total{reason="not_authentic",source="standard"} 1.0' in figures
    assert 'http_requests_total{route="webhooks",status="401"} 1.0' in figures
    assert 'http_requests_total{route="other",status="404"} 1.0' in figures
    assert "strangers" not in figures
