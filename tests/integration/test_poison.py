"""Rows that raise harm nobody else, and are given up after five tries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain import hearing, journey
from orchestrator.domain.journey import Situation
from orchestrator.services import decisions
from orchestrator.services import enrol as enrolling
from tests.integration.shop import BRAND, CART, Shop, checkout

ADA, BEA = "ada@example.com", "bea@example.com"


def raises_for(email: str, real: Any) -> Any:
    """A function of a situation that fails for one person."""

    def poisoned(situation: Situation, *rest: Any) -> Any:
        if situation.names["contact"]["email"] == email:
            raise RuntimeError("poison")
        return real(situation, *rest)

    return poisoned


async def test_a_run_that_raises_is_parked_after_five_tries_and_blocks_nobody(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "advance", raises_for(ADA, journey.advance))
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.receive("checkout.started", BEA, **checkout("b"))
    for _ in range(8):
        await shop.pass_time(minutes=20)
    assert [mail.envelope_to for _, mail in shop.provider.sent] == [BEA]
    (run,) = shop.runs(ADA)
    assert run.attempts == 5
    with shop.app.database.read() as uow:
        assert uow.enrolments.next_due_at() is None or run.ended_at is None


async def test_an_event_that_raises_holds_up_its_own_person_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "hear", raises_for(ADA, hearing.hear))
    for email, number in ((ADA, "a"), (BEA, "b")):
        await shop.receive("checkout.started", email, **checkout(number))
        await shop.receive("order.placed", email, checkout_id=number, order_id=number)
        await shop.settle()
    ended = {email: shop.runs(email)[0].end_reason for email in (ADA, BEA)}
    assert ended == {ADA: None, BEA: "exited"}
    await shop.pass_time(hours=2)
    assert shop.provider.sent == []
    assert [message.state.value for message in shop.messages()] == ["cancelled"]


async def test_a_run_that_killed_its_worker_is_tried_alone_and_then_parked(shop: Shop) -> None:
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    for attempt in range(8):
        with shop.app.database.transaction() as uow:
            tries = range(2) if attempt < 2 else range(2, 5)
            uow.enrolments.claim_due(shop.clock.moment, 9, timedelta(seconds=20), "dead", tries)
        shop.clock.moment += timedelta(seconds=21)
    await shop.settle()
    (run,) = shop.runs(ADA)
    assert (run.attempts, run.ended_at) == (5, None)
    assert shop.messages() == []


async def test_an_awaited_event_that_is_stored_counts_though_it_is_heard_too_late(
    shop: Shop,
) -> None:
    waits = """flows:
  cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    steps:
      - wait_for: {event: product.viewed}
        within: 1 hour
        then: [{exit: looked}]
      - send: cart/nudge
"""
    shop.publish(BRAND + waits)
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    shop.clock.moment += timedelta(minutes=59)
    await shop.receive("product.viewed", ADA)
    shop.clock.moment += timedelta(hours=3)
    await shop.app.advancing.run_once()
    await shop.pass_time(minutes=1)
    (run,) = shop.runs(ADA)
    assert (run.end_reason, shop.messages()) == ("left", [])


async def test_an_exit_by_an_event_of_nobody_acts_before_it_is_heard(shop: Shop) -> None:
    exits = CART.replace(
        "exit_when:\n      event: order.placed\n      where: event.checkout_id == key",
        "exit_when: {event: product.restocked, where: event.data.checkout == key}",
    )
    shop.publish(BRAND + exits)
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    shop.clock.moment += timedelta(hours=1)
    await shop.app.advancing.run_once()
    await shop.receive("product.restocked", data={"checkout": "a"})
    await shop.app.dispatching.run_once()
    await shop.app.dispatching.drain()
    assert shop.outcomes() == [("first", "cancelled", "exited")]


async def test_two_triggers_that_take_one_event_are_one_entry(shop: Shop) -> None:
    twice = "when: [{event: checkout.started}, {event: checkout.started, where: event.total > 1}]"
    shop.publish(
        BRAND + CART.replace("when: {event: checkout.started}", f"{twice}\n    reenter: restart")
    )
    await shop.receive("checkout.started", ADA, **checkout("a"))
    await shop.settle()
    assert len(shop.runs(ADA)) == 1
