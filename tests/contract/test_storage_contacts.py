"""One contact per person: found, created, filled, and merged without loss."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.errors import MalformedPayload
from orchestrator.domain.events import ContactFields
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.ports import Attempt
from orchestrator.storage.tables import (
    attempt,
    contact,
    contact_identity,
    contact_merge,
    coupon,
    enrolment,
    event,
    message,
)

HOUR = timedelta(hours=1)


def resolve(world: Any, database: Any, *people: ContactFields) -> Any:
    with database.transaction() as unit:
        return unit.contacts.resolve(people, world.clock.now())


def load(database: Any, *ids: Any) -> Any:
    with database.read() as unit:
        return unit.contacts.load(ids)


def test_somebody_unknown_is_created_with_what_is_told(world: Any, database: Any) -> None:
    told = ContactFields(
        id="7",
        email="ada@example.com",
        phone="+358401234567",
        first_name="Ada",
        locale="fi",
        timezone="Europe/Helsinki",
        country="FI",
        attributes={"points": 3},
        source={"utm_source": "fair"},
    )
    [found] = resolve(world, database, told)
    stored = load(database, found.contact_id)[found.contact_id]
    assert (found.created, found.merged) == (True, ())
    for name in ("email", "phone", "first_name", "locale", "timezone", "country"):
        assert getattr(stored, name) == getattr(told, name)
    assert (stored.attributes, stored.source) == (told.attributes, told.source)
    assert (stored.external_id, stored.created_at) == ("7", world.clock.now())
    assert (stored.orders, stored.tracking, stored.tags) == (OrderHistory(), False, ())


@pytest.mark.parametrize(("kind", "value"), [("id", "7"), ("email", "a@x.fi"), ("phone", "+35840")])
def test_every_identity_leads_to_its_contact(
    world: Any, database: Any, kind: str, value: str
) -> None:
    [made] = resolve(world, database, ContactFields(id="7", email="a@x.fi", phone="+35840"))
    told: dict[str, Any] = {kind: value}
    [found] = resolve(world, database, ContactFields(**told))
    assert (found.contact_id, found.created) == (made.contact_id, False)
    with database.read() as unit:
        assert unit.contacts.find(kind, value) == made.contact_id
        assert unit.contacts.find(kind, "nobody") is None


def test_people_of_one_batch_who_share_an_identity_are_one(world: Any, database: Any) -> None:
    found = resolve(
        world,
        database,
        ContactFields(email="ada@example.com"),
        ContactFields(email="bob@example.com"),
        ContactFields(email="ada@example.com", phone="+35840"),
        ContactFields(phone="+35840", id="7"),
    )
    ada, bob, again, once_more = found
    assert ada.contact_id == again.contact_id == once_more.contact_id != bob.contact_id
    assert [one.created for one in found] == [True, True, False, False]
    stored = load(database, ada.contact_id)[ada.contact_id]
    assert (stored.email, stored.phone, stored.external_id) == ("ada@example.com", "+35840", "7")


def test_a_new_address_is_attached_and_fills_an_empty_field(world: Any, database: Any) -> None:
    [made] = resolve(world, database, ContactFields(id="7"))
    resolve(world, database, ContactFields(id="7", email="ada@example.com"))
    resolve(world, database, ContactFields(id="7", email="ada@work.example"))
    stored = load(database, made.contact_id)[made.contact_id]
    assert stored.email == "ada@example.com"
    with database.read() as unit:
        assert unit.contacts.find("email", "ada@work.example") == made.contact_id


def test_nobody_at_all_cannot_be_resolved(world: Any, database: Any) -> None:
    with pytest.raises(ValueError, match="recognised"):
        resolve(world, database, ContactFields(first_name="Ada"))


def test_a_name_that_is_no_text_is_a_malformed_payload(world: Any, database: Any) -> None:
    with pytest.raises(MalformedPayload):
        resolve(world, database, ContactFields(id="7", first_name="half \ud800 a pair"))


def test_an_empty_batch_resolves_to_nothing(world: Any, database: Any) -> None:
    assert resolve(world, database) == []


def test_a_merge_keeps_the_older_contact_and_records_it(world: Any, database: Any) -> None:
    older = world.contact("ada@example.com", first_name="Ada")
    world.clock.step(HOUR)
    [newer] = resolve(world, database, ContactFields(phone="+35840", last_name="Lovelace"))
    [found] = resolve(world, database, ContactFields(email="ada@example.com", phone="+35840"))
    assert (found.contact_id, found.merged) == (older, (newer.contact_id,))
    stored = load(database, older, newer.contact_id)
    kept, merged = stored[older], stored[newer.contact_id]
    assert (kept.first_name, kept.last_name, kept.phone) == ("Ada", "Lovelace", "+35840")
    assert (merged.merged_into, merged.phone, merged.last_name) == (older, None, None)
    with database.engine.connect() as connection:
        record = connection.execute(select(contact_merge)).one()
        owners = set(connection.scalars(select(contact_identity.c.contact_id)))
    assert (record.merged_id, record.kept_id, record.kind) == (newer.contact_id, older, "phone")
    assert owners == {older}


def test_a_merge_of_merged_contacts_leads_to_the_oldest(world: Any, database: Any) -> None:
    first = world.contact("a@example.com")
    world.clock.step(HOUR)
    second = world.contact("b@example.com")
    world.clock.step(HOUR)
    third = world.contact("c@example.com")
    resolve(world, database, ContactFields(id="7", email="b@example.com"))
    [found] = resolve(world, database, ContactFields(id="7", email="c@example.com"))
    assert (found.contact_id, found.merged) == (second, (third,))
    resolve(world, database, ContactFields(id="8", email="a@example.com"))
    [found] = resolve(world, database, ContactFields(id="8", phone="+1", email="c@example.com"))
    assert (found.contact_id, found.merged) == (first, (second,))
    stored = load(database, first, second, third)
    assert stored[second].merged_into == stored[third].merged_into == first


def test_a_merge_adds_up_the_history_of_orders(world: Any, database: Any) -> None:
    now = world.clock.now()
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    history = {
        ada: {
            "orders_count": 2,
            "orders_total": Decimal("10.10"),
            "orders_first_at": now - 9 * HOUR,
            "orders_last_at": now - HOUR,
            "orders_skus": ["A", "B"],
            "orders_categories": ["tea"],
            "tags": ["vip"],
            "attributes": {"points": 1},
            "tracking": True,
        },
        bob: {
            "orders_count": 1,
            "orders_total": Decimal("0.20"),
            "orders_first_at": now - 3 * HOUR,
            "orders_last_at": now,
            "orders_skus": ["B", "C"],
            "orders_categories": [],
            "tags": ["new", "vip"],
            "attributes": {"points": 5, "size": "L"},
            "last_seen_at": now,
        },
    }
    with database.transaction() as unit:
        unit.contacts.update(history, now)
    resolve(world, database, ContactFields(id="7", email="ada@example.com"))
    [found] = resolve(world, database, ContactFields(id="7", email="bob@example.com"))
    kept = load(database, found.contact_id)[found.contact_id]
    assert found.contact_id == min(ada, bob)
    assert kept.orders.count == 3
    assert kept.orders.total == Decimal("10.30")
    assert (kept.orders.first_at, kept.orders.last_at) == (now - 9 * HOUR, now)
    assert kept.orders.skus == ("A", "B", "C")
    assert (kept.tags, kept.attributes) == (("vip", "new"), {"points": 1, "size": "L"})
    assert (kept.tracking, kept.last_seen_at) == (False, now)


def test_a_merge_moves_everything_the_contact_had(world: Any, database: Any) -> None:
    now = world.clock.now()
    ada = world.contact("ada@example.com")
    world.clock.step(HOUR)
    bob = world.contact("bob@example.com")
    run = world.run(bob, key="c9")
    sent = world.message(run)
    heard = world.event(bob, "e1")
    with database.transaction() as unit:
        unit.purchases.save_checkouts([CheckoutState("c1", bob, {}, now)])
        unit.purchases.save_orders([OrderState("o1", bob, "c1", "placed", {}, now, now)])
        unit.messages.record_attempts([Attempt(sent.id, 1, "smtp", now, now, "sent")])
        unit.coupons.assign(bob, run.id, "gift", "CODE", "pool", None, now)
    people = [ContactFields(email="ada@example.com", id="7"), ContactFields(id="8")]
    resolve(world, database, *people)
    resolve(world, database, ContactFields(email="bob@example.com", id="7"))
    with database.transaction() as unit:
        assert [one.id for one in unit.enrolments.live_of([ada])[ada]] == [run.id]
        assert [one.id for one in unit.events.unprocessed([ada])[ada]] == [heard]
        assert unit.messages.load([sent.id])[sent.id].contact_id == ada
        assert unit.purchases.checkouts(["c1"])["c1"].contact_id == ada
        assert unit.purchases.orders(["o1"])["o1"].contact_id == ada
    with database.engine.connect() as connection:
        for table in (enrolment, message, event, attempt):
            assert connection.scalar(select(table.c.shard)) == shard_of(ada)
        assert connection.scalar(select(coupon.c.contact_id)) == ada


def test_of_two_live_runs_of_a_key_the_older_goes_on(world: Any, database: Any) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    ada, bob = min(ada, bob), max(ada, bob)
    newer = world.run(ada, key="k", entered_at=world.clock.now() + HOUR)
    older = world.run(bob, key="k")
    other = world.run(bob, key="other")
    doomed, going = world.message(newer), world.message(older)
    for email in ("ada@example.com", "bob@example.com"):
        resolve(world, database, ContactFields(id="7", email=email))
    with database.transaction() as unit:
        live = {run.id for run in unit.enrolments.live_of([ada])[ada]}
        assert live == {older.id, other.id}
        ended = unit.enrolments.load([newer.id])[newer.id]
        assert (ended.end_reason, ended.contact_id) == ("merged", ada)
        messages = unit.messages.load([doomed.id, going.id])
        last = unit.enrolments.last_entries([("cart", ada, "k")])[("cart", ada, "k")]
    assert (messages[doomed.id].state, messages[doomed.id].reason) == ("cancelled", "merged")
    assert messages[going.id].state == "queued"
    assert (last.id, last.live, last.entry) == (older.id, True, 2)


def test_entries_of_both_are_numbered_on(world: Any, database: Any) -> None:
    ada, bob = sorted([world.contact("ada@example.com"), world.contact("bob@example.com")])
    now = world.clock.now()
    for person in (ada, bob):
        for entry in (1, 2):
            run = world.run(person, key="k", entry=entry)
            with database.transaction() as unit:
                unit.enrolments.end([run.id], "exited", now)
    for email in ("ada@example.com", "bob@example.com"):
        resolve(world, database, ContactFields(id="7", email=email))
    with database.read() as unit:
        assert sorted(run.entry for run in unit.enrolments.of_contact(ada)) == [1, 2, 3, 4]


def test_contacts_are_changed_column_by_column(world: Any, database: Any) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    later = world.clock.step(HOUR)
    with database.transaction() as unit:
        unit.contacts.update(
            {ada: {"first_name": "Ada", "tags": ["vip"]}, bob: {"phone": None, "tracking": True}},
            later,
        )
        unit.contacts.update({}, later)
        people = unit.contacts.lock([ada, bob])
    assert (people[ada].first_name, people[ada].tags) == ("Ada", ("vip",))
    assert (people[ada].email, people[ada].tracking) == ("ada@example.com", False)
    assert (people[bob].first_name, people[bob].tracking) == (None, True)


@pytest.mark.parametrize("name", ["emial", "id", "shard", "created_at"])
def test_a_column_that_is_not_to_be_written_is_refused(
    world: Any, database: Any, name: str
) -> None:
    person = world.contact("ada@example.com")
    with (
        database.transaction() as unit,
        pytest.raises(ValueError, match=name),
    ):
        unit.contacts.update({person: {name: "x"}}, world.clock.now())


def test_contacts_that_do_not_exist_are_left_out(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    with database.transaction() as unit:
        assert set(unit.contacts.load([person, ContactId(world.ids.new())])) == {person}
        assert set(unit.contacts.lock([person, ContactId(world.ids.new())])) == {person}
        assert unit.contacts.load([]) == {}


def test_identities_given_to_a_contact_that_was_merged_meanwhile_follow_it(
    world: Any, database: Any
) -> None:
    ada, bob = sorted([world.contact("ada@example.com"), world.contact("bob@example.com")])
    with database.engine.begin() as connection:
        connection.execute(
            contact.update().where(contact.c.id == bob).values(merged_into=ada, email=None)
        )
    [found] = resolve(world, database, ContactFields(id="7", email="bob@example.com"))
    with database.read() as unit:
        assert found.contact_id == ada == unit.contacts.find("id", "7")


def test_an_address_of_somebody_erased_is_free_again(world: Any, database: Any) -> None:
    erased = world.contact("ada@example.com")
    with database.transaction() as unit:
        unit.contacts.update({erased: {"erased_at": world.clock.now()}}, world.clock.now())
    [found] = resolve(world, database, ContactFields(email="ada@example.com"))
    assert found.created
    assert found.contact_id != erased


def test_what_a_person_withdrew_is_not_granted_by_a_merge(world: Any, database: Any) -> None:
    from orchestrator.domain.consent import ConsentAction, ConsentEntry, LegalBasis  # noqa: PLC0415

    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    now = world.clock.now()

    def entry(person: ContactId, action: ConsentAction) -> ConsentEntry:
        return ConsentEntry(
            person, Channel.EMAIL, "offers", action, LegalBasis.CONSENT, "form", now
        )

    with database.transaction() as unit:
        unit.consents.append(
            [entry(ada, ConsentAction.WITHDRAWN), entry(bob, ConsentAction.GRANTED)], now
        )
    for email in ("ada@example.com", "bob@example.com"):
        resolve(world, database, ContactFields(id="7", email=email))
    kept, gone = sorted([ada, bob])
    with database.read() as unit:
        states = unit.consents.states([kept, gone])
        assert [state.status for state in states[kept]] == ["withdrawn"]
        assert states[gone] == []
        assert len(unit.consents.records(kept)) >= 2


def test_people_who_share_a_telephone_stay_two(world: Any) -> None:
    ada = ContactFields(email="ada@example.com", phone="+358401234567")
    bea = ContactFields(email="bea@example.com", phone="+358401234567")
    with world.database.transaction() as unit:
        first = unit.contacts.resolve([ada], world.clock.now())[0].contact_id
        second, again = unit.contacts.resolve([bea, ada], world.clock.now())
        assert second.contact_id != first
        assert again.contact_id == first
        alone = ContactFields(phone="+358401234567")
        assert unit.contacts.resolve([alone], world.clock.now())[0].contact_id == first


def test_people_who_share_a_telephone_stay_two_within_a_batch(world: Any) -> None:
    people = [ContactFields(email=f"{name}@example.com", phone="+358401234567") for name in "abc"]
    with world.database.transaction() as unit:
        found = unit.contacts.resolve(people, world.clock.now())
        assert len({one.contact_id for one in found}) == 3


def test_a_telephone_known_alone_joins_the_address_told_later(world: Any) -> None:
    with world.database.transaction() as unit:
        now = world.clock.now()
        (alone,) = unit.contacts.resolve([ContactFields(phone="+358401234567")], now)
        both = ContactFields(email="ada@example.com", phone="+358401234567")
        (joined,) = unit.contacts.resolve([both], now)
        assert joined.contact_id == alone.contact_id


def test_everybody_at_a_phone_is_found_also_who_was_only_recognised_by_it(
    world: Any, database: Any
) -> None:
    number = "+358401234567"
    # A family shares a telephone: it leads to the first of them, and all are reached there.
    family = {world.contact(f"{name}@example.com", phone=number) for name in ("ada", "bea", "cia")}
    moved, gone = world.contact("dan@example.com", phone="+358409999999"), world.contact("e@x.fi")
    with database.transaction() as unit:
        unit.contacts.update({moved: {"phone": "+358408888888"}}, world.clock.now())
        unit.contacts.update(
            {gone: {"phone": number, "erased_at": world.clock.now()}}, world.clock.now()
        )
        assert unit.contacts.at_phone(number) == sorted(family)
        assert unit.contacts.at_phone("+358409999999") == [moved]
        assert unit.contacts.at_phone("+358408888888") == [moved]
        assert unit.contacts.at_phone("+358401111111") == []
