"""Rows that raise harm nobody else, and are given up after five tries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.journey import Situation
from orchestrator.services import advance as advancing
from orchestrator.services import enrol as enrolling
from tests.integration.shop import Shop, checkout

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
    monkeypatch.setattr(advancing, "advance", raises_for(ADA, advancing.advance))
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
    monkeypatch.setattr(enrolling, "hear", raises_for(ADA, enrolling.hear))
    for email, number in ((ADA, "a"), (BEA, "b")):
        await shop.receive("checkout.started", email, **checkout(number))
        await shop.receive("order.placed", email, checkout_id=number, order_id=number)
        await shop.settle()
    ended = {email: shop.runs(email)[0].end_reason for email in (ADA, BEA)}
    assert ended == {ADA: None, BEA: "exited"}
    await shop.pass_time(hours=2)
    assert shop.provider.sent == []
    (message,) = shop.messages()
    assert (message.state.value, message.reason) == ("cancelled", "exited")


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
