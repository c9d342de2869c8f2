"""Caps, priorities and the fallback order of channels, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.ports import Delivery, DeliveryOutcome
from tests.integration.shop import BRAND, START, Shop, checkout

ADA = "ada@example.com"
PHONE = "+358401234567"


def flow(name: str, event: str, steps: str, **keys: str) -> str:
    """A marketing flow that enters on an event."""
    more = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return (
        f"  {name}:\n    class: marketing\n    topic: offers\n    when: {{event: {event}}}\n"
        f"    reenter: always\n{more}    steps:\n{steps}"
    )


def flows(*written: str, policies: str = "") -> str:
    return f"{BRAND}{policies}flows:\n{''.join(written)}"


TWO_A_DAY = "policies:\n  default:\n    caps: {email: 2 per day}\n"
SEND = "      - send: cart/nudge\n"
BOTH = "      - send: cart/reminder\n        via: [sms, email]\n        id: first\n"
SKIP = "      - send: cart/nudge\n        if_late: skip\n"
SOON = "      - send: cart/nudge\n        if_late: send within 2 hours\n"


async def consenting(shop: Shop, **contact: str) -> None:
    """Ada agrees to everything."""
    await shop.receive(
        "contact.subscribed", ADA, contact=contact, consent={"email": "yes", "sms": "yes"}
    )
    await shop.settle()


async def test_a_third_message_waits_until_the_first_is_a_day_old(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", SEND), policies=TWO_A_DAY))
    await consenting(shop)
    for _ in range(3):
        await shop.receive("cart.updated", ADA)
        await shop.pass_time(hours=1)
    assert [state for _, state, _ in shop.outcomes()] == ["sent", "sent", "held"]
    assert shop.messages()[2].reason == "cap"
    assert shop.messages()[2].not_before == START + timedelta(days=1)
    await shop.pass_time(days=1)
    assert [state for _, state, _ in shop.outcomes()] == ["sent"] * 3


async def test_without_caps_three_a_day_and_channel_may_go(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", SEND)))
    await consenting(shop)
    for _ in range(4):
        await shop.receive("cart.updated", ADA)
        await shop.settle()
    assert [state for _, state, _ in shop.outcomes()] == ["sent", "sent", "sent", "held"]


async def test_a_message_that_may_not_be_late_is_refused_under_a_full_cap(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", SKIP), policies=TWO_A_DAY))
    await consenting(shop)
    for _ in range(3):
        await shop.receive("cart.updated", ADA)
        await shop.settle()
    assert shop.outcomes()[2][1:] == ("not_sent", "cap")


async def test_a_message_that_would_come_too_late_is_refused_under_a_full_cap(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", SOON), policies=TWO_A_DAY))
    await consenting(shop)
    for _ in range(3):
        await shop.receive("cart.updated", ADA)
        await shop.settle()
    assert shop.outcomes()[2][1:] == ("not_sent", "cap")


@pytest.mark.parametrize(
    ("rule", "hours", "outcome"),
    [
        ("send", 72, ("sent", None)),
        ("skip", 1, ("not_sent", "late")),
        ("skip", 0.2, ("sent", None)),
        ("send within 2 hours", 3, ("not_sent", "expired")),
        ("send within 2 hours", 1, ("sent", None)),
    ],
)
@pytest.mark.parametrize("planned", [False, True])
async def test_lateness_counts_from_when_the_step_was_due_whoever_stood_still(
    shop: Shop, rule: str, hours: float, outcome: tuple[str, str | None], *, planned: bool
) -> None:
    """The engine before it planned the message, or the delivery after."""
    steps = f"      - wait: 1 hour\n{SEND}        if_late: {rule}\n"
    shop.publish(flows(flow("nudge", "cart.updated", steps)))
    await consenting(shop)
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    if planned:
        await shop.app.advancing.run_once()
    shop.clock.moment += timedelta(hours=hours)
    await shop.settle()
    assert shop.outcomes() == [("2", *outcome)]


async def test_what_is_in_doubt_counts_and_what_failed_does_not(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", SEND), policies=TWO_A_DAY))
    await consenting(shop)
    shop.provider.answers = [
        Delivery(DeliveryOutcome.UNKNOWN),
        Delivery(DeliveryOutcome.REJECTED, reason="rejected"),
    ]
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    for number in ("2", "3", "4"):
        await shop.receive("checkout.started", ADA, **checkout(number))
    shop.publish(flows(flow("other", "product.viewed", SEND, key="event.id"), policies=TWO_A_DAY))
    for _ in range(3):
        await shop.receive("product.viewed", ADA)
        await shop.settle()
    assert [state for _, state, _ in shop.outcomes()] == ["unknown", "failed", "sent", "held"]


async def test_the_more_important_of_two_due_messages_fills_the_last_place(shop: Shop) -> None:
    cap = "policies:\n  default:\n    caps: {email: 1 per day}\n"
    low = flow("low", "cart.updated", SEND, priority="10")
    high = flow("high", "cart.updated", "      - wait: 1 second\n" + SEND, priority="90")
    shop.publish(flows(low, high, policies=cap))
    await consenting(shop)
    await shop.receive("cart.updated", ADA)
    await shop.app.enrolling.run_once()
    await shop.app.advancing.run_once()
    shop.clock.moment += timedelta(seconds=1)
    await shop.app.advancing.run_once()
    await shop.app.dispatching.run_once(limit=1)
    await shop.settle()
    states = {message.flow: message.state.value for message in shop.messages()}
    assert states == {"low": "held", "high": "sent"}


async def test_the_first_channel_that_is_reachable_and_allowed_is_chosen(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", BOTH)))
    await consenting(shop)
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    ((_, mail),) = shop.provider.sent
    assert mail.channel.value == "email"
    assert [(m.channel.value, m.state.value) for m in shop.messages()] == [("email", "sent")]


async def test_where_no_channel_is_allowed_the_first_ones_reason_is_given(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", BOTH)))
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    assert [(m.channel.value, m.reason) for m in shop.messages()] == [("sms", "unreachable")]


async def test_after_a_rejection_for_good_the_next_channel_is_tried(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", BOTH)))
    await consenting(shop, phone=PHONE)
    shop.provider.answers = [Delivery(DeliveryOutcome.REJECTED, reason="invalid_address")]
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    found = [(m.channel.value, m.state.value) for m in shop.messages()]
    assert found == [("sms", "failed"), ("email", "sent")]


CAPS = "policies:\n  default:\n    caps: {sms: SMS, email: EMAIL}\n"


def capped(sms: str, email: str) -> str:
    return CAPS.replace("SMS", sms).replace("EMAIL", email)


async def thrice(shop: Shop, policies: str, step: str = BOTH) -> None:
    """Three messages by SMS or email, an hour apart, to somebody who takes both."""
    shop.publish(flows(flow("nudge", "cart.updated", step), policies=policies))
    await consenting(shop, phone=PHONE)
    for _ in range(3):
        await shop.receive("cart.updated", ADA)
        await shop.pass_time(hours=1)


async def test_where_the_first_channels_cap_is_full_the_second_goes_now(shop: Shop) -> None:
    await thrice(shop, capped("1 per day", "1 per week"))
    found = [(m.channel.value, m.state.value) for m in shop.messages()]
    assert found == [("sms", "sent"), ("email", "sent"), ("sms", "held")]


@pytest.mark.parametrize(
    ("sms", "email", "channel"),
    [("1 per week", "1 per day", "email"), ("1 per day", "1 per week", "sms")],
)
async def test_where_all_caps_are_full_the_one_with_room_first_is_waited_for(
    shop: Shop, sms: str, email: str, channel: str
) -> None:
    await thrice(shop, capped(sms, email))
    waiting = shop.messages()[2]
    began = START if channel == "sms" else START + timedelta(hours=1)
    assert (waiting.channel.value, waiting.reason) == (channel, "cap")
    assert waiting.not_before == began + timedelta(days=1)
    await shop.pass_time(days=1)
    assert [m.channel.value for m in shop.messages()] == ["sms", "email", channel]
    assert {m.state.value for m in shop.messages()} == {"sent"}


async def test_a_channel_free_in_a_moment_is_waited_for(shop: Shop) -> None:
    await thrice(shop, capped("1 per day", "1 per week"))
    shop.publish(
        flows(flow("nudge", "cart.updated", BOTH), policies=capped("1 per day", "9 per day"))
    )
    shop.clock.moment = START + timedelta(days=1, seconds=-20)
    await shop.receive("cart.updated", ADA)
    await shop.settle()
    assert [(m.channel.value, m.state.value) for m in shop.messages()][-1] == ("sms", "held")


async def test_after_doubt_no_other_channel_is_tried(shop: Shop) -> None:
    shop.publish(flows(flow("nudge", "cart.updated", BOTH)))
    await consenting(shop, phone=PHONE)
    shop.provider.answers = [Delivery(DeliveryOutcome.UNKNOWN)]
    await shop.receive("cart.updated", ADA)
    await shop.pass_time(days=4)
    found = [(m.channel.value, m.state.value) for m in shop.messages()]
    assert found == [("sms", "unknown")]
    (run,) = shop.runs(ADA)
    assert run.end_reason == "completed"
