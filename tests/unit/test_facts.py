from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.domain.consent import ConsentState, ConsentStatus
from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.facts import contact_names, event_names, output_names
from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import MessageState
from tests.unit.shop import ADA, START, contact, event, message


@pytest.mark.parametrize(
    ("state", "sent", "delivered", "bounced"),
    [
        (MessageState.QUEUED, False, False, False),
        (MessageState.HELD, False, False, False),
        (MessageState.SENDING, False, False, False),
        (MessageState.SENT, True, False, False),
        (MessageState.DELIVERED, True, True, False),
        (MessageState.BOUNCED, True, False, True),
        (MessageState.COMPLAINED, True, True, False),
        (MessageState.FAILED, False, False, False),
        (MessageState.UNKNOWN, False, False, False),
        (MessageState.CANCELLED, False, False, False),
        (MessageState.NOT_SENT, False, False, False),
    ],
)
def test_a_send_step_shows_what_became_of_its_message(
    state: MessageState, sent: bool, delivered: bool, bounced: bool
) -> None:
    shown = output_names({}, [message("first", state)])["first"]
    assert (shown["sent"], shown["delivered"], shown["bounced"]) == (sent, delivered, bounced)
    assert (shown["clicked"], shown["replied"]) == (False, False)
    assert "opened" not in shown, "unknown until tracking says something"


def test_of_a_fallback_any_channel_that_got_through_counts() -> None:
    tries = [
        message("first", MessageState.FAILED),
        message("first", MessageState.DELIVERED, channel=Channel.SMS),
    ]
    for order in (tries, tries[::-1]):
        shown = output_names({}, order)["first"]
        assert (shown["sent"], shown["delivered"]) == (True, True)


def test_what_was_noted_of_a_step_is_kept_and_not_written_to() -> None:
    noted: dict[str, Any] = {"first": {"clicked": True}, "gift": {"code": "A"}, "odd": "text"}
    shown = output_names(noted, [message("first", MessageState.SENT)])
    assert shown["first"]["clicked"] is True
    assert shown["first"]["sent"] is True
    assert shown["gift"] == {"code": "A"}
    assert noted["first"] == {"clicked": True}


def _granted(channel: Channel, topic: str, **fields: Any) -> ConsentState:
    return ConsentState(
        contact_id=ADA,
        channel=channel,
        topic=topic,
        status=fields.pop("status", ConsentStatus.GRANTED),
        legal_basis="consent",
        subject_id="subject",
        seq=1,
        changed_at=START,
        **fields,
    )


def test_consent_is_true_where_marketing_is_allowed_now() -> None:
    states = [
        _granted(Channel.EMAIL, "offers"),
        _granted(Channel.SMS, "offers", status=ConsentStatus.WITHDRAWN),
        _granted(Channel.SMS, "news", expires_at=START),
    ]
    names = contact_names(contact(), states, ["offers", "news"], START)
    assert names["consent"] == {
        "email": {"offers": True, "news": False},
        "sms": {"offers": False, "news": False},
        "whatsapp": {"offers": False, "news": False},
    }


@pytest.mark.parametrize(
    ("orders", "average"),
    [
        (OrderHistory(), None),
        (OrderHistory(count=2, total=Decimal(50)), Decimal(25)),
        (OrderHistory(count=3, total=Decimal(0)), Decimal(0)),
    ],
)
def test_the_average_of_no_orders_is_missing(orders: OrderHistory, average: Decimal | None) -> None:
    names = contact_names(contact(orders=orders), [], [], START)
    assert names["orders"]["average"] == average


def test_a_contacts_own_fields_win_over_attributes_of_that_name() -> None:
    person = contact(attributes={"email": "eve@example.com", "points": 5})
    names = contact_names(person, [], [], START)
    assert (names["email"], names["points"]) == ("ada@example.com", 5)


def test_an_events_own_fields_win_over_its_payload() -> None:
    at = START + timedelta(hours=1)
    names = event_names(event("order.placed", at, total="20.00", type="other"))
    assert names == {
        "total": "20.00",
        "id": f"order.placed@{at.isoformat()}",
        "type": "order.placed",
        "occurred_at": at,
    }
