"""Events once, in order, and one bad one in nobody else's way; what they name; tokens."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import EventId
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.ports import NewEvent
from orchestrator.storage.suppressions import SqlSuppressions
from orchestrator.storage.tables import event, shop_order, suppression, used_token

HOUR = timedelta(hours=1)


def test_an_event_is_stored_once_per_source_and_id(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    new = world.new_event(person, "e1", payload={"total": "12.50", "items": [{"name": "\u00e9"}]})
    twin = world.new_event(person, "e1")
    foreign = NewEvent(
        EventId(world.ids.new()),
        person,
        world.clock.now(),
        IncomingEvent("other", "e1", "order.placed", world.clock.now(), None, {}),
    )
    with database.transaction() as unit:
        assert unit.events.insert([new, twin, foreign]) == {new.id, foreign.id}
    with database.transaction() as unit:
        assert unit.events.insert([world.new_event(person, "e1")]) == set()
        assert unit.events.known([("shop", "e1"), ("shop", "e2")]) == {("shop", "e1")}
        stored = unit.events.load([new.id, twin.id])
    assert set(stored) == {new.id}
    assert stored[new.id].payload == new.event.payload
    assert stored[new.id].occurred_at == new.event.occurred_at


def test_an_event_stored_for_the_record_is_not_heard(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    kept = world.event(person, "e1", processed=True)
    with database.transaction() as unit:
        assert unit.events.lock_waiting_contacts(9) == []
        assert unit.events.unprocessed([person]) == {}
        assert set(unit.events.load([kept])) == {kept}


def test_unprocessed_events_come_in_the_order_received(world: Any, database: Any) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    first, other, second = world.event(ada, "2"), world.event(bob, "3"), world.event(ada, "1")
    with database.transaction() as unit:
        assert unit.events.lock_waiting_contacts(9) == sorted([ada, bob])
        waiting = unit.events.unprocessed([ada, bob])
        assert [one.id for one in waiting[ada]] == [first, second]
        assert [one.id for one in waiting[bob]] == [other]
        unit.events.mark_processed([first, other], world.clock.now())
        waiting = unit.events.unprocessed([ada, bob])
        assert {who: [one.id for one in events] for who, events in waiting.items()} == {
            ada: [second]
        }


def test_as_many_contacts_are_locked_as_wanted(world: Any, database: Any) -> None:
    people = [world.contact(f"p{number}@example.com") for number in range(5)]
    for number in range(40):
        world.event(people[0], f"many {number}")
    for person in people[1:]:
        world.event(person, f"one of {person}")
    with database.transaction() as unit:
        assert unit.events.lock_waiting_contacts(1) == [people[0]]
        assert 1 <= len(unit.events.lock_waiting_contacts(3)) <= 3
        assert unit.events.lock_waiting_contacts(99) == sorted(people)


def test_a_persons_events_wait_behind_one_that_is_tried_later(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    before, bad, after = (world.event(person, name) for name in ("1", "2", "3"))
    now = world.clock.now()
    with database.transaction() as unit:
        unit.events.fail([bad], now, now + HOUR, tries=5)
        assert unit.events.lock_waiting_contacts(9) == [person]
        assert [one.id for one in unit.events.unprocessed([person])[person]] == [before]
        unit.events.mark_processed([before], now)
        assert unit.events.lock_waiting_contacts(9) == []
        assert unit.events.unprocessed([person]) == {}
    world.clock.step(HOUR)
    with database.transaction() as unit:
        assert unit.events.lock_waiting_contacts(9) == [person]
        assert [one.id for one in unit.events.unprocessed([person])[person]] == [bad, after]


def test_an_event_that_keeps_failing_is_parked_and_lets_the_next_pass(
    world: Any, database: Any
) -> None:
    person = world.contact("ada@example.com")
    bad, after = world.event(person, "1"), world.event(person, "2")
    for _ in range(2):
        now = world.clock.step(HOUR)
        with database.transaction() as unit:
            assert unit.events.unprocessed([person])[person][0].id == bad
            unit.events.fail([bad], now, now + HOUR, tries=2)
    with database.transaction() as unit:
        assert [one.id for one in unit.events.unprocessed([person])[person]] == [after]
    with database.engine.connect() as connection:
        row = connection.execute(select(event).where(event.c.id == bad)).one()
    assert (row.attempts, row.parked_at) == (2, world.clock.now())


def test_events_that_name_nobody_are_found_apart(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    earlier = world.event(person, "1")
    nameless, later = world.event(None, "2"), world.event(None, "3")
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.events.lock_waiting_contacts(9) == [person]
        assert unit.events.lock_without_contact(9) == []  # an earlier one is not heard yet
        unit.events.mark_processed([earlier], now)
        assert [one.id for one in unit.events.lock_without_contact(1)] == [nameless]
        unit.events.fail([nameless], now, now + HOUR, tries=5)
        assert [one.id for one in unit.events.lock_without_contact(9)] == [later]


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800 surrogate", "\U0001f600 kept"])
def test_text_no_database_takes_does_not_refuse_the_event(
    world: Any, database: Any, text: str
) -> None:
    stored = world.event(world.contact("ada@example.com"), "e1", payload={"text": text, text: 1})
    with database.transaction() as unit:
        payload = unit.events.load([stored])[stored].payload
    cleaned = text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert payload == {"text": cleaned, cleaned: 1}


def test_a_checkout_is_inserted_and_then_replaced(world: Any, database: Any) -> None:
    now = world.clock.now()
    person = world.contact("ada@example.com")
    before = CheckoutState("c1", None, {"total": "10"}, now)
    after = CheckoutState("c1", person, {"total": "12", "items": []}, now + HOUR, now, now + HOUR)
    with database.transaction() as unit:
        assert unit.purchases.checkouts(["c1", "c2"]) == {}
        unit.purchases.save_checkouts([before])
        assert unit.purchases.checkouts(["c1", "c2"]) == {"c1": before}
        unit.purchases.save_checkouts([after, CheckoutState("c2", None, {}, now)])
        assert unit.purchases.checkouts(["c1"]) == {"c1": after}
        unit.purchases.save_checkouts([])


def test_an_order_names_its_checkout_and_keeps_its_amount_exactly(
    world: Any, database: Any
) -> None:
    now = world.clock.now()
    state = {"total": "12345678901234567890.10", "currency": "EUR"}
    order = OrderState("o1", None, "c1", "placed", state, now, now)
    odd = OrderState("o2", None, None, "paid", {"total": "free", "currency": "euro"}, now, None)
    with database.transaction() as unit:
        unit.purchases.save_orders([order, odd])
        assert unit.purchases.orders(["o1", "o2", "o3"]) == {"o1": order, "o2": odd}
        assert unit.purchases.ordered_checkouts(["c1", "c2"]) == {"c1"}
    with database.engine.connect() as connection:
        rows = connection.execute(
            select(shop_order.c.total, shop_order.c.currency).order_by(shop_order.c.id)
        ).all()
    assert rows == [(Decimal("12345678901234567890.10"), "EUR"), (None, None)]


def test_a_suppression_holds_for_its_channel_and_address_alone(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        unit.suppressions.add(
            Channel.EMAIL, "ada@example.com", reason="bounced", hard=True, source="smtp", now=now
        )
        asked = [
            (Channel.EMAIL, "ada@example.com"),
            (Channel.SMS, "ada@example.com"),
            (Channel.EMAIL, "bob@example.com"),
        ]
        assert unit.suppressions.find(asked) == {asked[0]: True}
        assert unit.suppressions.find([]) == {}


def test_a_hard_suppression_is_never_softened(world: Any, database: Any) -> None:
    now = world.clock.now()
    address = (Channel.EMAIL, "ada@example.com")
    with database.transaction() as unit:
        for hard, expected in ((False, False), (True, True), (False, True)):
            unit.suppressions.add(*address, reason=f"{hard}", hard=hard, source="test", now=now)
            assert unit.suppressions.find([address]) == {address: expected}
    with database.engine.connect() as connection:
        assert connection.scalar(select(suppression.c.reason)) == "True"


def test_a_suppressed_address_is_known_by_a_keyed_hash_alone(world: Any, database: Any) -> None:
    address = (Channel.EMAIL, "ada@example.com")
    with database.transaction() as unit:
        unit.suppressions.add(*address, reason="x", hard=True, source="x", now=world.clock.now())
    with database.engine.connect() as connection:
        row = connection.execute(select(suppression)).one()
        assert "ada" not in str(row)
        assert SqlSuppressions(connection, b"another key").find([address]) == {}


def test_a_token_is_spent_once_and_stored_as_its_hash(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.tokens.use("secret", now, now + HOUR)
        assert not unit.tokens.use("secret", now, None)
        assert unit.tokens.use("another", now, None)
    with database.engine.connect() as connection:
        assert "secret" not in str(connection.execute(select(used_token)).all())
