"""Who enters by a segment: those who join it, once, whatever happens to the process."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from orchestrator.domain.flows import Current
from orchestrator.flowfile import load_text
from orchestrator.ports import Audience, SegmentWatch
from orchestrator.services import audiences
from orchestrator.services.audiences import EVERY, Segments, Watched, fingerprint, next_watch
from orchestrator.storage.identifiers import UuidIds
from tests.integration.shop import BRAND, START, Shop

ADA, BEA, CAT = "ada@example.com", "bea@example.com", "cat@example.com"

VIP = """\
segments:
  vip: contact.orders.count >= 2
flows:
  thanks:
    class: marketing
    topic: offers
    when: {segment: vip}
    steps:
      - wait: 1 hour
      - send: cart/nudge
"""


async def look(shop: Shop, segments: Segments | None = None) -> None:
    """Look at every segment until there is nothing to look at."""
    await shop.settle()
    for _ in range(100):
        if not await (segments or shop.app.segments).run_once():
            return
    raise AssertionError("the look does not end")


async def look_later(shop: Shop) -> None:
    shop.clock.moment += EVERY
    await look(shop)


async def buy(shop: Shop, email: str, orders: int) -> None:
    for number in range(orders):
        await shop.receive("order.placed", email, order_id=f"{email} {number} {shop.count}")


async def test_people_inside_when_a_flow_is_first_loaded_are_left_alone(shop: Shop) -> None:
    await buy(shop, ADA, 2)
    shop.publish(BRAND + VIP)
    await look(shop)
    await look_later(shop)
    assert shop.runs(ADA) == []


async def test_with_current_enter_they_enter(shop: Shop) -> None:
    await buy(shop, ADA, 2)
    shop.publish(BRAND + VIP.replace("{segment: vip}", "{segment: vip, current: enter}"))
    await look(shop)
    await look_later(shop)
    assert len(shop.runs(ADA)) == 1


async def test_whoever_joins_enters_within_five_minutes_and_once(shop: Shop) -> None:
    await buy(shop, ADA, 1)
    await buy(shop, BEA, 1)
    shop.publish(BRAND + VIP)
    await look(shop)
    await buy(shop, ADA, 1)
    await look(shop)
    assert shop.runs(ADA) == []
    for _ in range(3):
        await look_later(shop)
    (run,) = shop.runs(ADA)
    assert run.entered_at == START + EVERY
    assert run.key == ""
    assert shop.runs(BEA) == []


async def test_whoever_leaves_and_joins_again_enters_by_the_reentry_rule(shop: Shop) -> None:
    shop.publish(
        BRAND
        + VIP.replace("contact.orders.count >= 2", "contact.first_name == 'Ada'").replace(
            "    steps:", "    reenter: always\n    steps:"
        )
    )
    await shop.receive("contact.updated", ADA)
    await look(shop)
    for name in ("Ada", "Eve", "Ada"):
        await shop.receive("contact.updated", ADA, contact={"first_name": name})
        await look_later(shop)
        await shop.pass_time(hours=1)
    assert [run.entry for run in shop.runs(ADA)] == [1, 2]


async def test_an_edited_condition_brings_nobody_in_at_once(shop: Shop) -> None:
    await buy(shop, ADA, 1)
    await buy(shop, BEA, 2)
    await buy(shop, CAT, 0)
    await shop.receive("contact.updated", CAT)
    shop.publish(BRAND + VIP)
    await look(shop)
    shop.publish(BRAND + VIP.replace(">= 2", ">= 1"))
    await look(shop)
    await look_later(shop)
    assert shop.runs(ADA) == shop.runs(BEA) == []
    await buy(shop, CAT, 1)
    await look_later(shop)
    assert len(shop.runs(CAT)) == 1


async def test_a_flow_that_comes_back_begins_anew(shop: Shop) -> None:
    shop.publish(BRAND + VIP)
    await look(shop)
    shop.publish(BRAND + VIP.replace("{segment: vip}", "manual"))
    await buy(shop, ADA, 2)
    await look(shop)
    with shop.app.database.read() as uow:
        assert uow.audiences.watches() == []
    shop.publish(BRAND + VIP)
    await look(shop)
    await look_later(shop)
    assert shop.runs(ADA) == []


async def test_the_audience_must_hold_when_somebody_joins(shop: Shop) -> None:
    limited = VIP.replace("    steps:", "    audience: contact.country == 'FI'\n    steps:")
    shop.publish(BRAND + limited)
    await look(shop)
    await buy(shop, ADA, 2)
    await buy(shop, BEA, 2)
    await shop.receive("contact.updated", BEA, contact={"country": "FI"})
    await look_later(shop)
    assert shop.runs(ADA) == []
    assert len(shop.runs(BEA)) == 1


async def test_merged_and_erased_people_never_enter(shop: Shop) -> None:
    shop.publish(BRAND + VIP)
    await look(shop)
    await buy(shop, ADA, 2)
    await buy(shop, BEA, 2)
    ada, bea = shop.contact_id(ADA), shop.contact_id(BEA)
    with shop.app.database.transaction() as uow:
        uow.contacts.update(
            {ada: {"erased_at": shop.clock.now()}, bea: {"merged_into": ada}}, shop.clock.now()
        )
    await look_later(shop)
    assert shop.runs(ADA) == shop.runs(BEA) == []


async def test_a_look_goes_on_where_a_crash_stopped_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("BATCH", 3), ("WINDOW", 2), ("WINDOWS", 2)):
        monkeypatch.setattr(audiences, name, size)
    people = [f"p{number}@example.com" for number in range(11)]
    for email in people:
        await buy(shop, email, 2)
    shop.publish(BRAND + VIP.replace("{segment: vip}", "{segment: vip, current: enter}"))
    await shop.settle()
    assert await shop.app.segments.run_once() == 1
    await shop.settle()
    entered = sum(len(shop.runs(email)) for email in people)
    assert 0 < entered < len(people)
    restarted = Segments(shop.app.database, shop.app.library, shop.clock, UuidIds())
    await look(shop, restarted)
    assert [len(shop.runs(email)) for email in people] == [1] * len(people)


async def test_of_two_processes_one_does_the_work(shop: Shop) -> None:
    await buy(shop, ADA, 2)
    shop.publish(BRAND + VIP.replace("{segment: vip}", "{segment: vip, current: enter}"))
    await shop.settle()
    with shop.app.database.transaction() as uow:
        book = shop.app.library.book(shop.app.library.live())
        audience = Audience(book.segments["vip"], book.segments, book.tables)
        first = SegmentWatch("thanks", "vip", fingerprint(audience), False, START, 1)
        assert uow.audiences.advance(first)
        assert not uow.audiences.advance(first)
    await look(shop)
    assert len(shop.runs(ADA)) == 1


async def test_processes_side_by_side_let_everybody_in_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("BATCH", 4), ("WINDOW", 3), ("WINDOWS", 1)):
        monkeypatch.setattr(audiences, name, size)
    people = [f"p{number}@example.com" for number in range(20)]
    for email in people:
        await buy(shop, email, 2)
    shop.publish(
        BRAND
        + VIP.replace("{segment: vip}", "{segment: vip, current: enter}").replace(
            "    steps:", "    reenter: always\n    steps:"
        )
    )
    await shop.settle()
    app = shop.app
    others = [Segments(app.database, app.library, shop.clock, UuidIds()) for _ in range(3)]
    for _ in range(20):
        await asyncio.gather(*(one.run_once() for one in others))
    assert [run.entry for email in people for run in shop.runs(email)] == [1] * len(people)


def watched(condition: str, current: Current = Current.SKIP, more: str = "") -> Watched:
    text = f"""{BRAND}
