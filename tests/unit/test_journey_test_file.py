"""The reader of `NAME.test.yaml`: what it takes, and what it says about the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from orchestrator.domain.events import EVENT_FIELDS
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.journey_tests import (
    EnteredByHand,
    EventComes,
    JourneyTest,
    PolicyChanges,
    Told,
)
from orchestrator.flowfile import load_text
from orchestrator.flowfile.journey_tests import (
    LoadedTests,
    json_schema,
    load_tests,
    path_of_tests,
    read_tests,
)
from orchestrator.simulation.people import unreadable

ROOT = Path(__file__).parents[2]

FLOWS = """\
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <news@northwind.example>
  postal_address: Keskuskatu 1, 00100 Helsinki, Finland
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  offers: {title: Offers}
  news: {title: News}
attributes: {points: number}
flows:
  abandoned_cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    steps:
      - send: cart/reminder
        id: first
"""

TEST = """\
tests:
  - name: a buyer leaves the cart journey
    flow: abandoned_cart
    contact: {email: ada@example.com, timezone: Europe/Warsaw, consent: {email: [offers]}}
    start: 2026-11-20 10:00
    events:
      - at: 0 minutes
        checkout.started: {checkout_id: c1, total: 40}
    expect: []
"""


def book() -> FlowBook:
    loaded = load_text(FLOWS)
    assert loaded.book is not None, loaded.findings
    return loaded.book


def read(text: str) -> LoadedTests:
    return read_tests(text, "flows.test.yaml", book(), unreadable)


def only(text: str) -> JourneyTest:
    loaded = read(text)
    assert loaded.findings == ()
    (test,) = loaded.tests
    return test


def with_events(*events: str) -> str:
    head, tail = TEST.split("      - at: 0 minutes", maxsplit=1)[0], "    expect: []\n"
    return head + "".join(indent(f"- {one}\n", "      ") for one in events) + tail


def told(text: str) -> list[str]:
    return [str(one).removeprefix("flows.test.yaml:") for one in read(text).findings]


# What it takes --------------------------------------------------------------------------------


def test_a_test_starts_by_the_contacts_own_clock() -> None:
    test = only(TEST)
    assert test.name == "a buyer leaves the cart journey"
    assert test.start == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert (test.line, test.column) == (2, 5)
    assert test.person.consent == {Channel.EMAIL: ("offers",)}


def test_without_a_time_zone_it_is_the_brands() -> None:
    test = only(TEST.replace(", timezone: Europe/Warsaw", ""))
    assert test.start == datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "after"),
    [
        ("0 minutes", timedelta()),
        ("90 seconds", timedelta(seconds=90)),
        ("1 day 2 hours", timedelta(hours=26)),
        ("1 calendar day at 08:00", timedelta(hours=22)),
        ("2026-11-21 10:30", timedelta(hours=24, minutes=30)),
        ("2026-11-20T10:00:00Z", timedelta(hours=1)),
    ],
)
def test_times_count_from_the_start_or_stand_by_themselves(at: str, after: timedelta) -> None:
    test = only(with_events(f"{{at: {at}, order.placed: {{}}}}"))
    assert test.happenings[0].at - test.start == after


def test_events_are_taken_in_the_order_of_their_times() -> None:
    test = only(with_events("{at: 2 hours, order.placed: {}}", "{at: 1 hour, shop.visited: {}}"))
    assert [one.type for one in test.happenings if isinstance(one, EventComes)] == [
        "shop.visited",
        "order.placed",
    ]


def test_skus_and_telephone_numbers_are_read_as_written() -> None:
    fields = "{sku: 1.10, price: 9.90, quantity: 2, gift: true, size: 007}"
    test = only(with_events(f"{{at: 0 minutes, product.viewed: {{product: {fields}}}}}"))
    event = test.happenings[0]
    assert isinstance(event, EventComes)
    assert event.fields["product"] == {
        "sku": "1.10",
        "price": Decimal("9.90"),
        "quantity": 2,
        "gift": True,
        "size": "007",
    }


def test_a_policy_change_and_an_entry_by_hand_are_events_too() -> None:
    privacy = "  privacy: {version: 2026-12, effective: 2026-12-15, url: https://n.example/p}\n"
    flows = FLOWS.replace("topics:\n", privacy + "topics:\n", 1)
    text = with_events(
        "{at: 1 hour, policy_change: privacy}",
        "{at: 2 hours, trigger: abandoned_cart, data: {checkout_id: c1}}",
    )
    loaded = load_text(flows)
    assert loaded.book is not None, loaded.findings
    read_with_policy = read_tests(text, "flows.test.yaml", loaded.book, unreadable)
    assert read_with_policy.findings == ()
    changed, entered = read_with_policy.tests[0].happenings
    assert isinstance(changed, PolicyChanges)
    assert isinstance(entered, EnteredByHand)
    assert entered.fields == {"checkout_id": "c1"}


def test_the_contact_may_be_given_any_field() -> None:
    contact = (
        "{id: 17, email: ada@example.com, first_name: Ada, tags: [vip], tracking: yes, points: 12,"
        " created_at: 400 days ago, last_seen_at: 2026-11-01 10:00, source: {campaign: spring},"
        " orders: {count: 2, average: 40, last_at: 2026-07-20, skus: [COF-1KG]}}"
    )
    person = only(TEST.replace(TEST.splitlines()[3].strip(), f"contact: {contact}")).person
    assert person.fields["id"] == "17"
    assert person.fields["points"] == 12
    assert person.tags == ("vip",)
    assert person.tracking
    assert person.created_at == datetime(2026, 11, 20, 8, 0, tzinfo=UTC) - timedelta(days=400)
    assert person.orders.total == 80
    assert person.orders.last_at == datetime(2026, 7, 19, 21, 0, tzinfo=UTC)


def test_expected_messages_name_what_was_refused_by_its_reason() -> None:
    expect = "expect: {at: 1 hour, channel: sms, template: cart/reminder, not_sent: no_consent}"
    test = only(TEST.replace("expect: []", expect))
    assert test.expect == (
        Told(test.start + timedelta(hours=1), Channel.SMS, "cart/reminder", "no_consent"),
    )


# What it says about the rest ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: a", "nmae: a", '2:5: unknown key "nmae"; did you mean "name"?'),
        (
            "flow: abandoned_cart",
            "flow: abandoned_car",
            '3:11: unknown flow "abandoned_car"; did you mean "abandoned_cart"?',
        ),
        ("[offers]", "[ofers]", '4:82: unknown topic "ofers"; did you mean "offers"?'),
        (
            "checkout.started",
            "checkout.start",
            '8:9: "checkout.start" is no known event, so one of your own; did you mean "checkout.',
        ),
        (
            "at: 0 minutes",
            "at: soon",
            '7:13: "soon" is no time from the start; write at: 30 minutes, 2 days or 2026-11-21',
        ),
        ("total: 40", "total: much", "8:52: total is not an amount such as 19.90"),
        (
            "start: 2026-11-20 10:00",
            "start: tomorrow",
            '5:12: "tomorrow" is no moment; write start: 2026-11-20 10:00',
        ),
        ("    start: 2026-11-20 10:00\n", "", '2:5: "start" is missing in a test; add start:'),
        ("    expect: []\n", "", '2:5: "expect" is missing in a test; add expect:'),
        (
            "    flow: abandoned_cart\n",
            "    variant: {incentive: coupon}\n",
            '3:5: "variant" is not available yet; remove it for now',
        ),
        ("email: ada@example.com", "email: ada", "4:15: contact.email is not an email address"),
        (
            "email: ada@example.com, ",
            "",
            "4:14: nothing says who the contact is; add email: ada@example.com",
        ),
        ("2026-11-20", "1926-11-20", "5:12: a test starts between 2001 and 2100"),
        (
            "expect: []",
            "expect: {at: 1 hour, channel: email, template: cart/remindr}",
            '9:52: no step sends "cart/remindr"; did you mean "cart/reminder"?',
        ),
    ],
)
def test_every_mistake_is_told_with_its_place_and_remedy(old: str, new: str, said: str) -> None:
    text = TEST.replace(old, new)
    assert text != TEST
    assert [one for one in told(text) if one.startswith(said)], told(text)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{order.placed: {}}", '7:9: "at" is missing in an event; add at: 0 minutes'),
        ("{at: 1 hour}", "7:9: nothing happens here; add order.placed: {total: 40}"),
        (
            "{at: 1 hour, order.placed: {}, order.paid: {}}",
            '7:40: "order.paid" is an event of its own; begin another entry: "- at: …"',
        ),
        (
            "{at: 1 hour, message.clicked: {step: frist}}",
            '7:46: no step has the id "frist"; did you mean "first"?',
        ),
        (
            "{at: 1 hour, message.clicked: {}}",
            "7:22: which message this is about is missing; write {step: first}, the id of its step",
        ),
        ("{at: 1 hour, policy_change: privacy}", "7:9: there is no privacy policy that could"),
        ("{at: 1 hour, trigger: welcom}", '7:31: unknown flow "welcom"; known here'),
        ("{at: 1 hour, order.placed: {}, data: {}}", '7:40: "data" goes with trigger'),
        ("{at: 2026-11-19 10:00, order.placed: {}}", "7:9: this is before the test starts"),
        ("order.placed", '7:9: an event is wanted here, not "order.placed"'),
        (
            "{at: 1 hour, order.placed: {totl: 1, colour: red}}",
            '7:37: "totl" is no known field, so one of your own; did you mean "total"?',
        ),
        ("{at: 1 hour, placed: {}}", '7:22: "placed" is no event, which has a dot'),
        ("{at: 1 hour, order.placed: [1]}", "7:36: the fields of an event are wanted here"),
    ],
)
def test_every_mistake_in_an_event_is_told(event: str, said: str) -> None:
    assert [one for one in told(with_events(event)) if one.startswith(said)], told(
        with_events(event)
    )


def test_an_event_of_ones_own_has_fields_of_its_own() -> None:
    assert told(with_events("{at: 1 hour, quiz.done: {scores: [1], totl: 2}}")) == []


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        TEST.replace("flow: a", "flow: b").replace("[offers]", "[ofers]").replace("0 min", "0 mi")
    )
    assert [one.line for one in read(text).findings] == [3, 4, 7]


def test_a_second_document_an_empty_file_and_no_file_are_told(tmp_path: Path) -> None:
    assert told(TEST + "---\ntests: []\n") == [
        '10:1: a second document starts here; remove the line "---"'
    ]
    assert told("") == ["1:1: the file is empty; start with tests:"]
    missing = load_tests(tmp_path / "flows.test.yaml", book(), unreadable)
    assert "cannot be read" in missing.findings[0].message


def test_the_tests_of_a_file_stand_beside_it() -> None:
    assert path_of_tests(Path("shop/summer.yaml")) == Path("shop/summer.test.yaml")


def test_the_published_schema_is_the_one_that_reads() -> None:
    published = json.loads((ROOT / "docs" / "flows.test.schema.json").read_text())
    assert published == json_schema()


def test_the_schema_knows_every_key_of_the_page() -> None:
    def keys(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(keys, schema))
        if not isinstance(schema, Mapping):
            return set()
        own = set(schema.get("properties", {}))
        return own.union(*map(keys, schema.values()))

    page = (ROOT / "docs" / "journey-tests.md").read_text()
    unsaid = {key for key in keys(json_schema()) if not re.search(rf"`{key}\b|\b{key}:", page)}
    assert unsaid <= set(EVENT_FIELDS)
