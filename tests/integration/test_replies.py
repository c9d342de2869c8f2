"""What people answer holds from the 200 on: STOP for everybody at a number, START for what it was.

Through the application itself: texts go out to a stand-in for Twilio, and its signed webhooks
come in. Once on each database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.channels.sms.twilio import twilio_provider
from orchestrator.channels.urls import read_provider_url
from orchestrator.domain.consent import LedgerRecord
from orchestrator.domain.errors import TransientError
from orchestrator.domain.events import Event
from orchestrator.domain.flows import Channel
from tests.integration.shop import BRAND, ROOT, Shop, checkout, open_shop
from tests.integration.twilio_server import (
    Answer,
    TwilioServer,
    inbound,
    refusal,
    running_twilio,
    signed_request,
)

ADA, BEA = "ada@example.com", "bea@example.com"
PHONE = "+358401234567"
BASE = "http://127.0.0.1:8000"

TEXTS = """\
flows:
  cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    key: event.checkout_id
    steps:
      - send: cart/reminder
        id: first
        via: sms
      - wait_for: first.replied
        within: 1 day
      - send: cart/reminder
        id: second
        via: sms
"""


@pytest.fixture(scope="module")
def running() -> Iterator[TwilioServer]:
    with running_twilio() as server:
        yield server


@pytest.fixture
def server(running: TwilioServer) -> TwilioServer:
    running.answers.clear()
    running.made.clear()
    return running


@pytest.fixture
def shop(tmp_path: Path, database_url: str, server: TwilioServer) -> Iterator[Shop]:
    """A shop that texts at once, and again after a day or an answer."""
    with a_shop(tmp_path, database_url, server, BRAND + TEXTS) as opened:
        yield opened


@contextmanager
def a_shop(folder: Path, url: str, server: TwilioServer, flows: str) -> Iterator[Shop]:
    provider = twilio_provider(read_provider_url(server.provider_url(), "ORCHESTRATOR_SMS_URL"))
    with open_shop(folder, url, flows, sms=provider) as shop:
        yield shop
    for line in provider._lines:
        line.close()


@asynccontextmanager
async def client_of(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(shop.app.web)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


async def reply(shop: Shop, text: str, number: str = PHONE, **more: str) -> httpx.Response:
    """A text that somebody sends to us, as Twilio passes it on."""
    headers, body = signed_request(f"{BASE}/replies/twilio", inbound(text, number, **more))
    async with client_of(shop) as client:
        answer = await client.post("/replies/twilio", headers=headers, content=body)
    # Later answers are later in the ledger, too.
    shop.clock.moment += timedelta(seconds=1)
    return answer


async def buys(shop: Shop, email: str = ADA, phone: str = PHONE, number: str = "c1") -> None:
    person = {"phone": phone, "country": "FI"}
    await shop.receive("checkout.started", email, contact=person, **checkout(number))
    await shop.settle()
    shop.clock.moment += timedelta(seconds=1)


def status(shop: Shop, email: str = ADA, channel: Channel = Channel.SMS) -> dict[str, str]:
    with shop.app.database.read() as uow:
        states = uow.consents.states([shop.contact_id(email)])[shop.contact_id(email)]
    return {one.topic: one.status.value for one in states if one.channel is channel}


def records(shop: Shop, email: str = ADA) -> list[LedgerRecord]:
    with shop.app.database.read() as uow:
        return uow.consents.records(shop.contact_id(email))


def heard(shop: Shop, email: str = ADA) -> list[Event]:
    with shop.app.database.read() as uow:
        return list(reversed(uow.events.of_contact(shop.contact_id(email), 50)))


async def test_a_text_goes_out_and_a_stop_keeps_the_next_one_back(
    shop: Shop, server: TwilioServer
) -> None:
    await buys(shop)
    (made,) = server.made
    assert (made["To"], made["From"]) == (PHONE, "+15005550006")
    assert made["Body"].startswith("Northwind Books: ")
    answer = await reply(shop, "Stop.")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text.endswith("<Response/>")
    await shop.pass_time(days=2)
    first, second = shop.messages()
    assert (first.state, first.provider, first.provider_id) == (
        "sent",
        "twilio",
        "SM" + "0" * 31 + "1",
    )
    assert (second.state, second.reason) == ("not_sent", "no_consent")
    assert len(server.made) == 1


async def test_a_stop_holds_from_its_answer_on_for_what_is_queued_already(
    shop: Shop, server: TwilioServer
) -> None:
    person = {"phone": PHONE, "country": "FI"}
    await shop.receive("checkout.started", ADA, contact=person, **checkout())
    await shop.app.enrolling.run_once()
    await shop.app.advancing.run_once()
    assert [row.state for row in shop.messages()] == ["queued"]
    assert (await reply(shop, "STOP")).status_code == 200
    await shop.settle()
    assert shop.messages()[0].reason == "no_consent"
    assert server.made == []


async def test_the_ledger_tells_how_it_was_said_and_what_it_answered(shop: Shop) -> None:
    await buys(shop)
    await reply(shop, "Please stop texting me", MessageSid="SM" + "a" * 32)
    record = records(shop)[-1]
    assert (record.action, record.method, record.topic) == ("withdrawn", "keyword", "*")
    assert record.channel is Channel.SMS
    assert record.details["actor"] == "person"
    assert record.details["evidence"] == "event twilio:SM" + "a" * 32
    assert record.details["message_id"] == shop.messages()[0].id
    assert record.personal == {"address": PHONE}
    assert "text" not in record.details
    kept = [event for event in heard(shop) if event.source == "twilio"]
    assert [event.payload["text"] for event in kept] == ["Please stop texting me"]


async def test_a_stop_by_text_leaves_mail_alone_and_journeys_hear_of_it(shop: Shop) -> None:
    await buys(shop)
    await reply(shop, "STOP")
    assert status(shop)["*"] == "withdrawn"
    assert status(shop, channel=Channel.EMAIL)["offers"] == "granted"
    (told,) = [event for event in heard(shop) if event.type == "contact.unsubscribed"]
    assert told.payload["consent"] == {"sms": "no"}
    assert "offers" in told.payload["data"]["topics"]


async def test_a_stop_is_for_everybody_who_shares_the_number(shop: Shop) -> None:
    await buys(shop)
    await buys(shop, BEA, number="c2")
    await buys(shop, "cia@example.com", "+358409999999", "c3")
    assert shop.contact_id(ADA) != shop.contact_id(BEA)
    await reply(shop, "STOP")
    assert status(shop)["*"] == status(shop, BEA)["*"] == "withdrawn"
    assert status(shop, "cia@example.com")["offers"] == "granted"


async def test_a_repeated_delivery_and_a_repeated_stop_change_nothing(shop: Shop) -> None:
    await buys(shop)
    for _ in range(2):
        assert (await reply(shop, "STOP", MessageSid="SM" + "b" * 32)).status_code == 200
    await reply(shop, "stop!!", MessageSid="SM" + "c" * 32)
    assert [one.action.value for one in records(shop)].count("withdrawn") == 1
    assert len([event for event in heard(shop) if event.source == "twilio"]) == 2


async def test_start_brings_back_what_the_stop_ended_and_no_more(shop: Shop) -> None:
    await buys(shop)
    await shop.receive(
        "contact.unsubscribed", ADA, consent={"sms": "no"}, data={"topics": ["news"]}
    )
    shop.clock.moment += timedelta(seconds=1)
    await reply(shop, "STOP")
    assert status(shop) == {"*": "withdrawn", "news": "withdrawn", "offers": "withdrawn"}
    await reply(shop, "START")
    assert status(shop) == {"*": "withdrawn", "news": "withdrawn", "offers": "granted"}
    record = records(shop)[-1]
    assert (record.action, record.method, record.details["reason"]) == (
        "granted",
        "keyword",
        "start",
    )
    assert "contact.confirmed" in [event.type for event in heard(shop)]
    await shop.pass_time(days=2)
    assert [row.state for row in shop.messages()] == ["sent", "sent"]


async def test_start_without_a_stop_grants_nothing(shop: Shop) -> None:
    await buys(shop)
    await shop.receive("contact.unsubscribed", ADA, consent={"sms": "no"})
    shop.clock.moment += timedelta(seconds=1)
    before = len(records(shop))
    await reply(shop, "START")
    await reply(shop, "UNSTOP", "+358407777777")
    assert len(records(shop)) == before
    assert status(shop)["offers"] == "withdrawn"


async def test_stop_and_start_may_follow_each_other(shop: Shop) -> None:
    await buys(shop)
    for number in range(3):
        await reply(shop, "STOP", MessageSid=f"SM{number}a")
        assert status(shop)["offers"] == "withdrawn"
        await reply(shop, "START", MessageSid=f"SM{number}b")
        assert status(shop)["offers"] == "granted"
    assert status(shop)["news"] == "granted"


async def test_a_stop_of_a_stranger_outweighs_a_consent_that_is_older(shop: Shop) -> None:
    given = shop.clock.moment
    shop.clock.moment += timedelta(hours=1)
    await reply(shop, "STOP")
    person = {"phone": PHONE, "country": "FI"}
    await shop.receive("checkout.started", ADA, contact=person, occurred_at=given, **checkout())
    await shop.settle()
    assert shop.messages()[0].reason == "no_consent"


async def test_another_text_is_the_answer_to_the_latest_message(
    shop: Shop, server: TwilioServer
) -> None:
    await buys(shop)
    await reply(shop, "When does the shop open?")
    await shop.settle()
    (run,) = shop.runs(ADA)
    assert run.outputs["first"]["replied"] is True
    assert len(server.made) == 2  # the answer ended the wait
    (event,) = [one for one in heard(shop) if one.type == "message.replied"]
    assert event.payload["data"]["step"] == "first"


async def test_a_word_to_stop_is_no_answer_that_a_journey_waits_for(shop: Shop) -> None:
    await buys(shop)
    await reply(shop, "STOP")
    await reply(shop, "HELP")
    await shop.settle()
    (run,) = shop.runs(ADA)
    assert "first" not in run.outputs
    assert run.step == "2"


async def test_a_text_that_is_not_clear_stops_and_reaches_people_and_journeys(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    await buys(shop)
    await reply(shop, "Can I stop by the shop on Friday?")
    await shop.settle()
    assert status(shop)["*"] == "withdrawn"
    assert "please read it" in caplog.text
    assert "Friday" not in caplog.text
    (run,) = shop.runs(ADA)
    assert run.outputs["first"]["replied"] is True
    await reply(shop, "START")
    assert status(shop)["offers"] == "granted"


async def test_a_provider_that_says_somebody_stopped_is_believed(
    shop: Shop, server: TwilioServer
) -> None:
    server.will(refusal(400, 21610, "Attempt to send to unsubscribed recipient"))
    await buys(shop)
    (message,) = shop.messages()
    assert (message.state, message.reason) == ("failed", "rejected")
    assert status(shop)["*"] == "withdrawn"
    record = records(shop)[-1]
    assert (record.method, record.details["message_id"]) == ("keyword", message.id)
    await shop.pass_time(days=2)
    assert [row.reason for row in shop.messages()] == ["rejected", "no_consent"]


async def test_a_lost_answer_is_doubt_and_is_never_sent_again(
    shop: Shop, server: TwilioServer
) -> None:
    server.will(Answer(cut=True, makes=True))
    await buys(shop)
    await shop.pass_time(hours=1)
    (message,) = shop.messages()
    assert message.state == "unknown"
    assert len(server.made) == 1


async def test_whatsapp_and_text_messages_stop_apart(shop: Shop) -> None:
    await buys(shop)
    await reply(shop, "STOP", From=f"whatsapp:{PHONE}")
    assert status(shop, channel=Channel.WHATSAPP) == {"*": "withdrawn"}
    assert status(shop)["offers"] == "granted"


async def test_what_is_not_signed_is_refused_and_does_nothing(shop: Shop) -> None:
    await buys(shop)
    headers, body = signed_request(f"{BASE}/replies/twilio", inbound("STOP", PHONE), "wrong")
    async with client_of(shop) as client:
        refused = await client.post("/replies/twilio", headers=headers, content=body)
        unsigned = await client.post("/replies/twilio", content=body)
        nobody = await client.post("/replies/telnyx", content=body)
        fetched = await client.get("/replies/twilio")
    assert [one.status_code for one in (refused, unsigned, nobody, fetched)] == [401, 401, 404, 405]
    assert refused.json()["code"] == "not_authentic"
    assert status(shop)["offers"] == "granted"


async def test_a_query_is_part_of_the_signed_address(shop: Shop) -> None:
    await buys(shop)
    headers, body = signed_request(f"{BASE}/replies/twilio?shop=1&x=%20", inbound("STOP", PHONE))
    async with client_of(shop) as client:
        wrong = await client.post("/replies/twilio", headers=headers, content=body)
        right = await client.post("/replies/twilio?shop=1&x=%20", headers=headers, content=body)
    assert (wrong.status_code, right.status_code) == (401, 200)


async def test_bad_bodies_are_refused_and_never_our_fault(shop: Shop) -> None:
    url = f"{BASE}/replies/twilio"
    headers, body = signed_request(url, inbound("hi", From="nobody"))
    async with client_of(shop) as client:
        unreadable = await client.post("/replies/twilio", headers=headers, content=body)
        large = await client.post("/replies/twilio", headers=headers, content=b"x" * 2_000_000)
    assert (unreadable.status_code, large.status_code) == (400, 413)


async def test_what_cannot_be_stored_is_asked_for_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await buys(shop)
    for failure in (TransientError("no database"), RuntimeError("a mistake of ours")):

        async def fail(*_arguments: object, error: Exception = failure) -> bool:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(shop.app.replies, "receive", fail)
            answer = await reply(shop, "STOP")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert (await reply(shop, "STOP")).status_code == 200
    assert status(shop)["offers"] == "withdrawn"


async def test_the_shipped_cart_journey_texts_through_twilio_until_somebody_stops(
    tmp_path: Path, database_url: str, server: TwilioServer
) -> None:
    with a_shop(tmp_path, database_url, server, (ROOT / "flows.yaml").read_text()) as shop:
        person = {"phone": PHONE, "country": "FI", "timezone": "Europe/Helsinki"}
        await shop.receive("checkout.started", ADA, contact=person, **checkout())
        await shop.pass_time(days=1, hours=4)
        (made,) = server.made
        # A name cannot be answered, so its text leads to a page.
        assert made["From"] == "NORTHWIND"
        assert made["ValidityPeriod"] == "36000"  # it may be late by twelve hours
        assert f"{BASE}/u/" in made["Body"]
        assert [row.channel for row in shop.messages()] == ["email", "sms"]
        await reply(shop, "STOP")
        await shop.receive("checkout.started", ADA, contact=person, **checkout("c2", consent={}))
        await shop.pass_time(days=4)
        texts = [row for row in shop.messages() if row.channel is Channel.SMS]
        assert [(row.state, row.reason) for row in texts][1:] == [("not_sent", "no_consent")]
        assert len(server.made) == 1
