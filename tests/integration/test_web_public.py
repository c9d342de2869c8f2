from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

import pytest

from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.ports import LinkClaims, LinkPurpose
from orchestrator.rendering.links import SignedLinkTokens, TokenSigner
from tests.integration.web_world import SECRET_KEYS, FixedLibrary, World

pytestmark = pytest.mark.anyio

CLAIMS = LinkClaims(
    contact_id=ContactId("018f3c5e-7a2b-7cde-9f00-0123456789ab"),
    message_id=MessageId("018f3c5e-7a2b-7cde-9f00-0123456789ac"),
    channel=Channel.EMAIL,
    topic="offers",
)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path_of(web: World, claims: LinkClaims = CLAIMS) -> str:
    return "/u/" + web.parts.links.sign(LinkPurpose.UNSUBSCRIBE, claims)


class _Outline(HTMLParser):
    """What a page is made of, for the questions below."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_at_the_page_changes_nothing(web: World, method: str) -> None:
    async with web.client() as client:
        answer = await client.request(method, path_of(web))
    assert answer.status_code == 200
    assert web.outside.claims == []


async def test_the_page_says_what_the_button_does(web: World) -> None:
    async with web.client() as client:
        html = (await client.get(path_of(web))).text
    assert "Offers and sales" in html
    assert '<form class="actions" method="post">' in html
    assert ">Unsubscribe</button>" in html


@pytest.mark.parametrize(
    "request_body",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b"", "headers": {}},
        {"content": b"\xff\x00 nonsense", "headers": {"content-type": "image/png"}},
        {"content": b"x" * 2_000_000, "headers": {"content-type": "text/plain"}},
        {"json": {"a": 1}},
        {"data": ONE_CLICK, "headers": {"user-agent": "bot/1.0 (link scanner)"}},
        {"data": ONE_CLICK, "headers": {"origin": "https://mail.example"}},
        {"data": ONE_CLICK, "headers": {"sec-fetch-site": "cross-site"}},
    ],
    ids=["urlencoded", "multipart", "none", "binary", "large", "json", "bot", "origin", "cross"],
)
async def test_one_post_is_enough_whatever_its_body(
    web: World, request_body: dict[str, object]
) -> None:
    async with web.client() as client:
        answer = await client.post(path_of(web), **request_body)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert web.outside.claims == [CLAIMS]
    assert "You will get no more “Offers and sales” by email" in answer.text


async def test_repeating_it_is_answered_the_same(web: World) -> None:
    async with web.client() as client:
        answers = [await client.post(path_of(web), data=ONE_CLICK) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.text for answer in answers}) == 1
    assert 'unsubscribes_total{outcome="already"} 2.0' in web.figures()


async def test_a_link_without_a_topic_stops_all_marketing_of_its_channel(web: World) -> None:
    claims = LinkClaims(contact_id=CLAIMS.contact_id, channel=Channel.SMS)
    async with web.client() as client:
        asked = (await client.get(path_of(web, claims))).text
        done = (await client.post(path_of(web, claims))).text
    assert "Stop our marketing by text message?" in asked
    assert "You will get no more marketing by text message" in done


async def test_a_forged_link_is_404_and_has_no_effect(web: World) -> None:
    real = path_of(web)
    forged = [real[:-1] + ("A" if real[-1] != "A" else "B"), real + "A", "/u/x", "/u/%00", "/u/ä"]
    confirm = "/u/" + web.parts.links.sign(LinkPurpose.CONFIRM, CLAIMS)
    stranger = SignedLinkTokens(TokenSigner(["somebody-else's-secret-key"]), web.clock)
    foreign = "/u/" + stranger.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS)
    async with web.client() as client:
        for path in [*forged, confirm, foreign]:
            for method in ("GET", "POST"):
                assert (await client.request(method, path)).status_code == 404
    assert web.outside.claims == []


@pytest.mark.parametrize("path", ["/u", "/u/", "/view/", "/preferences/a/b", "/c"])
async def test_a_link_that_lost_its_token_is_told_in_words_for_customers(
    web: World, path: str
) -> None:
    async with web.client() as client:
        answer = await client.get(path, headers={"accept": "text/html", "accept-language": "fi"})
    assert answer.status_code == 404
    assert '<html lang="fi"' in answer.text
    assert "journeys" not in answer.text


async def test_a_link_signed_with_an_older_key_still_works(web: World) -> None:
    older = SignedLinkTokens(TokenSigner(SECRET_KEYS[1:]), web.clock)
    async with web.client() as client:
        answer = await client.post("/u/" + older.sign(LinkPurpose.UNSUBSCRIBE, CLAIMS))
    assert (answer.status_code, web.outside.claims) == (200, [CLAIMS])


async def test_when_storing_fails_the_page_never_claims_success(web: World) -> None:
    web.outside.failure = TransientError("the disk is full")
    async with web.client() as client:
        answer = await client.post(path_of(web), data=ONE_CLICK)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "Not done yet" in answer.text


async def test_a_database_that_hangs_is_told_in_time(
    web: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.web.app.PATIENCE", 0.01)

    async def hanging(*_: object) -> bool:
        await asyncio.Event().wait()
        return True

    async with web.changed(unsubscribe=hanging).client() as client:
        answer = await client.post(path_of(web), data=ONE_CLICK)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert web.outside.claims == []


async def test_it_works_before_anything_is_published(web: World) -> None:
    bare = web.changed(library=FixedLibrary(None))
    async with bare.client() as client:
        assert (await client.get(path_of(web))).status_code == 200
        assert (await client.post(path_of(web))).status_code == 200
    assert web.outside.claims == [CLAIMS]


async def test_other_methods_are_405(web: World) -> None:
    async with web.client() as client:
        for method in ("PUT", "DELETE", "PATCH"):
            assert (await client.request(method, path_of(web))).status_code == 405
    assert web.outside.claims == []


async def test_public_pages_keep_to_themselves(web: World) -> None:
    async with web.client() as client:
        for answer in [
            await client.get(path_of(web)),
            await client.post(path_of(web)),
            await client.get("/u/forged"),
        ]:
            headers = answer.headers
            assert headers["cache-control"] == "no-store"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            outline = _Outline(answer.text)
            assert "script" not in outline.tags
            assert "link" not in outline.tags
            assert "img" not in outline.tags
            assert not [name for name, _ in outline.attributes if name.startswith("on")]
            assert not [name for name, _ in outline.attributes if name == "style"]


async def test_public_pages_are_for_everybody(web: World) -> None:
    async with web.client() as client:
        html = (await client.get(path_of(web))).text
    outline = _Outline(html)
    assert re.search(r'<html lang="\w+" dir="ltr">', html)
    assert outline.tags.count("h1") == 1
    assert {"main", "title", "button"} <= set(outline.tags)
    assert "width=device-width, initial-scale=1" in html
    assert "prefers-color-scheme:dark" in html.replace(" ", "")


async def test_the_address_is_nowhere_in_the_page(web: World) -> None:
    async with web.client() as client:
        html = (await client.get(path_of(web))).text
    assert CLAIMS.contact_id not in html
