"""Text messages through the real SDK to a stand-in that speaks Twilio's API."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.channels.failover import FailoverProvider
from orchestrator.channels.sms import twilio
from orchestrator.channels.sms.twilio import TwilioProvider, twilio_provider
from orchestrator.channels.trouble import Trouble
from orchestrator.channels.urls import read_provider_url
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Delivery, DeliveryOutcome, RenderedMessage
from tests.integration.shop import SteppingClock
from tests.integration.twilio_server import (
    SERVICE,
    SID,
    TOKEN,
    Answer,
    TwilioServer,
    refusal,
    running_twilio,
)

SETTING = "ORCHESTRATOR_SMS_URL"
SENT, RETRY = DeliveryOutcome.SENT, DeliveryOutcome.RETRY
REJECTED, UNKNOWN = DeliveryOutcome.REJECTED, DeliveryOutcome.UNKNOWN


@pytest.fixture(scope="module")
def running() -> Iterator[TwilioServer]:
    with running_twilio() as server:
        yield server


@pytest.fixture
def server(running: TwilioServer) -> TwilioServer:
    """The one of the module, with nothing in its memory."""
    running.answers.clear()
    running.made.clear()
    running.requests = running.connections = 0
    return running


def opened(url: str) -> TwilioProvider:
    return twilio_provider(read_provider_url(url, SETTING))


def text(
    body: str = "Northwind: hello €5 😀", to: str = "+358401234567", sender: str = "NORTHWIND"
) -> RenderedMessage:
    return RenderedMessage(Channel.SMS, sender, to, body.encode(), "en")


async def sent(provider: TwilioProvider, message: RenderedMessage | None = None) -> Delivery:
    try:
        return await provider.send(MessageId("m1"), message or text())
    finally:
        await provider.close()


async def test_a_text_arrives_as_it_was_rendered(server: TwilioServer) -> None:
    delivery = await sent(opened(server.provider_url()))
    assert delivery == Delivery(SENT, "SM" + "0" * 31 + "1", "queued")
    assert server.made == [
        {"To": "+358401234567", "From": "NORTHWIND", "Body": "Northwind: hello €5 😀"}
    ]
    assert all(agent.startswith("twilio-python/") for agent in server.agents)


@pytest.mark.parametrize(
    ("allowed", "said"),
    [(timedelta(minutes=15), "900"), (timedelta(hours=12), "36000"), (timedelta(seconds=1), "5")],
)
async def test_what_would_come_too_late_expires_in_the_queue_of_twilio_as_well(
    server: TwilioServer, allowed: timedelta, said: str
) -> None:
    await sent(opened(server.provider_url()), replace(text(), valid_for=allowed))
    assert server.made[0]["ValidityPeriod"] == said


async def test_the_address_names_the_sender_where_the_brand_names_none(
    server: TwilioServer,
) -> None:
    await sent(opened(server.provider_url()), text(sender=""))
    await sent(opened(f"twilio://{SID}:{TOKEN}@default?from=+15005550001&base_url={server.url}"),
               text(sender=""))  # fmt: skip
    assert [one["From"] for one in server.made] == ["+15005550006", "+15005550001"]


async def test_without_any_sender_nothing_is_asked_of_twilio(server: TwilioServer) -> None:
    provider = opened(f"twilio://{SID}:{TOKEN}@default?base_url={server.url}")
    delivery = await sent(provider, text(sender=""))
    assert (delivery.outcome, delivery.code) == (RETRY, "sender")
    assert server.requests == 0


async def test_a_messaging_service_chooses_its_sender_itself(server: TwilioServer) -> None:
    delivery = await sent(opened(server.provider_url(messaging_service=SERVICE)))
    assert (delivery.outcome, delivery.code) == (SENT, "accepted")
    assert server.made[0]["MessagingServiceSid"] == SERVICE
    assert "From" not in server.made[0]


async def test_an_api_key_logs_in_for_its_account(server: TwilioServer) -> None:
    provider = opened(f"twilio://SK1:{TOKEN}@default?account={SID}&base_url={server.url}")
    delivery = await sent(provider)
    assert delivery.code == "configuration"  # the stand-in knows no keys
    assert (server.requests, server.made) == (1, [])


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (refusal(400, 21211), REJECTED, "21211"),
        (refusal(400, 21610), REJECTED, "21610"),
        (refusal(400, 21606), RETRY, "21606"),
        (refusal(429, 20429, retry_after="7"), RETRY, "20429"),
        (refusal(401, 20003), RETRY, "configuration"),
        (refusal(500, 20500), RETRY, "20500"),
        (Answer(502, "<html>Bad gateway</html>"), UNKNOWN, "502"),
        (Answer(201, "nonsense"), UNKNOWN, "protocol"),
        (Answer(201, {"status": "failed", "error_code": 30007}), REJECTED, "30007"),
        (Answer(302, "", {"location": "http://127.0.0.1:9/"}), RETRY, "configuration"),
        (Answer(cut=True, makes=True), UNKNOWN, "dropped"),
        (Answer(400, json.dumps({"type": "about:blank", "title": "T", "status": 400,
                                 "code": 21614})), REJECTED, "21614"),
    ],
)  # fmt: skip
async def test_an_answer_means_the_same_through_the_library(
    server: TwilioServer, answer: Answer, outcome: DeliveryOutcome, code: str
) -> None:
    server.will(answer)
    delivery = await sent(opened(server.provider_url()))
    assert (delivery.outcome, delivery.code) == (outcome, code)
    assert server.requests == 1  # whatever it was, nothing was repeated


async def test_a_pause_that_twilio_asks_for_comes_through(server: TwilioServer) -> None:
    server.will(refusal(429, 20429, retry_after="7"))
    delivery = await sent(opened(server.provider_url()))
    assert delivery.retry_after == timedelta(seconds=7)


async def test_a_connection_that_ends_while_the_request_is_read_is_never_a_success(
    server: TwilioServer,
) -> None:
    server.will(Answer(unread=True))
    delivery = await sent(opened(server.provider_url()))
    # Whether the last byte had left by then is a matter of microseconds.
    assert delivery.outcome in {RETRY, UNKNOWN}
    assert server.made == []


async def test_silence_after_the_request_is_doubt(
    server: TwilioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = httpx.Timeout(connect=3.0, write=3.0, read=0.1, pool=1.0)
    monkeypatch.setattr(twilio, "TIME_LIMITS", limits)
    server.will(Answer(after=0.5))
    delivery = await sent(opened(server.provider_url()))
    assert (delivery.outcome, delivery.code) == (UNKNOWN, "timeout")
    assert server.requests == 1


async def test_nobody_listening_is_known_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    delivery = await sent(
        opened(f"twilio://{SID}:{TOKEN}@default?base_url=http://127.0.0.1:{port}")
    )
    assert (delivery.outcome, delivery.code) == (RETRY, "connect")


async def test_connections_are_kept_and_never_more_than_said(server: TwilioServer) -> None:
    provider = opened(server.provider_url(connections="3"))
    deliveries = await asyncio.gather(
        *(provider.send(MessageId(f"m{n}"), text(to=f"+35840123456{n % 10}")) for n in range(30))
    )
    await provider.close()
    assert {one.outcome for one in deliveries} == {SENT}
    assert len({one.provider_id for one in deliveries}) == len(server.made) == 30
    assert server.connections <= 3


async def test_the_librarys_own_variables_do_not_lead_it_elsewhere(
    server: TwilioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TWILIO_EDGE", "TWILIO_REGION", "TWILIO_ACCOUNT_SID", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await sent(opened(server.provider_url()))).outcome is SENT


async def test_a_stop_before_a_connection_is_free_is_known_not_sent(server: TwilioServer) -> None:
    provider = opened(server.provider_url(connections="1"))
    server.will(Answer(after=0.3))
    first = asyncio.create_task(provider.send(MessageId("m1"), text()))
    second = asyncio.create_task(provider.send(MessageId("m2"), text()))
    await asyncio.sleep(0.05)
    second.cancel()
    assert await second == Delivery(RETRY, code=Trouble.CANCELLED.value)
    assert (await first).outcome is SENT
    await provider.close()
    assert len(server.made) == 1


async def test_a_stop_while_twilio_answers_waits_for_it_a_little(server: TwilioServer) -> None:
    provider = opened(server.provider_url())
    server.will(Answer(after=0.3))
    sending = asyncio.create_task(provider.send(MessageId("m1"), text()))
    await until(lambda: server.requests == 1)
    sending.cancel()
    assert (await sending).outcome is SENT
    await provider.close()


async def test_a_stop_while_twilio_is_silent_leaves_doubt(
    server: TwilioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio, "LAST_WORDS", 0.05)
    provider = opened(server.provider_url())
    server.will(Answer(after=0.4))
    sending = asyncio.create_task(provider.send(MessageId("m1"), text()))
    await until(lambda: server.requests == 1)
    sending.cancel()
    assert await sending == Delivery(UNKNOWN, code=Trouble.CANCELLED.value)
    await provider.close()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - it happens on the server's thread
            await asyncio.sleep(0.005)


async def test_what_a_person_has_to_mend_is_told_without_a_number_or_a_secret(
    server: TwilioServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.will(refusal(400, 21606, "The 'From' number +15005550006 is not yours"))
    server.will(refusal(400, 29999, "something new about +358401234567"))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            await sent(opened(server.provider_url()))
    assert "brand.sms" in caplog.text
    assert "29999 something new" in caplog.text
    assert SETTING in caplog.text
    for hidden in ("+358", "+1500", TOKEN):
        assert hidden not in caplog.text


async def test_doubt_is_never_given_to_the_next_provider(server: TwilioServer) -> None:
    with running_twilio() as second:
        chain = FailoverProvider([opened(server.provider_url()), opened(second.provider_url())],
                                 SteppingClock())  # fmt: skip
        server.will(Answer(cut=True), refusal(429, 20429), refusal(400, 21211))
        outcomes = [(await chain.send(MessageId(f"m{n}"), text())).outcome for n in range(3)]
        await chain.close()
        assert outcomes == [UNKNOWN, SENT, REJECTED]
        assert len(second.made) == 1


@pytest.mark.parametrize(
    "address",
    [
        f"twilio://{SID}@default",
        f"twilio://{SID}:{TOKEN}@",
        f"twilio://user:{TOKEN}@default",
        f"twilio://SK123:{TOKEN}@default",
        f"twilio://{SID}:{TOKEN}@default/path",
        f"twilio://{SID}:{TOKEN}@default?form=x",
        f"twilio://{SID}:{TOKEN}@default?messaging_service=news",
        f"twilio://{SID}:{TOKEN}@default?base_url=ftp://x",
        f"twilio://{SID}:{TOKEN}@default?connections=0",
        f"twilio:{TOKEN}",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(address)
    assert str(caught.value).startswith(f"{SETTING}: ")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        ("default", "https://api.twilio.com"),
        ("api.dublin.ie1.twilio.com", "https://api.dublin.ie1.twilio.com"),
        ("localhost:8443", "https://localhost:8443"),
        ("default?base_url=http://127.0.0.1:1/", "http://127.0.0.1:1"),
    ],
)
def test_the_host_is_twilios_or_a_regions(address: str, base_url: str) -> None:
    provider = opened(f"twilio://{SID}:{TOKEN}@{address}")
    assert provider.account.base_url == base_url
    assert provider.connections == 16
    assert TOKEN not in repr(provider.account)


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    for option in twilio._OPTIONS:
        assert f"| `{option}` |" in page