segments:
  vip: {condition}
  rich: contact.orders.total > 100
tables:
  refill: {{COF: 28 days}}
{more}
flows:
  thanks: {{when: {{segment: vip}}, class: legal, steps: [send: cart/nudge]}}
"""
    book = load_text(text).book
    assert book is not None, load_text(text).findings
    audience = Audience(book.segments["vip"], book.segments, book.tables)
    return Watched(book.flows["thanks"], "vip", current, audience)


def test_the_layout_of_a_condition_does_not_matter() -> None:
    one = watched("contact.orders.count > 2 and rich")
    other = watched("( contact.orders.count>2 )  and  rich")
    assert fingerprint(one.audience) == fingerprint(other.audience)


def test_a_segment_within_a_segment_is_part_of_its_meaning() -> None:
    one = watched("contact.orders.count > 2 and rich")
    audience = one.audience
    segments = {**audience.segments, "rich": watched("rich").audience.segments["vip"]}
    changed = Audience(audience.condition, segments, audience.tables)
    assert fingerprint(audience) != fingerprint(changed)


def test_a_look_that_is_not_finished_goes_on_and_a_finished_one_rests() -> None:
    one = watched("contact.orders.count > 2")
    begun = next_watch(one, None, START)
    assert begun is not None
    assert (begun.revision, begun.baseline, begun.cursor) == (1, True, None)
    assert next_watch(one, begun, START + EVERY) == SegmentWatch(
        "thanks", "vip", begun.condition, True, START, 2
    )
    done = SegmentWatch("thanks", "vip", begun.condition, True, START, 2, None, START)
    assert next_watch(one, done, START + EVERY - timedelta(seconds=1)) is None
    again = next_watch(one, done, START + EVERY)
    assert again is not None
    assert (again.revision, again.baseline, again.finished_at) == (3, False, None)
