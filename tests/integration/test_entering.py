"""The door into journeys: what one event, or many at once, may begin and end."""

from __future__ import annotations

from tests.integration.shop import BRAND, Shop

ADA = "ada@example.com"

AFTER_PURCHASE = """\
flows:
  thanks:
    class: legal
    when: {event: order.placed}
    reenter: always
    exit_when: {event: order.placed}
    steps:
      - wait: 10 days
      - send: cart/nudge
"""


async def buy(shop: Shop, order: str) -> None:
    await shop.receive("order.placed", ADA, order_id=order)


async def test_the_event_that_ends_a_run_begins_the_next(shop: Shop) -> None:
    shop.publish(BRAND + AFTER_PURCHASE)
    for order in ("o1", "o2"):
        await buy(shop, order)
        await shop.settle()
    assert [(run.entry, run.end_reason) for run in shop.runs(ADA)] == [(1, "exited"), (2, None)]


async def test_events_of_one_batch_begin_and_end_runs_in_their_order(shop: Shop) -> None:
    shop.publish(BRAND + AFTER_PURCHASE)
    for order in ("o1", "o2", "o3"):
        await buy(shop, order)
    await shop.settle()
    runs = shop.runs(ADA)
    assert runs[-1].end_reason is None
    assert {run.end_reason for run in runs[:-1]} <= {"exited"}
    assert [run.entry for run in runs] == [1, 2, 3]


async def test_restarts_of_one_batch_leave_the_last_run(shop: Shop) -> None:
    restart = AFTER_PURCHASE.replace("always", "restart")
    shop.publish(BRAND + restart.replace("    exit_when: {event: order.placed}\n", ""))
    for order in ("o1", "o2", "o3"):
        await buy(shop, order)
    await shop.settle()
    assert [run.end_reason for run in shop.runs(ADA)] == ["restarted", "restarted", None]
