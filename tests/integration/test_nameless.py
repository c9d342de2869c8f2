"""Events that name nobody: whoever waits for one hears it, whatever version their run is in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain import hearing
from orchestrator.domain.events import Event
from orchestrator.domain.hearing import Heard
from orchestrator.domain.journey import Situation
from orchestrator.services import enrol as enrolling
from tests.integration.shop import BRAND, Shop, checkout

ADA, BEA = "ada@example.com", "bea@example.com"
HOUR = timedelta(hours=1)
RESTOCKED: dict[str, Any] = {"product": {"id": "p1"}}

WAITING = f"""{BRAND}flows:
  alert:
    class: marketing
    topic: offers
    when: {{event: stock.requested}}
    exit_when: {{event: season.ended, where: event.data.product == 'p1'}}
    steps:
      - wait_for:
          event: product.restocked
          where: event.product.id == 'p1'
        within: 2 hours
        then: [send: cart/reminder]
        otherwise: [send: cart/nudge]
"""
DEAF = f"""{BRAND}flows:
  NAME:
    class: marketing
    topic: offers
    when: {{event: stock.requested}}
    steps:
      - wait: 2 hours
      - send: cart/nudge
"""


def templates(shop: Shop) -> list[str]:
    return [message.template for message in shop.messages()]


async def wait_for_stock(shop: Shop, email: str = ADA) -> None:
    await shop.receive("stock.requested", email, **checkout())


@pytest.mark.parametrize("name", ["alert", "another"])
async def test_runs_of_an_older_version_hear_what_the_live_one_does_not_await(
    shop: Shop, name: str
) -> None:
    shop.publish(WAITING)
    await wait_for_stock(shop)
    await shop.settle()
    shop.publish(DEAF.replace("NAME", name))
    await shop.receive("product.restocked", **RESTOCKED)
    await shop.pass_time(hours=3)
    assert templates(shop) == ["cart/reminder"]


async def test_an_exit_of_an_older_version_ends_its_runs(shop: Shop) -> None:
    shop.publish(WAITING)
    await wait_for_stock(shop)
    await shop.settle()
    shop.publish(DEAF.replace("NAME", "alert"))
    await shop.receive("season.ended", data={"product": "p1"})
    await shop.settle()
    assert [run.end_reason for run in shop.runs(ADA)] == ["exited"]


async def test_a_run_does_not_give_up_on_what_came_in_time_and_is_heard_late(shop: Shop) -> None:
    shop.publish(WAITING)
    await wait_for_stock(shop)
    await shop.settle()
    shop.clock.moment += HOUR
    await shop.receive("product.restocked", **RESTOCKED)
    shop.clock.moment += 3 * HOUR
    await shop.app.advancing.run_once()
    await shop.pass_time(seconds=1)
    assert templates(shop) == ["cart/reminder"]


async def test_what_came_after_the_wait_was_over_holds_no_run_up(shop: Shop) -> None:
    shop.publish(WAITING)
    await wait_for_stock(shop)
    await shop.settle()
    shop.clock.moment += 3 * HOUR
    await shop.receive("product.restocked", **RESTOCKED)
    await shop.app.advancing.run_once()
    assert templates(shop) == ["cart/nudge"]


async def test_what_came_before_the_run_is_not_heard_by_it(shop: Shop) -> None:
    shop.publish(WAITING)
    await shop.receive("product.restocked", **RESTOCKED)
    await shop.receive("season.ended", data={"product": "p1"})
    shop.clock.moment += HOUR
    await wait_for_stock(shop)
    await shop.pass_time(hours=3)
    assert [row[1:] for row in shop.outcomes()] == [("sent", None)]
    assert templates(shop) == ["cart/nudge"]


async def test_it_waits_for_earlier_events_that_begin_the_runs_it_is_for(shop: Shop) -> None:
    shop.publish(WAITING)
    await wait_for_stock(shop)
    await wait_for_stock(shop, BEA)
    shop.clock.moment += timedelta(seconds=1)
    await shop.receive("product.restocked", **RESTOCKED)
    await shop.app.enrolling.run_once(limit=1)  # a backlog: only one of them has been heard
    await shop.pass_time(hours=3)
    assert templates(shop) == ["cart/reminder", "cart/reminder"]


async def test_one_that_raises_for_somebody_is_heard_by_all_others_and_parked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(situation: Situation, event: Event) -> Heard:
        if event.contact_id is None and situation.names["contact"]["email"] == ADA:
            raise RuntimeError("poison")
        return hearing.hear(situation, event)

    shop.publish(WAITING)
    await wait_for_stock(shop)
    await wait_for_stock(shop, BEA)
    await shop.settle()
    monkeypatch.setattr(enrolling, "hear", poisoned)
    await shop.receive("product.restocked", **RESTOCKED)
    for _ in range(5):
        await shop.pass_time(seconds=11)
    with shop.app.database.read() as uow:
        assert uow.events.unheard_nameless(["product.restocked"]) == []
    assert [mail.envelope_to for _, mail in shop.provider.sent] == [BEA]
