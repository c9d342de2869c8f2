"""Webhooks are answered while nobody works: runs begin late, and everything counts from then."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.shop import BRAND, CART, START, Shop, checkout

ADA = "ada@example.com"
HOUR = timedelta(hours=1)


def one_step(first: str, keys: str = "") -> str:
    """A file whose only journey has one step before its message."""
    return f"""{BRAND}flows:
  cart:
    class: marketing
    topic: offers
    when: {{event: checkout.started}}
{keys}    steps:
      - {first}
      - send: cart/reminder
        id: first
"""


async def stand_still(shop: Shop, span: timedelta) -> None:
    """The web answers, the engine does not run."""
    shop.clock.moment += span


@pytest.mark.parametrize(
    ("first", "sent_at"),
    [
        ("wait: 2 hours", START + 2 * HOUR),
        ("wait_until: now + hours(3)", START + 3 * HOUR),
        ("wait: 30 minutes", START + HOUR),
        # 08:00 in London is 10:00 in Helsinki
        ('wait_until: "10:30"', START + HOUR),
    ],
)
async def test_the_first_wait_counts_from_when_the_event_was_received(
    shop: Shop, first: str, sent_at: object
) -> None:
    shop.publish(one_step(first))
    await shop.receive("checkout.started", ADA, **checkout())
    await stand_still(shop, HOUR)
    await shop.pass_time(hours=5)
    (message,) = shop.messages()
    (run,) = shop.runs(ADA)
    assert (run.entered_at, message.sent_at) == (START, sent_at)


async def test_a_checkout_starts_when_it_gets_an_address_not_when_it_began(shop: Shop) -> None:
    shop.publish(one_step("wait: 2 hours"))
    await shop.receive("checkout.started", **checkout(contact={"id": "7"}))
    await stand_still(shop, 5 * HOUR)
    await shop.receive("checkout.updated", **checkout(contact={"id": "7", "email": ADA}))
    await stand_still(shop, HOUR)
    await shop.pass_time(hours=5)
    (message,) = shop.messages()
    assert message.sent_at == START + 7 * HOUR


async def test_what_is_awaited_may_come_while_the_engine_stands_still(shop: Shop) -> None:
    waits = "wait_for: {event: product.viewed}\n        within: 2 hours\n        then: [{exit: x}]"
    shop.publish(one_step(waits))
    await shop.receive("checkout.started", ADA, **checkout())
    await stand_still(shop, HOUR)
    await shop.receive("product.viewed", ADA)
    await stand_still(shop, 5 * HOUR)
    await shop.settle()
    assert [run.end_reason for run in shop.runs(ADA)] == ["left"]


async def test_what_is_awaited_comes_too_late_however_late_it_is_heard(shop: Shop) -> None:
    waits = "wait_for: {event: product.viewed}\n        within: 2 hours\n        then: [{exit: x}]"
    shop.publish(one_step(waits))
    await shop.receive("checkout.started", ADA, **checkout())
    await stand_still(shop, 3 * HOUR)
    await shop.receive("product.viewed", ADA)
    await shop.settle()
    assert [step for step, _, _ in shop.outcomes()] == ["first"]


@pytest.mark.parametrize(("apart", "entries"), [(23, 1), (25, 2)])
async def test_the_time_before_another_entry_lies_between_the_events(
    shop: Shop, apart: int, entries: int
) -> None:
    shop.publish(one_step("wait: 1 hour", "    reenter: after 1 day\n"))
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await stand_still(shop, 2 * HOUR)
    await shop.pass_time(hours=apart - 2)
    await shop.receive("checkout.started", ADA, **checkout("b"))
    await stand_still(shop, 2 * HOUR)
    await shop.settle()
    assert len(shop.runs(ADA)) == entries


async def test_runs_of_a_person_and_key_do_not_overlap_in_what_is_recorded(shop: Shop) -> None:
    shop.publish(
        one_step("wait: 1 day", "    reenter: always\n    exit_when: {event: order.placed}\n")
    )
    for number in ("a", "b", "c"):
        await shop.receive("checkout.started", ADA, **checkout(number))
        await stand_still(shop, timedelta(minutes=10))
        await shop.receive("order.placed", ADA, order_id=number, checkout_id=number)
        await stand_still(shop, timedelta(minutes=5))
    await shop.settle()
    runs = sorted(shop.runs(ADA), key=lambda run: run.entry)
    quarter = timedelta(minutes=15)
    assert [run.entered_at for run in runs] == [START + n * quarter for n in range(3)]
    assert [run.ended_at for run in runs] == [
        run.entered_at + timedelta(minutes=10) for run in runs
    ]


async def test_a_restarted_run_counts_from_the_event_that_restarts_it(shop: Shop) -> None:
    shop.publish(one_step("wait: 2 hours", "    reenter: restart\n"))
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    await stand_still(shop, HOUR)
    await shop.receive("checkout.started", ADA, **checkout("b"))
    await stand_still(shop, HOUR / 2)
    await shop.pass_time(hours=5)
    assert [message.sent_at for message in shop.messages()] == [START + 3 * HOUR]


async def test_a_message_is_late_by_the_clock_of_the_event(shop: Shop) -> None:
    late = one_step("wait: 1 hour").replace("id: first", "id: first\n        if_late: skip")
    shop.publish(late)
    await shop.receive("checkout.started", ADA, **checkout())
    await stand_still(shop, 2 * HOUR)
    await shop.settle()
    assert shop.outcomes() == [("first", "not_sent", "late")]


async def test_a_run_keeps_its_due_time_while_its_persons_events_are_unheard(shop: Shop) -> None:
    shop.publish(BRAND + CART)
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    await stand_still(shop, HOUR)
    await shop.receive("product.viewed", ADA)
    assert await shop.app.advancing.run_once() == 1
    assert await shop.app.advancing.run_once() == 0  # it is not looked at without pause
    (run,) = shop.runs(ADA)
    assert (run.due_at, run.attempts) == (START + HOUR, 0)
    await shop.app.enrolling.run_once()
    await stand_still(shop, timedelta(seconds=1))
    await shop.settle()
    assert shop.outcomes() == [("first", "sent", None)]


async def test_a_run_begins_and_takes_its_first_steps_in_one_go(shop: Shop) -> None:
    shop.publish(BRAND + CART)
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.app.enrolling.run_once()
    (run,) = shop.runs(ADA)
    assert (run.due_at, run.step_started_at) == (START + HOUR, START)
    assert await shop.app.advancing.run_once() == 0
