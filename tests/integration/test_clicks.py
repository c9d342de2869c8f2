"""A link in a mail, from its click to what the journey makes of it, on both databases."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes, policy

import httpx
import pytest

from orchestrator.domain.flows import Channel
from orchestrator.ports import LinkClaims
from tests.integration.shop import BRAND, Shop, checkout

ADA = "ada@example.com"
BROWSER = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1"}

FLOWS = (
    BRAND
    + """\
flows:
  cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    key: event.checkout_id
    steps:
      - send: cart/reminder
        id: first
      - wait_for: first.clicked
        within: 20 hours
        otherwise:
          - send: cart/nudge
            id: second
"""
)


async def mailed(shop: Shop) -> str:
    """The reminder's HTML, sent a minute ago."""
    shop.publish(FLOWS)
    url = "https://northwind.example/checkout/c1"
    await shop.receive("checkout.started", ADA, **checkout(checkout_url=url))
    await shop.settle()
    await shop.pass_time(minutes=1)
    ((_, made),) = shop.provider.sent
    part = message_from_bytes(made.body, policy=policy.default).get_body(("html",))
    assert part is not None
    return str(part.get_content())


async def follow(shop: Shop, *links: str, **headers: str) -> list[str]:
    transport = httpx.ASGITransport(shop.app.web)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={**BROWSER, **headers}
    ) as client:
        answers = [await client.get(link) for link in links]
    return [answer.headers["location"] for answer in answers]


def counted(html: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'href="http://127\.0\.0\.1:8000(/c/[^"]+)"', html)))


async def heard(shop: Shop) -> None:
    """Long enough for a click to be settled and heard."""
    shop.clock.moment += timedelta(seconds=4)
    await shop.app.clicks.run_once()
    await shop.settle()


async def test_a_click_reaches_the_journey(shop: Shop) -> None:
    links = counted(await mailed(shop))
    places = [(await follow(shop, link))[0] for link in links]
    assert "https://northwind.example/checkout/c1" in places
    shop.clock.moment += timedelta(hours=1)
    await follow(shop, links[0])
    await heard(shop)
    await shop.pass_time(days=2)
    assert shop.outcomes() == [("first", "sent", None)]
    (run,) = shop.runs(ADA)
    assert run.end_reason == "completed"


async def test_a_click_says_when_the_person_was_last_seen(shop: Shop) -> None:
    links = counted(await mailed(shop))
    await follow(shop, links[0])
    await heard(shop)
    assert shop.contact(ADA).last_seen_at == shop.clock.moment


async def test_a_scanner_that_opens_every_link_has_not_clicked(shop: Shop) -> None:
    links = counted(await mailed(shop))
    assert len(links) > 1
    await follow(shop, *links)
    await heard(shop)
    await shop.pass_time(days=2)
    assert shop.outcomes() == [("first", "sent", None), ("second", "sent", None)]


async def test_a_click_is_settled_once(shop: Shop) -> None:
    links = counted(await mailed(shop))
    await follow(shop, links[0])
    shop.clock.moment += timedelta(seconds=4)
    assert await shop.app.clicks.run_once() == 1
    assert await shop.app.clicks.run_once() == 0


async def test_the_browser_shows_the_mail_as_it_was_sent(shop: Shop) -> None:
    html = await mailed(shop)
    ((message_id, _),) = shop.provider.sent
    claims = LinkClaims(shop.contact_id(ADA), message_id, Channel.EMAIL, "offers")
    letter = await shop.app.letters.view(claims)
    assert letter is not None
    assert letter.words == html


async def test_a_message_that_was_never_sent_is_not_shown(shop: Shop) -> None:
    shop.publish(FLOWS)
    await shop.receive("checkout.started", ADA, **checkout(consent={}))
    await shop.settle()
    (message,) = shop.messages()
    assert message.state.value == "not_sent"
    claims = LinkClaims(message.contact_id, message.id, Channel.EMAIL, "offers")
    assert await shop.app.letters.view(claims) is None


@pytest.mark.parametrize("later", ["other words", "no template"])
async def test_an_edit_does_not_change_what_was_sent(shop: Shop, later: str) -> None:
    html = await mailed(shop)
    ((message_id, _),) = shop.provider.sent
    changed = FLOWS.replace("name: Northwind Books", "name: Southwind Papers")
    gone = changed.replace("cart/nudge", "winback/news")
    shop.clock.moment += timedelta(minutes=1)
    shop.publish(changed if later == "other words" else gone)
    claims = LinkClaims(shop.contact_id(ADA), message_id, Channel.EMAIL, "offers")
    letter = await shop.app.letters.view(claims)
    assert letter is not None
    assert letter.words == html
