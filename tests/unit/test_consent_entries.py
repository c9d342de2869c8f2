"""Where ledger entries come from: events, pages, links, flow steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain.consent import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentEvidence,
    ConsentState,
    ConsentStatus,
    LedgerRecord,
    Method,
    commitment_of,
    jurisdiction,
    link_of,
    needs_confirmation,
    record_after,
    refusal_of_method,
)
from orchestrator.domain.consent.jurisdiction import DOUBLE_OPT_IN
from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.events import ConsentAnswer, ContactFields, Event, IncomingEvent
from orchestrator.domain.flows import (
    Brand,
    Channel,
    DoubleOptIn,
    FlowBook,
    LocalText,
    PrivacyNotice,
    Topic,
)
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.services.consent import (
    Visit,
    entries_for_confirmation,
    entries_for_event,
    entries_for_objection,
    entries_for_preferences,
    entries_for_unsubscribe,
)
from orchestrator.sources.phones import normalise_phone

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
YES, NO, UNKNOWN = ConsentAnswer.YES, ConsentAnswer.NO, ConsentAnswer.UNKNOWN


def book(
    topics: tuple[str, ...] = ("news", "offers"),
    double_opt_in: DoubleOptIn = DoubleOptIn.WHERE_REQUIRED,
) -> FlowBook:
    brand = Brand(
        name=LocalText("Northwind"),
        url="https://northwind.example",
        email_marketing="n@northwind.example",
        email_service="n@northwind.example",
        postal_address=LocalText("Helsinki"),
        support="help@northwind.example",
        locale="en",
        timezone="Europe/Helsinki",
        legal_name=LocalText("Northwind Oy"),
        double_opt_in=double_opt_in,
        privacy=PrivacyNotice("2026-12", date(2026, 12, 15), "https://northwind.example/p"),
    )
    named = {name: Topic(name, LocalText(name)) for name in topics}
    return FlowBook("0" * 64, brand, named, {}, {}, {}, {}, {})


def person(country: str | None = "FI", phone: str | None = "+358401234567") -> Contact:
    return Contact(
        id=ContactId("ada"),
        email="ada@example.com",
        phone=phone,
        first_name="Ada",
        last_name=None,
        locale="fi",
        timezone=None,
        country=country,
        tracking=False,
        tags=(),
        attributes={},
        source={},
        orders=OrderHistory(),
        created_at=NOW,
        last_seen_at=None,
        external_id="c-17",
    )


def event(
    kind: str = "checkout.started",
    consent: Mapping[str, ConsentAnswer] | None = None,
    payload: Mapping[str, Any] | None = None,
) -> IncomingEvent:
    return IncomingEvent(
        source="standard",
        source_id="msg_1",
        type=kind,
        occurred_at=NOW - timedelta(minutes=3),
        contact=ContactFields(email="Ada@Example.com"),
        payload=payload or {},
        consent=consent or {},
    )


def said(entries: list[ConsentEntry]) -> set[tuple[str, str, str]]:
    return {(one.channel.value, one.topic, one.action.value) for one in entries}


def test_a_yes_grants_the_topics_of_today_on_its_channel() -> None:
    found = entries_for_event(event(consent={"email": YES}), person(), book(), NOW)
    assert said(found) == {("email", "news", "granted"), ("email", "offers", "granted")}
    assert all(one.unless_known for one in found)
    assert {one.occurred_at for one in found} == {NOW - timedelta(minutes=3)}


@pytest.mark.parametrize("answer", [NO, UNKNOWN])
@pytest.mark.parametrize("kind", ["checkout.started", "contact.updated", "order.placed"])
def test_no_and_unknown_say_nothing(kind: str, answer: ConsentAnswer) -> None:
    assert entries_for_event(event(kind, {"email": answer}), person(), book(), NOW) == []


def test_consent_to_tracking_is_no_consent_to_a_channel() -> None:
    assert entries_for_event(event(consent={"tracking": YES}), person(), book(), NOW) == []


@pytest.mark.parametrize(
    ("country", "phone", "wanted", "action"),
    [
        ("DE", None, DoubleOptIn.WHERE_REQUIRED, "requested"),
        ("AT", None, DoubleOptIn.WHERE_REQUIRED, "requested"),
        ("CH", None, DoubleOptIn.WHERE_REQUIRED, "requested"),
        (None, "+4915112345678", DoubleOptIn.WHERE_REQUIRED, "requested"),
        ("FI", "+4915112345678", DoubleOptIn.WHERE_REQUIRED, "granted"),
        (None, None, DoubleOptIn.WHERE_REQUIRED, "granted"),
        ("FI", None, DoubleOptIn.ALWAYS, "requested"),
        (None, None, DoubleOptIn.ALWAYS, "requested"),
    ],
)
def test_double_opt_in_turns_a_yes_into_a_request(
    country: str | None, phone: str | None, wanted: DoubleOptIn, action: str
) -> None:
    found = entries_for_event(
        event(consent={"email": YES}), person(country, phone), book(("offers",), wanted), NOW
    )
    assert said(found) == {("email", "offers", action)}


@pytest.mark.parametrize(
    ("consent", "data", "wanted"),
    [
        ({}, {}, {(c.value, ALL_TOPICS, "withdrawn") for c in Channel}),
        ({"email": NO}, {}, {("email", ALL_TOPICS, "withdrawn")}),
        ({"sms": NO, "email": YES}, {}, {("sms", ALL_TOPICS, "withdrawn")}),
        ({"email": NO}, {"topics": ["offers"]}, {("email", "offers", "withdrawn")}),
        ({"email": NO}, {"topics": "offers"}, {("email", "offers", "withdrawn")}),
        ({"email": NO}, {"topics": []}, {("email", ALL_TOPICS, "withdrawn")}),
        ({"email": NO}, {"topics": [3]}, {("email", ALL_TOPICS, "withdrawn")}),
        ({"email": NO}, {"topics": {"a": 1}}, {("email", ALL_TOPICS, "withdrawn")}),
    ],
)
def test_unsubscribing_withdraws_what_it_names(
    consent: dict[str, ConsentAnswer], data: dict[str, Any], wanted: set[tuple[str, str, str]]
) -> None:
    given = event("contact.unsubscribed", consent, {"data": data})
    assert said(entries_for_event(given, person(), book(), NOW)) == wanted


def test_a_stored_event_says_the_same() -> None:
    stored = Event(
        id=EventId("e"),
        source="standard",
        source_id="msg_1",
        type="checkout.started",
        contact_id=ContactId("ada"),
        occurred_at=NOW,
        received_at=NOW,
        payload={"consent": {"email": "yes", "sms": True, "whatsapp": "maybe"}},
    )
    found = entries_for_event(stored, person(), book(("offers",)), NOW)
    assert said(found) == {("email", "offers", "granted"), ("sms", "offers", "granted")}


def test_an_event_brings_its_proof() -> None:
    proof = {"wording": "Send me offers", "ip": "192.0.2.1", "locale": "fi", "number": 3}
    given = event(consent={"email": YES}, payload={"data": {"consent_evidence": proof}})
    found = entries_for_event(given, person(), book(("offers",)), NOW)[0]
    assert found.method == Method.CHECKOUT_EVENT
    assert found.details["actor"] == "shop"
    assert found.details["collection_point"] == "standard checkout.started"
    assert found.details["evidence"] == "event standard:msg_1"
    assert found.details["controller"] == "Northwind Oy"
    assert found.details["privacy_version"] == "2026-12"
    assert found.details["wording"] == "Send me offers"
    assert len(found.details["wording_hash"]) == 64
    assert (found.details["jurisdiction"], found.details["jurisdiction_from"]) == ("FI", "country")
    assert found.personal == {
        "address_given": "Ada@Example.com",
        "address": "ada@example.com",
        "person_key": "c-17",
        "ip": "192.0.2.1",
    }


def test_no_personal_field_of_the_evidence_stays_in_the_chain() -> None:
    values: dict[str, Any] = {
        item.name: NOW if item.name.endswith("_at") else f"the {item.name}"
        for item in dataclasses.fields(ConsentEvidence)
    }
    details, personal = ConsentEvidence(**(values | {"actor": Actor.PERSON})).split()
    assert set(personal) == {
        "address_given",
        "address",
        "ip",
        "user_agent",
        "agent",
        "person_key",
    }
    assert set(details) | set(personal) == set(values) | {"wording_hash"}


VISIT = Visit("/preferences", Method.PREFERENCE_PAGE, message_id="m1", ip="192.0.2.1")


def test_a_one_click_withdraws_its_topic_on_its_channel() -> None:
    click = Visit("/u", Method.ONE_CLICK, message_id="m1")
    for topic, wanted in (("offers", "offers"), (None, ALL_TOPICS)):
        found = entries_for_unsubscribe(person(), Channel.EMAIL, topic, click, None, NOW)
        assert said(found) == {("email", wanted, "withdrawn")}
        assert found[0].details["message_id"] == "m1"


def test_a_preference_page_grants_and_withdraws_each_topic() -> None:
    choices = {(Channel.EMAIL, "offers"): True, (Channel.SMS, "news"): False}
    found = entries_for_preferences(person("DE"), choices, VISIT, book(), NOW)
    assert said(found) == {("email", "offers", "granted"), ("sms", "news", "withdrawn")}
    assert {one.details["actor"] for one in found} == {"person"}
    assert {one.personal["ip"] for one in found} == {"192.0.2.1"}


def test_a_confirmation_covers_what_was_asked_for() -> None:
    def state(topic: str, status: ConsentStatus, channel: Channel) -> ConsentState:
        return ConsentState(
            ContactId("ada"), channel, topic, status, "consent", "ada", 1, changed_at=NOW
        )

    states = [
        state("offers", ConsentStatus.REQUESTED, Channel.EMAIL),
        state("news", ConsentStatus.WITHDRAWN, Channel.EMAIL),
        state("offers", ConsentStatus.REQUESTED, Channel.SMS),
    ]
    found = entries_for_confirmation(person(), states, Channel.EMAIL, VISIT, book(), NOW)
    assert said(found) == {("email", "offers", "confirmed")}
    assert found[0].details["confirmed_at"] == "2026-11-20T10:00:00+00:00"


def test_an_objection_is_to_everything_everywhere() -> None:
    found = entries_for_objection(person(), VISIT, book(), NOW)
    assert said(found) == {(c.value, ALL_TOPICS, "objected") for c in Channel}
    assert {one.legal_basis for one in found} == {"objection"}


@pytest.mark.parametrize(
    ("country", "phone", "found"),
    [
        ("fi", None, ("FI", "country")),
        (None, "+358401234567", ("FI", "phone")),
        (None, "+423234567", ("LI", "phone")),
        (None, "+41781234567", ("CH", "phone")),
        (None, "+14165550100", (None, "unknown")),
        (None, None, (None, "unknown")),
    ],
)
def test_a_jurisdiction_tells_how_it_is_known(
    country: str | None, phone: str | None, found: tuple[str | None, str]
) -> None:
    assert jurisdiction(country, phone) == found


def test_every_row_of_the_law_names_its_source_and_when_it_was_written() -> None:
    assert set(DOUBLE_OPT_IN) == {"DE", "AT", "CH"}
    for rule in DOUBLE_OPT_IN.values():
        assert rule.source
        assert rule.written_on.year >= 2026
    assert not needs_confirmation(None, DoubleOptIn.WHERE_REQUIRED)


def test_an_unclear_method_is_refused_where_a_clear_act_is_needed() -> None:
    assert refusal_of_method("pre-checked", "FI")
    assert refusal_of_method("Unknown", None)
    assert refusal_of_method("pre_checked", "US") is None
    assert refusal_of_method("web form", "FI") is None


def entry() -> ConsentEntry:
    return ConsentEntry(
        contact_id=ContactId("ada"),
        channel=Channel.EMAIL,
        topic="offers",
        action=ConsentAction.GRANTED,
        legal_basis="consent",
        method="web_form",
        occurred_at=NOW,
        details={"actor": "shop", "wording": "Лето"},
        personal={"address": "ada@example.com"},
    )


def first() -> LedgerRecord:
    return record_after(entry(), "ada", 1, "", "00" * 16, NOW)


def test_the_form_of_a_link_is_fixed_for_ever() -> None:
    """Chains written by any release verify with every later one."""
    assert first().commitment == (
        "a1593a141f1d6c0d6cf41918fccf26460029c728009a7602b331acb807571abc"
    )
    assert first().hash == "b7bf3fefb9fb090fa25810cdc3a065749216d955ab8c7a482af7d724bd9e0ca2"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject_id", "ben"),
        ("seq", 2),
        ("channel", Channel.SMS),
        ("topic", "news"),
        ("action", ConsentAction.WITHDRAWN),
        ("legal_basis", "soft_opt_in"),
        ("method", "verbal"),
        ("occurred_at", NOW + timedelta(microseconds=1)),
        ("recorded_at", NOW + timedelta(microseconds=1)),
        ("details", {"actor": "person"}),
        ("commitment", "0" * 64),
        ("previous", "0" * 64),
    ],
)
def test_every_field_is_part_of_the_link(name: str, value: Any) -> None:
    changed: dict[str, Any] = {name: value}
    assert link_of(dataclasses.replace(first(), **changed)) != first().hash


def test_a_commitment_hides_behind_its_salt() -> None:
    personal = {"address": "ada@example.com"}
    assert commitment_of(personal, "00" * 16) != commitment_of(personal, "01" * 16)
    erased = dataclasses.replace(first(), personal=None, salt=None, redacted_at=NOW)
    assert link_of(erased) == first().hash


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("040 123 4567", "FI", "+358401234567"),
        ("040 123 4567", "fi", "+358401234567"),
        ("+358 40-123 4567", None, "+358401234567"),
        ("۰۹۱۲ ۳۴۵ ۶۷۸۹", "IR", "+989123456789"),
        ("+1 415 555 2671", None, "+14155552671"),
        ("040 123 4567", None, None),
        ("+358 9 123 4567", None, None),  # a fixed line in Helsinki
        ("+358 600 12345", None, None),  # premium rate
        ("+44 7700 900123", None, None),  # kept for films
        ("12", "FI", None),
        ("", "FI", None),
        ("not a number", "FI", None),
        ("+358401234567 ext. 3", None, None),
        ("4" * 5000, "FI", None),
        ("040 123 4567", "ZZ", None),
    ],
)
def test_a_number_is_read_only_if_it_takes_messages(
    text: str, region: str | None, number: str | None
) -> None:
    assert normalise_phone(text, region) == number
