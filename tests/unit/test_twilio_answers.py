"""Each answer of Twilio's has one meaning, and so has one that nobody has listed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.sms import twilio_answers
from orchestrator.channels.sms.twilio_answers import (
    ACCOUNT,
    INVALID_ADDRESS,
    LATER,
    OPTED_OUT,
    REJECTED,
    SENDER,
    Answer,
    delivery_of,
    wants_a_person,
)
from orchestrator.ports import Delivery, DeliveryOutcome

SID = "SM" + "0" * 32
SENT, REFUSED = DeliveryOutcome.SENT, DeliveryOutcome.REJECTED
RETRY, UNKNOWN = DeliveryOutcome.RETRY, DeliveryOutcome.UNKNOWN


def refused(status: int, code: int | None, message: str = "no", **headers: str) -> Delivery:
    document = {"code": code, "message": message, "status": status}
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return delivery_of(Answer(status, json.dumps(document), named))


def created(**fields: Any) -> Delivery:
    return delivery_of(Answer(201, json.dumps({"sid": SID, "status": "queued", **fields})))


def test_a_message_that_was_made_is_sent_under_its_sid() -> None:
    assert created() == Delivery(SENT, SID, "queued")
    assert created(status="accepted").outcome is SENT


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"sid": null}', '{"sid": " "}', "[" * 9999]
)
def test_an_acceptance_that_names_no_message_is_doubt(text: str) -> None:
    assert delivery_of(Answer(201, text)).outcome is UNKNOWN


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (None, REFUSED, "rejected"),
        (30007, REFUSED, "rejected"),
        ("30005", REFUSED, "invalid_address"),
        (30001, RETRY, None),
        (99999, REFUSED, "rejected"),
    ],
)
def test_a_message_that_was_made_and_has_failed_already_is_no_success(
    code: Any, outcome: DeliveryOutcome, reason: str | None
) -> None:
    delivery = created(status="failed", error_code=code, error_message="lost")
    assert (delivery.outcome, delivery.reason) == (outcome, reason)


@pytest.mark.parametrize("code", sorted(INVALID_ADDRESS))
def test_a_number_that_takes_no_messages_is_an_invalid_address(code: int) -> None:
    delivery = refused(400, code)
    assert (delivery.outcome, delivery.reason, delivery.code) == (
        REFUSED,
        "invalid_address",
        str(code),
    )


@pytest.mark.parametrize("code", sorted(REJECTED))
def test_a_message_refused_for_what_it_is_is_rejected(code: int) -> None:
    delivery = refused(400, code)
    assert (delivery.outcome, delivery.reason) == (REFUSED, "rejected")
    assert not delivery.opted_out


def test_a_recipient_who_stopped_at_the_provider_is_told_apart() -> None:
    delivery = refused(400, OPTED_OUT)
    assert (delivery.outcome, delivery.reason, delivery.opted_out) == (REFUSED, "rejected", True)


@pytest.mark.parametrize("code", sorted(SENDER))
def test_a_wrong_sender_is_for_a_person_to_mend_and_holds_up_no_other(code: int) -> None:
    delivery = refused(400, code)
    assert (delivery.outcome, delivery.code) == (RETRY, str(code))
    assert delivery.retry_after == timedelta(minutes=15)
    assert wants_a_person(delivery)


@pytest.mark.parametrize("code", sorted(ACCOUNT))
def test_a_wrong_account_rests_the_provider(code: int) -> None:
    delivery = refused(401, code)
    assert (delivery.outcome, delivery.code) == (RETRY, "configuration")


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 407])
def test_a_status_that_is_about_the_address_rests_the_provider(status: int) -> None:
    assert delivery_of(Answer(status, "<html>")).code == "configuration"


@pytest.mark.parametrize("code", sorted(LATER))
def test_what_passes_is_tried_again(code: int) -> None:
    assert refused(429, code).outcome is RETRY
    assert refused(429, code, retry_after="7").retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({}, None),
        ({"retry_after": "30"}, timedelta(seconds=30)),
        ({"retry_after": "99999999"}, timedelta(days=1)),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 20 Nov 2026 08:01:00 GMT"}, None),
        (
            {
                "retry_after": "Fri, 20 Nov 2026 08:01:00 GMT",
                "date": "Fri, 20 Nov 2026 08:00:00 GMT",
            },
            timedelta(minutes=1),
        ),
    ],
)
def test_a_pause_that_is_asked_for_is_given(
    headers: dict[str, str], pause: timedelta | None
) -> None:
    delivery = refused(429, 20429, **headers)
    assert (delivery.outcome, delivery.retry_after) == (RETRY, pause)


def test_a_server_error_counts_as_refused_only_in_twilios_own_words() -> None:
    assert refused(500, 20500).outcome is RETRY
    assert refused(503, 20503).outcome is RETRY
    assert delivery_of(Answer(503, "", {"retry-after": "5"})).outcome is RETRY
    for status in (500, 502, 503, 504, 520):
        assert delivery_of(Answer(status, "<html>Bad gateway</html>")).outcome is UNKNOWN


def test_a_request_that_did_not_arrive_whole_is_tried_again() -> None:
    assert delivery_of(Answer(408, "")).outcome is RETRY
    assert delivery_of(Answer(429, "")).outcome is RETRY


def test_a_code_that_nobody_has_listed_is_final_and_calls_a_person() -> None:
    delivery = refused(400, 29999)
    assert (delivery.outcome, delivery.reason) == (REFUSED, "provider_error")
    assert wants_a_person(delivery)
    assert not wants_a_person(created())
    assert not wants_a_person(refused(400, 21211))


def test_what_is_kept_of_an_answer_shows_no_number_and_is_one_short_line() -> None:
    delivery = refused(
        400, 21211, "The 'To' number +358401234567\n\x1b[31mis not valid" + "x" * 999
    )
    assert delivery.detail is not None
    assert delivery.detail.startswith("400 21211 The 'To' number [phone]")
    assert delivery.detail.isprintable()
    assert len(delivery.detail) == 200


def test_no_code_stands_in_two_lists() -> None:
    lists = [INVALID_ADDRESS, REJECTED, SENDER, ACCOUNT, LATER, {OPTED_OUT}]
    assert sum(map(len, lists)) == len(set().union(*lists))


def test_every_listed_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    told = {int(code) for code in re.findall(r"\b\d{5}\b", page)}
    listed = set().union(INVALID_ADDRESS, REJECTED, SENDER, ACCOUNT, LATER, {OPTED_OUT})
    assert listed - told == set()


@given(st.integers(100, 599), st.text() | st.dictionaries(st.text(), st.integers()).map(json.dumps))
def test_any_answer_has_a_meaning(status: int, text: str) -> None:
    delivery = delivery_of(Answer(status, text))
    assert delivery.outcome in DeliveryOutcome
    if delivery.outcome is SENT:
        assert status in twilio_answers._CREATED
        assert delivery.provider_id
