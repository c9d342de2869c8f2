"""The cart journey from Shopify's webhooks, on both databases and a stepping clock."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.consent import ConsentState, ConsentStatus
from orchestrator.domain.flows import Channel
from orchestrator.ports import LinkClaims
from orchestrator.sources.phones import normalise_phone
from orchestrator.sources.shopify import ShopifySource
from tests.integration.shop import BRAND, CART, START, Shop
from tests.integration.web_world import World
from tests.shopify_webhooks import SECRET, body_of, headers_for

ADA = "ada.lindqvist@example.com"
SOURCE = ShopifySource([SECRET], normalise_phone)

NOBODY: dict[str, Any] = {
    "email": None,
    "sms_marketing_phone": None,
    "customer": None,
    "shipping_address": [],
}

numbers = iter(range(1_000_000))


async def deliver(
    shop: Shop, topic: str, body: dict[str, Any], event_id: str = "", webhook_id: str = "wh-1"
) -> bool:
    """An authentic webhook, stored; True if it was new."""
    raw = json.dumps(body).encode()
    headers = headers_for(topic, raw, event_id or f"ev-{next(numbers)}", webhook_id)
    event = SOURCE.read(headers, raw, shop.clock.now())
    return await shop.app.intake.submit(event)


def at(**after_start: float) -> str:
    return (START + timedelta(**after_start)).isoformat()


def email_consent(state: str, when: str, level: str = "single_opt_in") -> dict[str, Any]:
    said = {"state": state, "opt_in_level": level, "consent_updated_at": when}
    return body_of("email_consent", email_marketing_consent=said)


def consents(shop: Shop) -> set[tuple[str, str]]:
    """Channel and status of every topic."""
    contact_id = shop.contact_id(ADA)
    with shop.app.database.read() as uow:
        states: list[ConsentState] = list(uow.consents.states([contact_id])[contact_id])
    return {(state.channel.value, state.status.value) for state in states}


async def test_a_checkout_is_reminded_of_with_what_the_buyer_saw(shop: Shop) -> None:
    assert await deliver(shop, "checkouts/create", body_of("checkout")) is True
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "sent", None)]
    ((_, mail),) = shop.provider.sent
    assert mail.envelope_to == ADA
    assert b"Anteckningsbok" in mail.body
    assert b"SEK" in mail.body
    assert b"EUR" not in mail.body
    assert shop.contact(ADA).country == "FI"
    assert consents(shop) == {("email", "granted"), ("sms", "granted")}


async def test_an_order_that_came_before_its_checkout_leaves_nothing_to_start(shop: Shop) -> None:
    await deliver(shop, "orders/create", body_of("order"))
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await deliver(shop, "checkouts/update", body_of("checkout"))
    await shop.pass_time(days=2)
    assert shop.runs(ADA) == []


async def test_the_order_of_a_checkout_ends_its_run(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await shop.pass_time(minutes=30)
    await deliver(shop, "orders/create", body_of("order"))
    await shop.pass_time(days=2)
    assert [run.end_reason for run in shop.runs(ADA)] == ["exited"]
    assert shop.messages() == []


async def test_one_event_of_two_subscriptions_is_one_event(shop: Shop) -> None:
    body = body_of("checkout")
    assert await deliver(shop, "checkouts/create", body, "ev-a", "wh-1") is True
    assert await deliver(shop, "checkouts/create", body, "ev-a", "wh-2") is False
    assert await deliver(shop, "checkouts/update", body, "ev-a", "wh-3") is True
    await shop.pass_time(days=2)
    assert len(shop.runs(ADA)) == 1
    assert len(shop.provider.sent) == 2  # the two reminders of one run


async def test_waits_count_from_the_update_that_brings_an_address(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout", **NOBODY))
    await shop.pass_time(hours=5)
    await deliver(shop, "checkouts/update", body_of("checkout", updated_at=at(hours=5)))
    await shop.pass_time(minutes=59)
    assert shop.messages() == []
    await shop.pass_time(minutes=1)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_completed_checkout_starts_nothing(shop: Shop) -> None:
    completed = body_of("checkout", completed_at=at(minutes=-5), updated_at=at(minutes=-5))
    await deliver(shop, "checkouts/create", body_of("checkout", **NOBODY))
    await deliver(shop, "checkouts/update", completed)
    await deliver(shop, "checkouts/update", body_of("checkout"))  # older, and late
    await shop.pass_time(days=2)
    assert shop.runs(ADA) == []


async def test_a_completed_checkout_ends_the_run_that_it_began(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await shop.pass_time(minutes=30)
    await deliver(shop, "checkouts/update", body_of("checkout", completed_at=at(minutes=30)))
    await shop.pass_time(days=2)
    assert [run.end_reason for run in shop.runs(ADA)] == ["exited"]
    assert shop.provider.sent == []


async def test_the_gate_sees_a_completed_checkout_that_journeys_have_not_heard(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    await shop.app.advancing.run_once()
    await deliver(shop, "checkouts/update", body_of("checkout", completed_at=at(minutes=59)))
    await shop.app.dispatching.run_once()
    await shop.app.dispatching.drain()
    assert shop.outcomes() == [("first", "cancelled", "exited")]


async def test_a_checkout_completed_ends_no_run_that_another_began(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    other = body_of("checkout", token="another", cart_token="another", completed_at=at(minutes=1))
    await deliver(shop, "checkouts/update", other)
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_completed_checkout_is_no_second_order_to_a_run_of_buyers(shop: Shop) -> None:
    shop.publish(BRAND + CART.replace("{event: checkout.started}", "{event: order.placed}"))
    await deliver(shop, "orders/create", body_of("order"))
    await deliver(shop, "checkouts/update", body_of("checkout", completed_at=at(minutes=1)))
    await shop.settle()
    assert [run.end_reason for run in shop.runs(ADA)] == [None]


async def test_an_older_update_does_not_undo_a_newer_one(shop: Shop) -> None:
    newer = body_of("checkout", updated_at=at(minutes=-3), total_price="99.00")
    older = body_of("checkout", updated_at=at(minutes=-9), total_price="11.00")
    await deliver(shop, "checkouts/update", newer)
    await deliver(shop, "checkouts/update", older)
    with shop.app.database.read() as uow:
        state = uow.purchases.checkouts(["c0ffee5eed"])["c0ffee5eed"]
    assert state.state["total"] == "99.00"


async def test_a_withdrawal_in_the_shop_stops_the_next_message(shop: Shop) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await shop.pass_time(minutes=30)
    topic = "customers_email_marketing_consent/update"
    await deliver(shop, topic, email_consent("unsubscribed", at(minutes=29)))
    await shop.pass_time(hours=2)
    assert shop.outcomes() == [("first", "not_sent", "no_consent")]
    assert consents(shop) >= {("email", "withdrawn"), ("sms", "granted")}


@pytest.mark.parametrize("topic", ["checkouts/update", "customers/update", "orders/paid"])
async def test_a_yes_of_long_ago_revives_nothing_when_it_is_repeated(
    shop: Shop, topic: str
) -> None:
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await shop.pass_time(hours=1)
    (message,) = shop.messages()
    claims = LinkClaims(message.contact_id, message.id, Channel.EMAIL, "offers")
    await shop.app.preferences.unsubscribe(claims)
    await shop.pass_time(minutes=5)
    name = {"customers/update": "customer", "checkouts/update": "checkout"}.get(topic, "order")
    body = body_of(name, updated_at=at(hours=1, minutes=5))
    if name == "order":
        body |= {"buyer_accepts_marketing": True, "checkout_token": None, "cart_token": None}
    await deliver(shop, topic, body)
    await shop.pass_time(days=2)
    assert shop.outcomes()[1:] == [("second", "not_sent", "no_consent")]


async def test_a_new_yes_in_the_shop_counts_again(shop: Shop) -> None:
    topic = "customers_email_marketing_consent/update"
    await deliver(shop, "checkouts/create", body_of("checkout"))
    await deliver(shop, topic, email_consent("unsubscribed", at(minutes=-4)))
    await deliver(shop, topic, email_consent("subscribed", at(minutes=-2)))
    await deliver(shop, topic, email_consent("unsubscribed", at(minutes=-3)))  # late
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "sent", None)]


@pytest.mark.parametrize("state", ["pending", "not_subscribed", "redacted", "invalid", "", None])
async def test_only_subscribed_grants(shop: Shop, state: str | None) -> None:
    customer = body_of("checkout")["customer"] | {"email_marketing_consent": {"state": state}}
    unsaid = body_of("checkout", customer=customer, buyer_accepts_marketing=None)
    await deliver(shop, "checkouts/create", unsaid)
    topic = "customers_email_marketing_consent/update"
    await deliver(shop, topic, email_consent(str(state), at(minutes=-1)))
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [("first", "not_sent", "no_consent")]


@pytest.mark.parametrize(
    ("level", "outcome"),
    [
        ("confirmed_opt_in", ("first", "sent", None)),
        ("single_opt_in", ("first", "not_sent", "unconfirmed")),
        (None, ("first", "not_sent", "unconfirmed")),
    ],
)
async def test_what_shopify_had_confirmed_needs_no_second_confirmation(
    shop: Shop, level: str, outcome: tuple[str, str, str | None]
) -> None:
    address = {"country_code": "DE"}
    checkout = body_of("checkout", billing_address=address, buyer_accepts_marketing=None)
    await deliver(shop, "checkouts/create", checkout)
    topic = "customers_email_marketing_consent/update"
    await deliver(shop, topic, email_consent("subscribed", at(minutes=-1), level))
    await shop.pass_time(hours=1)
    assert shop.outcomes() == [outcome]


async def test_consent_by_text_message_is_its_own(shop: Shop) -> None:
    topic = "customers_marketing_consent/update"
    checkout = body_of("checkout", buyer_accepts_sms_marketing=None)
    await deliver(shop, "checkouts/create", checkout)
    assert consents(shop) == {("email", ConsentStatus.GRANTED.value)}
    await deliver(shop, topic, body_of("sms_consent"))
    assert consents(shop) == {("email", "granted"), ("sms", "granted")}


async def test_what_is_delivered_refunded_and_ordered_is_one_order(shop: Shop) -> None:
    await deliver(shop, "orders/create", body_of("order"))
    await deliver(shop, "orders/paid", body_of("order"))
    await deliver(shop, "fulfillment_events/create", body_of("fulfillment_event"))
    await deliver(shop, "refunds/create", body_of("refund"))
    orders = shop.contact(ADA).orders
    assert (orders.count, str(orders.total)) == (1, "53.20")
    with shop.app.database.read() as uow:
        order = uow.purchases.orders(["5500001"])["5500001"]
    assert order.contact_id == shop.contact_id(ADA)
    assert order.state["data"]["name"] == "#1043"
    assert order.state["data"]["refund"]["amount"] == "21.90"


ABUSE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "authentic": (b"{}", {}, 200),
    "no topic": (b"{}", {"x-shopify-topic": ""}, 200),
    "an unknown topic": (b'{"a": [1, "x"]}', {"x-shopify-topic": "moon/landed"}, 200),
    "a request for data": (b"{}", {"x-shopify-topic": "customers/data_request"}, 200),
    "no signature": (b"{}", {"x-shopify-hmac-sha256": ""}, 401),
    "another signature": (b"{}", {"x-shopify-hmac-sha256": "A" * 43 + "="}, 401),
    "no base64": (b"{}", {"x-shopify-hmac-sha256": "???"}, 401),
    "not UTF-8, forged": (b"\xff\xfe", {"x-shopify-hmac-sha256": "AAAA"}, 401),
    "not UTF-8": (b"\xff\xfe\x00", {}, 400),
    "nothing": (b"", {}, 400),
    "a list": (b"[]", {}, 400),
    "no number": (b'{"total_price": NaN}', {}, 400),
    "10 MB": (b"x" * 10_000_000, {}, 413),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", list(ABUSE))
async def test_every_request_has_its_answer(web: World, name: str) -> None:
    body, changes, wanted = ABUSE[name]
    world = web.changed(sources={"shopify": SOURCE})
    headers = headers_for("checkouts/create", body) | changes
    async with world.client() as client:
        answer = await client.post("/webhooks/shopify", content=body, headers=headers)
        again = await client.post("/webhooks/shopify", content=body, headers=headers)
    assert (answer.status_code, again.status_code) == (wanted, wanted)
    assert len(web.outside.events) == (1 if wanted == 200 else 0)
