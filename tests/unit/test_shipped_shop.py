"""The shop we ship: it loads without a word, and every message in it can be rendered."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.contacts import Contact, OrderHistory
from orchestrator.domain.errors import RecipientRejected
from orchestrator.domain.flows import (
    Channel,
    EventTrigger,
    ExitStep,
    FlowBook,
    MessageClass,
    PolicyChangeTrigger,
    SegmentTrigger,
    SendStep,
    WaitForStep,
    WaitUntilStep,
    WithdrawStep,
)
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash
from orchestrator.domain.messages import Message, MessageState
from orchestrator.flowfile import check, load_file
from orchestrator.ports import RenderedMessage, RenderRequest
from orchestrator.rendering.links import Links, SignedLinkTokens, TokenSigner
from orchestrator.rendering.message import MessageRenderer
from orchestrator.rendering.templates import has_template, load_folder
from tests.links import led_home

ROOT = Path(__file__).parents[2]
FILES = ("flows.yaml", "examples/quickstart.yaml")
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return NOW


@cache
def sources() -> dict[str, str]:
    return load_folder(ROOT / "templates")


@cache
def book(name: str = "flows.yaml") -> FlowBook:
    loaded = load_file(ROOT / name)
    assert loaded.book is not None
    return loaded.book


@cache
def renderer() -> MessageRenderer:
    tokens = SignedLinkTokens(TokenSigner(["a secret"]), StoppedClock())
    return MessageRenderer(book(), sources(), Links("http://127.0.0.1:8000", tokens))


def sends(name: str = "flows.yaml") -> list[tuple[str, SendStep, Channel]]:
    return [
        (flow.name, step, channel)
        for flow in book(name).flows.values()
        for step in flow.steps
        if isinstance(step, SendStep)
        for channel in step.via
    ]


CONTACT = ContactId("01936f5e-2d4a-7c3e-8a11-4f2f6a1b0c01")
MESSAGE = MessageId("01936f5e-2d4a-7c3e-8a11-4f2f6a1b0c02")


def person(**more: Any) -> Contact:
    fields: dict[str, Any] = {
        **dict.fromkeys("phone first_name last_name locale timezone country".split()),
        "id": CONTACT,
        "email": "ada@example.com",
        "tracking": False,
        "tags": (),
        "attributes": {},
        "source": {},
        "orders": OrderHistory(),
        "created_at": NOW,
        "last_seen_at": None,
        **more,
    }
    return Contact(**fields)


def message(flow: str, step: SendStep, channel: Channel) -> Message:
    fields: dict[str, Any] = {
        **dict.fromkeys("locale variant reason expires_at sending_at sent_at provider".split()),
        "id": MESSAGE,
        "enrolment_id": EnrolmentId("e"),
        "contact_id": CONTACT,
        "flow": flow,
        "version": VersionHash("v"),
        "step": step.id,
        "channel": channel,
        "template": step.template,
        "message_class": step.flow_class.value,
        "topic": step.topic,
        "priority": 50,
        "state": MessageState.QUEUED,
        "not_before": NOW,
        "created_at": NOW,
        "attempts": 0,
        "provider_id": None,
        "decision": {},
    }
    return Message(**fields)


def rendered(
    flow: str, step: SendStep, channel: Channel, contact: Contact, facts: dict[str, Any]
) -> RenderedMessage:
    request = RenderRequest(message(flow, step, channel), contact, facts, NOW)
    return renderer().render(request)


def example(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "examples" / name).read_text()))


@pytest.mark.parametrize("name", FILES)
def test_the_shipped_files_load_without_a_finding(name: str) -> None:
    loaded = load_file(ROOT / name)
    assert loaded.publishable
    assert check(loaded, lambda channel, path: has_template(sources(), channel, path)) == ()


def test_the_shop_has_the_five_journeys_as_they_are_meant() -> None:
    flows = book().flows
    assert list(flows) == [
        *("welcome", "abandoned_cart", "review_request", "win_back", "privacy_notice"),
    ]
    triggers = {name: flow.triggers[0] for name, flow in flows.items()}
    assert isinstance(triggers["welcome"], EventTrigger)
    assert triggers["welcome"].event == "contact.subscribed"
    assert triggers["abandoned_cart"] == EventTrigger("checkout.started")
    assert triggers["review_request"] == EventTrigger("order.delivered")
    assert triggers["win_back"] == SegmentTrigger("lapsed")
    assert triggers["privacy_notice"] == PolicyChangeTrigger("privacy")
    assert flows["privacy_notice"].flow_class is MessageClass.LEGAL


def test_the_welcome_asks_for_confirmation_before_anything_else() -> None:
    steps = [step for step in book().flows["welcome"].steps if isinstance(step, SendStep)]
    assert (steps[0].template, steps[0].flow_class) == ("welcome/confirm", MessageClass.SERVICE)
    wait = next(s for s in book().flows["welcome"].steps if isinstance(s, WaitForStep))
    assert [match.event for match in wait.events] == ["contact.confirmed"]
    assert isinstance(book().flows["welcome"].program[wait.otherwise or ""], ExitStep)


def test_nobody_is_asked_for_a_review_while_something_is_wrong() -> None:
    assert {match.event for match in book().flows["review_request"].exits} >= {
        "support.opened",
        "review.submitted",
    }


def test_the_win_back_ends_by_leaving_people_in_peace() -> None:
    last = book().flows["win_back"].steps[-1]
    assert isinstance(last, WithdrawStep)
    assert (last.topics, last.reason, last.next) == (None, "sunset", None)


def test_the_quick_start_is_the_cart_journey_in_a_hurry() -> None:
    shipped, hurried = (book(name).flows["abandoned_cart"] for name in FILES)
    by_day = [type(step) for step in shipped.steps if not isinstance(step, WaitUntilStep)]
    assert by_day == [type(step) for step in hurried.steps]
    assert [s.template for s in shipped.steps if isinstance(s, SendStep)] == [
        s.template for s in hurried.steps if isinstance(s, SendStep)
    ]
    assert shipped.exits == hurried.exits


@pytest.mark.parametrize(
    ("flow", "step", "channel"), [pytest.param(*row, id=f"{row[0]}-{row[1].id}") for row in sends()]
)
@pytest.mark.parametrize("facts", ["nothing", "everything"])
def test_every_message_renders_with_little_and_with_much(
    flow: str, step: SendStep, channel: Channel, facts: str
) -> None:
    contact = person(phone="+358401234567")
    given: dict[str, Any] = {}
    if facts == "everything":
        event = {**example("checkout.json"), "data": {"more": 1}}
        given = {"event": event, "checkout": event, "order": example("order.json"), "key": "c"}
        contact = person(phone="+358401234567", first_name="Ada", last_name="Ö", country="FI")
    given["gift"] = {"code": "BACK-TO-BOOKS"}
    made = rendered(flow, step, channel, contact, given)
    body = made.body.decode()
    assert not re.search(r"\{\{|\{%|\{#|\bNone\b|\bundefined\b|\[\]", body)
    if channel is Channel.EMAIL:
        subject = made.details["subject"]
        assert 1 <= len(subject) <= 45
        unsubscribe = step.flow_class is MessageClass.MARKETING
        assert ("\r\nList-Unsubscribe-Post: " in body) is unsubscribe
        assert len(body) < 40_000
    else:
        assert body.startswith("Northwind Books: ")
        assert len(body) <= 306
        assert made.sender in {"+15005550006", "NORTHWIND"}


@pytest.mark.parametrize(
    ("country", "sender", "stop"),
    [("FI", "NORTHWIND", "/u/"), ("US", "+15005550006", "STOP"), (None, "+15005550006", "STOP")],
)
def test_a_text_can_be_stopped_in_a_way_that_its_sender_hears(
    country: str | None, sender: str, stop: str
) -> None:
    flow, step, channel = next(row for row in sends() if row[2] is Channel.SMS)
    contact = person(phone="+358401234567", country=country)
    made = rendered(flow, step, channel, contact, {"event": example("checkout.json")})
    last = made.body.decode().splitlines()[-1]
    assert made.sender == sender
    assert [way for way in ("/u/", "STOP") if way in last] == [stop]


def test_every_shipped_template_knows_all_its_names() -> None:
    for _, step, channel in sends():
        kind = renderer()._email if channel is Channel.EMAIL else renderer()._sms
        assert kind.check(step.template, ["gift"]) == []


def cart_mail(event: dict[str, Any]) -> tuple[str, str]:
    flow, step, channel = next(row for row in sends() if row[1].template == "cart/reminder")
    made = rendered(flow, step, channel, person(), {"event": event})
    mail = message_from_bytes(made.body, policy=policy.default)
    text, html = (led_home(part.get_content(), ["a secret"]) for part in mail.iter_parts())
    return text, html


def test_the_cart_reminder_lists_name_quantity_and_price() -> None:
    text, html = cart_mail(example("checkout.json"))
    for fact in ("Moominland Midwinter", "The Summer Book", "€12.90", "€14.50", "€41.90"):
        assert fact in text
        assert fact in html
    assert "The Summer Book, 2 × €14.50" in text
    assert "https://northwind.example/checkout/c-1001" in text
    assert "https://northwind.example/checkout/c-1001" in html


def test_the_cart_reminder_needs_no_items() -> None:
    text, html = cart_mail({"type": "checkout.started", "checkout_id": "c1"})
    assert "Your basket is still here" in text
    assert 'class="products"' not in html


def test_the_confirmation_carries_its_link_and_no_other_call() -> None:
    flow, step, channel = next(row for row in sends() if row[1].template == "welcome/confirm")
    body = rendered(flow, step, channel, person(), {}).body
    mail = message_from_bytes(body, policy=policy.default)
    html = list(mail.iter_parts())[1].get_content()
    assert html.count('class="button"') == 1
    assert "http://127.0.0.1:8000/confirm/" in html
    assert "/u/" not in html


def test_a_person_without_an_address_cannot_be_written_to() -> None:
    flow, step, channel = sends()[0]
    with pytest.raises(RecipientRejected):
        rendered(flow, step, channel, person(email=None), {})


def test_the_examples_tell_of_one_checkout() -> None:
    checkout, order = example("checkout.json"), example("order.json")
    assert (checkout["type"], order["type"]) == ("checkout.started", "order.placed")
    assert checkout["checkout_id"] == order["checkout_id"]
    assert checkout["contact"]["email"] == order["contact"]["email"]
    assert checkout["consent"]["email"] == "yes"
    for event in (checkout, order):
        cents = sum(round(item["price"] * 100) * item["quantity"] for item in event["items"])
        assert cents == round(event["total"] * 100)
