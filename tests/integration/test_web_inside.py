from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.web.pages.outbox import MOST_LISTED
from tests.integration.test_web_login import log_in
from tests.integration.web_world import FixedLibrary, World

pytestmark = pytest.mark.anyio

MAIL = """\
From: Northwind <news@m.northwind.example>
To: ada@example.com
Subject: Your basket is still here
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

Hello <b>Ada</b>
--b
Content-Type: text/html; charset=utf-8

<html><head><title>x</title></head><body><script>alert(1)</script>Hello</body></html>
--b--
"""


def write(folder: Path, name: str, *, mail: str | None = MAIL, **described: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.{'eml' if mail else 'txt'}").write_text(mail or "Northwind: hello")
    description = {
        "to": "ada@example.com",
        "channel": "email",
        "written_at": "2026-11-20T12:00:00+00:00",
    }
    (folder / f"{name}.json").write_text(json.dumps(description | described))


async def test_the_journeys_are_told_in_sentences(web: World) -> None:
    async with web.client() as client:
        await log_in(web, client)
        html = (await client.get("/")).text
    book = web.parts.live_book()
    assert book is not None
    for flow in book.flows.values():
        assert f'<a href="/journeys/{flow.name}">{flow.title}</a>' in html
    assert "A person enters when they start a checkout." in html
    assert 'href="/outbox"' in html
    assert "ffffffff" in html


async def test_before_publishing_the_page_says_what_to_do(web: World) -> None:
    bare = web.changed(library=FixedLibrary(None))
    async with bare.client() as client:
        await log_in(bare, client)
        answer = await client.get("/")
    assert answer.status_code == 200
    assert "orchestrator apply" in answer.text


async def test_an_empty_outbox_says_what_to_do(web: World) -> None:
    async with web.client() as client:
        await log_in(web, client)
        answer = await client.get("/outbox")
    assert answer.status_code == 200
    assert "orchestrator send-event examples/checkout.json" in answer.text


async def test_the_outbox_lists_the_newest_first(web: World) -> None:
    write(web.outbox, "0001", subject="First <i>")
    write(web.outbox, "0002", subject="Second")
    (web.outbox / "0003.json").write_text("half of")
    (web.outbox / ".0004.json.part").write_text("{}")
    async with web.client() as client:
        await log_in(web, client)
        html = (await client.get("/outbox")).text
    assert html.index("Second") < html.index("First &lt;i&gt;")
    assert "0003" not in html
    assert "0004" not in html


async def test_a_long_outbox_is_cut(web: World) -> None:
    for number in range(MOST_LISTED + 2):
        write(web.outbox, f"{number:04}", subject="x")
    async with web.client() as client:
        await log_in(web, client)
        html = (await client.get("/outbox")).text
    assert html.count('<a href="/outbox/0') == MOST_LISTED
    assert "/outbox/0001" not in html


async def test_a_mail_is_shown_in_a_frame_and_as_text(web: World) -> None:
    write(web.outbox, "0001", subject="Your basket is still here")
    async with web.client() as client:
        await log_in(web, client)
        answer = await client.get("/outbox/0001")
        frame = await client.get("/outbox/0001/html")
    assert "Hello &lt;b&gt;Ada&lt;/b&gt;" in answer.text
    assert "<script" not in answer.text
    assert 'src="/outbox/0001/html"' in answer.text
    assert "allow-scripts" not in answer.text
    assert "allow-same-origin" not in answer.text
    assert "frame-src 'self'" in answer.headers["content-security-policy"]
    policy = frame.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy
    assert '<base target="_blank">' in frame.text


async def test_a_text_message_is_shown_as_it_is(web: World) -> None:
    write(web.outbox, "0001", mail=None, channel="sms")
    async with web.client() as client:
        await log_in(web, client)
        answer = await client.get("/outbox/0001")
        assert "Northwind: hello" in answer.text
        assert "iframe" not in answer.text
        assert (await client.get("/outbox/0001/html")).status_code == 404


@pytest.mark.parametrize(
    "path", ["..%2F..%2Fsecret", "%2e%2e", "0009", ".0001", "0001.json", "a%00b", "x" * 300]
)
async def test_nothing_outside_the_outbox_is_shown(web: World, path: str) -> None:
    write(web.outbox, "0001", subject="x")
    (web.outbox.parent / "secret.json").write_text("{}")
    async with web.client() as client:
        await log_in(web, client)
        for end in ("", "/html"):
            assert (await client.get(f"/outbox/{path}{end}")).status_code == 404


async def test_every_page_is_reached_by_keyboard_and_by_reader(web: World) -> None:
    write(web.outbox, "0001", subject="x")
    async with web.client() as client:
        await log_in(web, client)
        for path in ("/", "/outbox", "/outbox/0001"):
            html = (await client.get(path)).text
            assert html.count("<h1") == 1
            assert '<a class="skip" href="#main">' in html
            assert 'id="main"' in html
            assert html.count('aria-current="page"') == 1
            assert "<script" not in html
            assert " style=" not in html


async def test_an_unknown_page_is_a_page_to_a_browser_and_json_to_a_program(web: World) -> None:
    async with web.client() as client:
        page = await client.get("/nowhere", headers={"accept": "text/html,*/*"})
        program = await client.get("/nowhere")
    assert page.status_code == program.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert program.json()["code"] == "not_found"
