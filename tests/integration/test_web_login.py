from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from orchestrator.web.middleware import allowed_hosts, host_name
from orchestrator.web.pages.login import MOST_FAILURES
from orchestrator.web.security import Access
from tests.integration.web_world import NOW, SECRET_KEYS, TOKEN, World

pytestmark = pytest.mark.anyio

INSIDE = ["/", "/outbox", "/outbox/018f3c5e", "/outbox/018f3c5e/html"]


def link_of(web: World) -> str:
    return "/login/" + web.parts.access.login_token(web.clock.now())


async def log_in(web: World, client: httpx.AsyncClient) -> None:
    answer = await client.post(link_of(web))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def form_token(html: str) -> str:
    (token,) = re.findall(r'name="form_token" value="([^"]+)"', html)
    return str(token)


@pytest.mark.parametrize("path", INSIDE)
async def test_nobody_is_inside_without_logging_in(web: World, path: str) -> None:
    async with web.client() as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_preview_of_the_link_does_not_use_it_up(web: World, method: str) -> None:
    async with web.client() as client:
        path = link_of(web)
        for _ in range(3):
            answer = await client.request(method, path)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
        assert (await client.post(path)).status_code == 303


async def test_a_login_link_works_once(web: World) -> None:
    path = link_of(web)
    async with web.client() as one, web.client() as other:
        assert (await one.post(path)).status_code == 303
        answer = await other.post(path)
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
        assert (await one.get("/")).status_code == 200


async def test_a_login_link_is_over_after_15_minutes(web: World) -> None:
    path = link_of(web)
    async with web.client() as client:
        web.clock.step(timedelta(minutes=14, seconds=59))
        assert (await client.get(path)).status_code == 200
        web.clock.step(timedelta(seconds=1))
        assert (await client.get(path)).status_code == 404
        assert (await client.post(path)).status_code == 404


async def test_a_forged_login_link_is_refused(web: World) -> None:
    real = web.parts.access.login_token(NOW)
    session = web.parts.access.session(NOW)
    later = re.sub(r"^\d+", lambda found: str(int(found[0]) + 9), real)
    foreign = Access(["another-secret-key"], None).login_token(NOW)
    async with web.client() as client:
        for token in [
            "x",
            "%2e%2e",
            "1.2.3",
            real[:-1],
            real + "A",
            later,
            session,
            foreign,
            "é.é.é",
        ]:
            assert (await client.post(f"/login/{token}")).status_code == 404


async def test_a_login_link_of_an_older_key_is_believed(web: World) -> None:
    async with web.client() as client:
        token = Access(SECRET_KEYS[1:], None).login_token(NOW)
        assert (await client.post(f"/login/{token}")).status_code == 303


async def test_the_cookie_is_for_the_browser_alone(web: World) -> None:
    async with web.client() as client:
        cookie = (await client.post(link_of(web))).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "; secure" not in cookie


async def test_under_https_the_cookie_is_secure(web: World) -> None:
    secure = web.changed(public_url="https://testing.example")
    async with secure.client("https://testing.example") as client:
        cookie = (await client.post(link_of(web))).headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "; Secure" in cookie
        assert (await client.get("/")).status_code == 200


async def test_a_session_ends_after_12_hours(web: World) -> None:
    async with web.client() as client:
        await log_in(web, client)
        web.clock.step(timedelta(hours=11, minutes=59))
        assert (await client.get("/")).status_code == 200
        web.clock.step(timedelta(minutes=1))
        assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "9999999999.a.b", "9999999999..", "é"])
async def test_a_forged_cookie_is_no_session(web: World, cookie: str) -> None:
    async with web.client() as client:
        headers = {b"cookie": f"session={cookie}".encode()}
        assert (await client.get("/", headers=headers)).status_code == 303


async def test_the_admin_token_logs_in(web: World) -> None:
    async with web.client() as client:
        assert "Admin token" in (await client.get("/login")).text
        answer = await client.post("/login", data={"token": f" {TOKEN} "})
        assert answer.status_code == 303
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/login")).headers["location"] == "/"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü"])
async def test_another_token_does_not(web: World, token: str) -> None:
    async with web.client() as client:
        answer = await client.post("/login", data={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_guessing_is_slowed_down(web: World) -> None:
    async with web.client() as client:
        for _ in range(MOST_FAILURES):
            assert (await client.post("/login", data={"token": "x"})).status_code == 401
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 429
        web.clock.step(timedelta(minutes=1))
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 303


async def test_without_an_admin_token_only_a_link_logs_in(web: World) -> None:
    closed = web.changed(access=Access(SECRET_KEYS, None))
    async with closed.client() as client:
        assert "<input" not in (await client.get("/login")).text
        assert (await client.post("/login", data={"token": ""})).status_code == 401
        assert (
            await client.get("/api/flows", headers={"authorization": "Bearer "})
        ).status_code == 401
        assert (await client.post(link_of(closed))).status_code == 303


async def test_another_site_cannot_log_anybody_in_or_out(web: World) -> None:
    foreign = {"sec-fetch-site": "cross-site"}
    async with web.client() as client:
        assert (
            await client.post("/login", data={"token": TOKEN}, headers=foreign)
        ).status_code == 403
        await log_in(web, client)
        token = form_token((await client.get("/")).text)
        for data, headers in [
            ({}, {}),
            ({"form_token": "x"}, {}),
            ({"form_token": web.parts.access.form_token("another session")}, {}),
            ({"form_token": token}, foreign),
        ]:
            assert (await client.post("/logout", data=data, headers=headers)).status_code == 403
        assert (await client.get("/")).status_code == 200


async def test_logging_out_ends_the_session_of_the_browser(web: World) -> None:
    async with web.client() as client:
        await log_in(web, client)
        token = form_token((await client.get("/")).text)
        answer = await client.post("/logout", data={"form_token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert (await client.get("/")).status_code == 303
        assert (await client.post("/logout")).status_code == 303
        assert (await client.get("/logout")).status_code == 405


@pytest.mark.parametrize(
    "host",
    [
        "testing.example",
        "TESTING.example.",
        "testing.example:8443",
        "localhost",
        "localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "[0:0:0:0:0:0:0:1]",
    ],
)
async def test_our_own_names_are_served(web: World, host: str) -> None:
    async with web.client() as client:
        assert (await client.get("/login", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "testing.example.evil.example", "127.0.0.1.evil.example", "[::2]"]
)
async def test_any_other_name_is_refused(web: World, host: str) -> None:
    async with web.client() as client:
        for path in ("/", "/login", "/api/flows", "/metrics", "/u/x"):
            assert (await client.get(path, headers={"host": host})).status_code == 400


async def test_probes_come_under_any_name(web: World) -> None:
    async with web.client("http://10.1.2.3:8000") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200


def test_the_bound_address_is_one_of_our_names() -> None:
    names = allowed_hosts("https://m.example:8443/x", "192.0.2.7")
    assert names == {"m.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"}
    assert host_name("M.example.:80") == "m.example"
