from __future__ import annotations

import pytest

from orchestrator.domain.errors import TransientError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.ports import ClickTarget, LinkClaims, LinkPurpose
from orchestrator.rendering.links import SignedLinkTokens, TokenSigner
from orchestrator.services.letters import Letter
from tests.integration.web_world import World

pytestmark = pytest.mark.anyio

CONTACT = ContactId("018f3c5e-7a2b-7cde-9f00-0123456789ab")
MESSAGE = MessageId("018f3c5e-7a2b-7cde-9f00-0123456789ac")
TARGET = ClickTarget(CONTACT, MESSAGE, "https://shop.example/basket?id=ö&b=2")
BROWSER = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1"}


def path_of(web: World, target: ClickTarget = TARGET) -> str:
    return "/c/" + web.parts.links.sign_click(target)


async def test_a_link_leads_on_and_the_click_is_kept(web: World) -> None:
    async with web.client() as client:
        answer = await client.get(path_of(web), headers=BROWSER)
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://shop.example/basket?id=%C3%B6&b=2"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert web.outside.clicks == [(TARGET, False)]


async def test_to_ask_where_a_link_leads_is_no_click(web: World) -> None:
    async with web.client() as client:
        answer = await client.head(path_of(web), headers=BROWSER)
    assert answer.status_code == 302
    assert web.outside.clicks == []


async def test_a_scanner_that_says_so_is_noted_as_one(web: World) -> None:
    async with web.client() as client:
        await client.get(path_of(web), headers={"user-agent": "Barracuda Sentinel"})
    assert web.outside.clicks == [(TARGET, True)]


@pytest.mark.parametrize("name", ["sec-purpose", "purpose", "x-moz"])
async def test_a_page_that_is_loaded_ahead_is_noted_as_such(web: World, name: str) -> None:
    async with web.client() as client:
        await client.get(path_of(web), headers={**BROWSER, name: "prefetch"})
    assert web.outside.clicks == [(TARGET, True)]


async def test_a_person_is_led_on_while_nothing_can_be_stored(web: World) -> None:
    web.outside.failure = TransientError("the disk is full")
    async with web.client() as client:
        answer = await client.get(path_of(web), headers=BROWSER)
    assert answer.status_code == 302


@pytest.mark.parametrize("damage", ["x", "cut", "stranger", "other purpose"])
async def test_nobody_but_us_decides_where_a_link_leads(web: World, damage: str) -> None:
    stranger = SignedLinkTokens(TokenSigner(["somebody-else's-secret-key"]), web.clock)
    paths = {
        "x": path_of(web)[:-1] + ("A" if path_of(web)[-1] != "A" else "B"),
        "cut": path_of(web)[:40],
        "stranger": "/c/" + stranger.sign_click(TARGET),
        "other purpose": "/c/"
        + web.parts.links.sign(LinkPurpose.VIEW, LinkClaims(CONTACT, MESSAGE)),
    }
    async with web.client() as client:
        answer = await client.get(paths[damage], headers=BROWSER)
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert web.outside.clicks == []


async def test_a_mail_is_shown_in_the_browser_and_does_nothing_there(web: World) -> None:
    claims = LinkClaims(CONTACT, MESSAGE, Channel.EMAIL, "offers")
    web.outside.letters[claims] = Letter(Channel.EMAIL, "<html><h1>Your basket</h1></html>")
    async with web.client() as client:
        answer = await client.get("/view/" + web.parts.links.sign(LinkPurpose.VIEW, claims))
    assert answer.text == "<html><h1>Your basket</h1></html>"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


async def test_a_text_message_is_shown_as_text(web: World) -> None:
    claims = LinkClaims(CONTACT, MESSAGE, Channel.SMS, "offers")
    web.outside.letters[claims] = Letter(Channel.SMS, "Hello <b>you</b>")
    async with web.client() as client:
        answer = await client.get("/view/" + web.parts.links.sign(LinkPurpose.VIEW, claims))
    assert "Hello &lt;b&gt;you&lt;/b&gt;" in answer.text


async def test_what_is_not_there_any_more_is_said_to_be_gone(web: World) -> None:
    token = web.parts.links.sign(LinkPurpose.VIEW, LinkClaims(CONTACT, MESSAGE, Channel.EMAIL))
    async with web.client() as client:
        answer = await client.get("/view/" + token)
        forged = await client.get("/view/" + token[:-2] + "AA")
    assert answer.status_code == forged.status_code == 404
    assert "There is nothing here any more" in answer.text
    assert "This link does not work" in forged.text
