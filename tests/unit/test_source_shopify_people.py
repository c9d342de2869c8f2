"""Whom Shopify's bodies are about, and what they said about being written to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.domain.consent import entries_for_event
from orchestrator.domain.events import ConsentAnswer, IncomingEvent
from orchestrator.sources.phones import normalise_phone
from orchestrator.sources.shopify import ShopifySource
from tests.shopify_webhooks import SECRET, body_of, headers_for
from tests.unit.shop import contact as person
from tests.unit.shop import flow_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOURCE = ShopifySource([SECRET], normalise_phone)
EMAIL_TOPIC = "customers_email_marketing_consent/update"
BOOK, _ = flow_of("- send: cart/reminder")
SMS_TOPIC = "customers_marketing_consent/update"
YES, NO, UNKNOWN = ConsentAnswer.YES, ConsentAnswer.NO, ConsentAnswer.UNKNOWN


def read(topic: str, body: Any) -> IncomingEvent:
    raw = json.dumps(body).encode()
    return SOURCE.read(headers_for(topic, raw), raw, NOW)


def checkout(**changes: Any) -> IncomingEvent:
    return read("checkouts/update", body_of("checkout", **changes))


def customer(**changes: Any) -> dict[str, Any]:
    return {**body_of("checkout")["customer"], **changes}


def contact(event: IncomingEvent) -> dict[str, Any]:
    assert event.contact is not None
    names = ("id", "email", "phone", "first_name", "last_name", "locale", "country")
    return {name: getattr(event.contact, name) for name in names}


def evidence(event: IncomingEvent) -> dict[str, Any]:
    found: dict[str, Any] = event.payload["data"].get("consent_evidence", {})
    return found


# Who ----------------------------------------------------------------------------------------


def test_a_buyer_is_read_whole() -> None:
    assert contact(checkout()) == {
        "id": "7300001",
        "email": "ada.lindqvist@example.com",
        "phone": "+358401234567",
        "first_name": "Ada",
        "last_name": "Lindqvist",
        "locale": "sv-FI",
        "country": "FI",
    }


@pytest.mark.parametrize(
    ("changes", "email"),
    [
        ({"email": "new@example.com"}, "new@example.com"),
        ({"email": "", "contact_email": "c@example.com"}, "c@example.com"),
        ({"email": None}, "ada.lindqvist@example.com"),
        ({"email": None, "customer": customer(email=None)}, None),
        ({"email": None, "customer": "gone"}, None),
    ],
)
def test_an_address_is_looked_for_in_its_places(changes: dict[str, Any], email: str | None) -> None:
    assert contact(checkout(**changes))["email"] == email


HOME = {"first_name": "Ada", "last_name": "Lindqvist", "country_code": "FI"}


@pytest.mark.parametrize(
    ("changes", "phone"),
    [
        ({"phone": "+46701234567"}, "+46701234567"),
        ({"phone": "040 765 4321"}, "+358407654321"),
        ({"customer": customer(phone="+46701234567")}, "+46701234567"),
        ({"billing_address": {"phone": "070-123 45 67", "country_code": "SE"}}, "+46701234567"),
        ({"shipping_address": {**HOME, "phone": "050 765 4321"}}, "+358507654321"),
        ({"phone": "call me", "billing_address": {**HOME, "phone": "0507654321"}}, "+358507654321"),
        ({"phone": "09 123 4567", "shipping_address": HOME}, None),
        ({"phone": 7, "customer": customer(phone=[])}, None),
        ({}, None),
    ],
)
def test_a_number_is_read_the_way_its_country_writes_it(
    changes: dict[str, Any], phone: str | None
) -> None:
    found = checkout(sms_marketing_phone=None, buyer_accepts_sms_marketing=False, **changes)
    assert contact(found)["phone"] == phone


def test_whoever_gets_a_present_does_not_become_the_buyer() -> None:
    present = {"first_name": "Bo", "last_name": "Ek", "phone": "0507654321", "country_code": "FI"}
    event = checkout(
        shipping_address=present,
        sms_marketing_phone=None,
        customer=customer(first_name=None, last_name=None),
        billing_address={"first_name": "Ada", "last_name": "L"},
    )
    assert contact(event)["phone"] is None
    assert contact(event)["first_name"] == "Ada"


def test_a_number_that_cannot_be_read_is_told() -> None:
    event = checkout(phone="call me", sms_marketing_phone=None)
    assert event.payload["data"]["_dropped"]["contact.phone"]["value"] == "call me"


@pytest.mark.parametrize(
    ("changes", "country"),
    [
        ({"billing_address": {"country_code": "SE"}}, "SE"),
        ({"shipping_address": {"country_code": "de"}}, "DE"),
        ({"shipping_address": [], "customer": customer(addresses=[{"country_code": "NO"}])}, "NO"),
        ({"shipping_address": None}, None),
    ],
)
def test_the_country_is_that_of_the_buyers_addresses(
    changes: dict[str, Any], country: str | None
) -> None:
    assert contact(checkout(**changes))["country"] == country


def test_a_checkout_of_nobody_is_an_event() -> None:
    event = checkout(email=None, sms_marketing_phone=None, customer=None, shipping_address=[])
    assert event.contact is None
    assert event.payload["checkout_id"] == "c0ffee5eed"


def test_only_the_customer_of_an_unknown_body_is_its_person() -> None:
    event = read("shop/update", {"email": "owner@example.com", "phone": "+358401234567"})
    assert event.contact is None
    known = read("draft_orders/create", {"email": "x@example.com", "customer": customer()})
    assert contact(known)["email"] == "ada.lindqvist@example.com"
    assert known.consent == {}


# Consent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "answer"),
    [
        (True, YES),
        (False, NO),
        (None, UNKNOWN),
        ("true", UNKNOWN),
        (1, UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_the_box_in_the_checkout_is_an_answer(box: Any, answer: ConsentAnswer) -> None:
    assert checkout(buyer_accepts_marketing=box).consent["email"] is answer
    assert checkout(buyer_accepts_sms_marketing=box).consent["sms"] is answer


def test_a_box_that_is_missing_says_nothing() -> None:
    body = body_of("checkout")
    del body["buyer_accepts_marketing"]
    assert read("checkouts/create", body).consent["email"] is UNKNOWN


STATES = [
    ("subscribed", YES),
    ("SUBSCRIBED", YES),
    ("unsubscribed", NO),
    ("not_subscribed", UNKNOWN),
    ("pending", UNKNOWN),
    ("redacted", UNKNOWN),
    ("invalid", UNKNOWN),
    ("something new", UNKNOWN),
]


@pytest.mark.parametrize(("state", "answer"), STATES)
@pytest.mark.parametrize("box", [True, False, None])
def test_a_state_that_is_told_outweighs_the_box(
    state: str, answer: ConsentAnswer, box: Any
) -> None:
    said = {"state": state, "consent_updated_at": None}
    event = checkout(buyer_accepts_marketing=box, customer=customer(email_marketing_consent=said))
    assert event.consent["email"] is answer


@pytest.mark.parametrize("said", [None, {}, [], "subscribed", {"state": None}, {"state": True}])
def test_a_state_that_is_not_told_leaves_the_box(said: Any) -> None:
    event = checkout(customer=customer(email_marketing_consent=said))
    assert event.consent["email"] is YES
    event = checkout(customer=customer(email_marketing_consent=said), buyer_accepts_marketing=None)
    assert event.consent["email"] is UNKNOWN


@pytest.mark.parametrize(("state", "answer"), STATES)
def test_a_consent_webhook_subscribes_unsubscribes_or_says_nothing(
    state: str, answer: ConsentAnswer
) -> None:
    kinds = {YES: "contact.subscribed", NO: "contact.unsubscribed", UNKNOWN: "contact.updated"}
    said = {"state": state, "consent_updated_at": "2026-11-20T07:50:00Z"}
    email = read(EMAIL_TOPIC, body_of("email_consent", email_marketing_consent=said))
    sms = read(SMS_TOPIC, body_of("sms_consent", sms_marketing_consent=said))
    assert (email.type, email.consent) == (kinds[answer], {"email": answer})
    assert (sms.type, sms.consent) == (kinds[answer], {"sms": answer})
    assert contact(email)["email"] == "ada.lindqvist@example.com"
    assert contact(sms)["phone"] == "+358401234567"
    assert contact(email)["id"] == contact(sms)["id"] == "7300001"


@pytest.mark.parametrize("said", [None, [], {}, {"state": None}, {"state": 5}, "subscribed"])
def test_a_consent_webhook_that_cannot_be_read_says_nothing(said: Any) -> None:
    event = read(EMAIL_TOPIC, body_of("email_consent", email_marketing_consent=said))
    assert (event.type, event.consent) == ("contact.updated", {"email": UNKNOWN})


def test_a_yes_for_an_address_that_cannot_be_read_subscribes_nobody() -> None:
    event = read(EMAIL_TOPIC, body_of("email_consent", email_address="not an address"))
    assert (event.type, event.consent) == ("contact.updated", {"email": UNKNOWN})
    event = read(SMS_TOPIC, body_of("sms_consent", phone="call me"))
    assert (event.type, event.consent) == ("contact.updated", {"sms": UNKNOWN})


def test_a_customer_without_an_address_is_known_by_id() -> None:
    event = read(EMAIL_TOPIC, body_of("email_consent", email_address=""))
    assert contact(event)["id"] == "7300001"
    assert event.consent == {"email": YES}


def test_consent_is_for_the_address_it_was_given_for() -> None:
    said = {"state": "subscribed"}
    mine = customer(email_marketing_consent=said, sms_marketing_consent=said, phone="+358407654321")
    theirs = checkout(customer=mine, email="other@example.com")
    assert theirs.consent["email"] is UNKNOWN
    assert checkout(customer=mine, email="ADA.Lindqvist@example.com").consent["email"] is YES
    event = checkout(customer=mine, sms_marketing_phone="+46701234567", phone="+46701234567")
    assert (contact(event)["phone"], event.consent["sms"]) == ("+358407654321", YES)
    event = checkout(sms_marketing_phone="call me", phone="+46701234567")
    assert (contact(event)["phone"], event.consent["sms"]) == ("+46701234567", UNKNOWN)


@pytest.mark.parametrize(
    ("changes", "given_at"),
    [
        ({}, "2026-11-20T07:40:00+00:00"),
        ({"updated_at": "2026-11-20T11:00:00Z"}, "2026-11-20T07:40:00+00:00"),
        (
            {"customer": customer(email_marketing_consent={"state": "subscribed"})},
            "2025-03-01T06:00:00+00:00",
        ),
        (
            {
                "customer": customer(
                    email_marketing_consent={
                        "state": "subscribed",
                        "consent_updated_at": "2026-01-02T03:04:05Z",
                    }
                )
            },
            "2026-01-02T03:04:05+00:00",
        ),
    ],
)
def test_a_yes_is_as_old_as_it_was_given(changes: dict[str, Any], given_at: str) -> None:
    assert evidence(checkout(**changes))["email"] == {"given_at": given_at}


def test_what_shopify_had_confirmed_is_told() -> None:
    said = {"state": "subscribed", "opt_in_level": "confirmed_opt_in"}
    timed = {**said, "consent_updated_at": "2026-11-20T07:50:00Z"}
    event = read(EMAIL_TOPIC, body_of("email_consent", email_marketing_consent=timed))
    moment = "2026-11-20T07:50:00+00:00"
    assert evidence(event)["email"] == {"given_at": moment, "confirmed_at": moment}
    event = read(EMAIL_TOPIC, body_of("email_consent", email_marketing_consent=said))
    assert evidence(event)["email"]["confirmed_at"] == NOW.isoformat()


# What the ledger makes of it ----------------------------------------------------------------


def ledger(event: IncomingEvent, country: str = "FI") -> set[tuple[str, str, str]]:
    entries = entries_for_event(event, person(country=country), BOOK, NOW)
    return {(one.channel.value, one.action.value, one.occurred_at.isoformat()) for one in entries}


def test_the_ledger_dates_a_yes_by_its_own_time() -> None:
    event = read("customers/update", body_of("customer"))
    assert event.occurred_at.isoformat() == "2026-11-20T07:00:00+00:00"
    assert ledger(event) == {("email", "granted", "2025-06-10T09:00:00+00:00")}


def test_the_ledger_takes_no_yes_later_than_its_event() -> None:
    said = {"state": "subscribed", "consent_updated_at": "2026-11-20T11:00:00Z"}
    event = read("customers/update", body_of("customer", email_marketing_consent=said))
    assert ledger(event) == {("email", "granted", event.occurred_at.isoformat())}


@pytest.mark.parametrize(
    ("level", "action"),
    [("confirmed_opt_in", "granted"), ("single_opt_in", "requested"), ("unknown", "requested")],
)
def test_a_confirmed_yes_is_proof_where_the_law_wants_confirmation(level: str, action: str) -> None:
    said = {
        "state": "subscribed",
        "opt_in_level": level,
        "consent_updated_at": "2026-11-20T07:50:00Z",
    }
    event = read(EMAIL_TOPIC, body_of("email_consent", email_marketing_consent=said))
    assert ledger(event, "DE") == {("email", action, "2026-11-20T07:50:00+00:00")}
    entry = entries_for_event(event, person(country="DE"), BOOK, NOW)[0]
    confirmed_at = entry.details.get("confirmed_at")
    assert (confirmed_at == "2026-11-20T07:50:00+00:00") is (level == "confirmed_opt_in")


def test_a_withdrawal_is_for_its_channel_and_dated_by_its_own_time() -> None:
    said = {"state": "unsubscribed", "consent_updated_at": "2026-11-20T07:50:00Z"}
    event = read(SMS_TOPIC, body_of("sms_consent", sms_marketing_consent=said))
    assert ledger(event) == {("sms", "withdrawn", "2026-11-20T07:50:00+00:00")}


@pytest.mark.parametrize("topic", ["checkouts/update", "orders/create", "customers/update"])
def test_only_a_consent_webhook_withdraws(topic: str) -> None:
    name = {"checkouts": "checkout", "orders": "order", "customers": "customer"}
    said = {"state": "unsubscribed"}
    body = body_of(name[topic.partition("/")[0]])
    body["customer"] = customer(email_marketing_consent=said, sms_marketing_consent=said)
    body |= {"email_marketing_consent": said, "sms_marketing_consent": said}
    assert ledger(read(topic, body)) == set()
