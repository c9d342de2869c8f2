"""Mail by SMTP against a real server on loopback: what is known of a message is true."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.email import smtp
from orchestrator.channels.email.smtp import SmtpProvider, smtp_provider
from orchestrator.channels.email.smtp_connection import Timeouts
from orchestrator.channels.email.smtp_replies import FULL_PAUSE, MEND_PAUSE
from orchestrator.channels.failover import LONG_REST, REST, FailoverProvider, Pauses
from orchestrator.channels.urls import read_provider_url
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.observability import PrometheusMetrics
from orchestrator.ports import Delivery, DeliveryOutcome, Provider, RenderedMessage
from tests.integration.smtp_server import (
    DROP,
    DROP_UNTAKEN,
    SILENCE,
    Answer,
    Certificates,
    SmtpServer,
    make_certificates,
    running_smtp_server,
    slow,
)

SENT, REJECTED = DeliveryOutcome.SENT, DeliveryOutcome.REJECTED
RETRY, UNKNOWN = DeliveryOutcome.RETRY, DeliveryOutcome.UNKNOWN
POSTPONED = DeliveryOutcome.POSTPONED
SETTING = "ORCHESTRATOR_EMAIL_URL"
ADA = "ada@example.com"
PASSWORD = "s3cret/w@rd"
ENCODED = "s3cret%2Fw%40rd"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 1_000_000
"""More than the buffers of a connection hold, so that a server can break in before its end."""
QUICK = Timeouts(connect=5, before_dot=5, after_dot=1.0, quit=1.0)


def mail(
    to: str = ADA, body: bytes = b"Subject: hi\r\n\r\nhello\r\n", **details: str
) -> RenderedMessage:
    return RenderedMessage(
        Channel.EMAIL, "Northwind <news@northwind.example>", to, body, "en", details
    )


def number(count: int) -> MessageId:
    return MessageId(f"m{count}")


def numbered(count: int) -> RenderedMessage:
    return mail(body=b"Subject: hi\r\n\r\nmessage %d.\r\n" % count)


def provider_of(
    server: SmtpServer, options: str = "tls=none", account: str = "", timeouts: Timeouts = QUICK
) -> SmtpProvider:
    url = f"smtp://{account}localhost:{server.port}?{options}"
    provider = smtp_provider(read_provider_url(url, SETTING))
    provider._timeouts = timeouts
    return provider


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[False, True], ids=["one by one", "pipelining"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[SmtpServer]:
    async with SmtpServer(pipelining=request.param) as running:
        yield running


@pytest.fixture
async def pipelining() -> AsyncIterator[SmtpServer]:
    async with SmtpServer(pipelining=True) as running:
        yield running


@pytest.fixture
async def provider(server: SmtpServer) -> AsyncIterator[SmtpProvider]:
    made = provider_of(server)
    yield made
    await made.close()


# What arrives


async def test_a_mail_arrives_as_it_was_written(server: SmtpServer, provider: SmtpProvider) -> None:
    body = b".first\r\n..two\r\n\r\n.\r\nafter a lonely dot\r\n"
    delivery = await provider.send(number(1), mail(body=body))
    assert delivery == Delivery(SENT, provider_id="ABC123", code="250")
    (taken,) = server.inbox
    assert (taken.sender, taken.recipients) == ("news@northwind.example", (ADA,))
    assert taken.body == body


async def test_a_bare_line_end_cannot_hide_a_second_mail(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    body = b"Subject: hi\n\none\n.\nMAIL FROM:<x@y.example>\r.\r\nend"
    assert (await provider.send(number(1), mail(body=body))).outcome is SENT
    lines = b"Subject: hi\r\n\r\none\r\n.\r\nMAIL FROM:<x@y.example>\r\n.\r\nend\r\n"
    assert server.bodies == [lines]


async def test_bounces_may_go_to_another_address(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    await provider.send(number(1), mail(return_path="bounces+m1@m.northwind.example"))
    assert server.inbox[0].sender == "bounces+m1@m.northwind.example"


async def test_an_international_domain_travels_in_its_ascii_form(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    assert (await provider.send(number(1), mail("ada@bücher.example"))).outcome is SENT
    assert server.inbox[0].recipients == ("ada@xn--bcher-kva.example",)


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    for utf8, outcome in ((True, SENT), (False, REJECTED)):
        async with SmtpServer(utf8=utf8) as server:
            provider = provider_of(server)
            delivery = await provider.send(number(1), mail("jürgen@example.com"))
            await provider.close()
        assert delivery.outcome is outcome
        assert delivery.reason == (None if utf8 else "invalid_address")
        assert len(server.inbox) == int(utf8)


async def test_a_sender_that_is_none_is_the_operators_to_mend(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    delivery = await provider.send(number(1), mail(return_path="nobody"))
    assert (delivery.outcome, delivery.code) == (RETRY, "sender")
    assert "brand.email" in (delivery.detail or "")
    assert server.connections == 0


@pytest.mark.parametrize(
    "address",
    ["", "ada", "a@b\r\nRSET", "<ada@example.com>", "a b@c.example", f"{'a' * 65}@b.example"],
)
async def test_what_is_no_address_is_refused_without_asking(
    server: SmtpServer, provider: SmtpProvider, address: str
) -> None:
    delivery = await provider.send(number(1), mail(address))
    assert (delivery.outcome, delivery.reason) == (REJECTED, "invalid_address")
    assert server.connections == 0


async def test_a_mail_above_the_servers_limit_is_not_offered() -> None:
    async with SmtpServer(size_limit=100) as server:
        provider = provider_of(server)
        delivery = await provider.send(number(1), mail(body=b"x" * 200))
        assert (await provider.send(number(2), mail(body=b"x" * 90))).outcome is SENT
        await provider.close()
    assert (delivery.outcome, delivery.reason) == (REJECTED, "rejected")
    assert server.commands == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


# What an answer means, by its place


@pytest.mark.parametrize(
    ("place", "answer", "outcome", "code"),
    [
        ("MAIL", "451 4.3.0 later", RETRY, "451"),
        ("MAIL", "421 4.3.2 closing", RETRY, "421"),
        ("MAIL", "553 5.7.1 not your address", REJECTED, "553"),
        ("MAIL", "530 5.7.0 log in", RETRY, "configuration"),
        ("MAIL", DROP, RETRY, "dropped"),
        ("RCPT", "450 4.2.0 greylisted", RETRY, "450"),
        ("RCPT", "550 5.1.1 unknown", REJECTED, "550"),
        ("RCPT", "552 5.2.2 full", RETRY, "552"),
        ("RCPT", DROP, RETRY, "dropped"),
        ("DATA", "451 later", RETRY, "451"),
        ("DATA", "554 no", REJECTED, "554"),
        ("DATA", DROP, RETRY, "dropped"),
        ("DATA", "250 what", RETRY, "protocol"),
        ("DOT", "354 what", UNKNOWN, "protocol"),
        ("DOT", "451 later", RETRY, "451"),
        ("DOT", "421 closing", RETRY, "421"),
        ("DOT", "554 5.7.1 spam", REJECTED, "554"),
        ("DOT", DROP, UNKNOWN, "dropped"),
        ("DOT", DROP_UNTAKEN, UNKNOWN, "dropped"),
        ("DOT", SILENCE, UNKNOWN, "timeout"),
        ("DOT", "what", UNKNOWN, "protocol"),
        ("DOT", "250 fine", SENT, "250"),
    ],
)
async def test_an_answer_at_its_place(
    server: SmtpServer,
    provider: SmtpProvider,
    place: str,
    answer: str | Answer,
    outcome: DeliveryOutcome,
    code: str,
) -> None:
    server.next_message(**{place: answer})
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (outcome, code)
    kept = len(server.inbox)
    assert kept == 1 if outcome is SENT else kept == 0 or outcome is UNKNOWN
    # Whatever it was, the next message finds its way.
    assert (await provider.send(number(2), mail())).outcome is SENT
    assert len(server.inbox) == kept + 1
    if code == "protocol":  # nobody knows what the next answer would belong to
        assert server.connections == 2


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "DATA"])
async def test_silence_before_the_message_is_known_not_sent(server: SmtpServer, place: str) -> None:
    provider = provider_of(server, timeouts=Timeouts(before_dot=0.5))
    server.next_message(**{place: SILENCE})
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (RETRY, "timeout")
    assert delivery.detail == f"no answer to {place}"
    await provider.close()
    assert server.inbox == []


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (DROP, RETRY, "dropped"),
        (SILENCE, RETRY, "timeout"),
        ("451 4.3.0 later", RETRY, "451"),
        ("552 5.3.4 enough", REJECTED, "552"),
        ("250 too early to be true", RETRY, "protocol"),
    ],
)
async def test_a_break_within_the_message_is_known_not_sent(
    server: SmtpServer, answer: str | Answer, outcome: DeliveryOutcome, code: str
) -> None:
    provider = provider_of(server, timeouts=Timeouts(before_dot=1.0))
    server.next_message(BODY=answer)
    delivery = await provider.send(number(1), mail(body=LARGE))
    assert (delivery.outcome, delivery.code) == (outcome, code)
    await provider.close()
    assert server.inbox == []


async def test_a_large_mail_is_written_whole(server: SmtpServer) -> None:
    provider = provider_of(server, timeouts=Timeouts())
    assert (await provider.send(number(1), mail(body=LARGE[:3_999_996] + b"cut"))).outcome is SENT
    await provider.close()
    assert server.bodies == [LARGE[:3_999_996] + b"cut\r\n"]


async def test_a_slow_server_is_waited_for(server: SmtpServer, provider: SmtpProvider) -> None:
    server.next_message(RCPT=slow(0.05), DOT=slow(0.1, "250 2.0.0 Ok: queued as SLOW"))
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.provider_id) == (SENT, "SLOW")


async def test_a_greylisted_mail_is_taken_when_it_comes_back(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    server.next_message(RCPT="451 4.7.1 Greylisted, please try again in 60 seconds")
    assert (await provider.send(number(1), mail())).outcome is RETRY
    assert (await provider.send(number(1), mail())).outcome is SENT
    assert len(server.inbox) == 1


async def test_a_full_mailbox_is_given_time(server: SmtpServer, provider: SmtpProvider) -> None:
    server.next_message(RCPT="552 5.2.2 mailbox full")
    assert (await provider.send(number(1), mail())).retry_after == FULL_PAUSE


# Getting in


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"GREETING": "421 4.7.0 too many connections"}, "421"),
        ({"GREETING": "554 5.7.1 not welcome"}, "configuration"),
        ({"GREETING": DROP}, "connect"),
        ({"GREETING": SILENCE}, "connect"),
        ({"EHLO": "550 bad name"}, "configuration"),
        ({"EHLO": DROP}, "connect"),
    ],
)
async def test_a_closed_door_is_known_not_sent(
    server: SmtpServer, answers: dict[str, str | Answer], code: str
) -> None:
    provider = provider_of(server, timeouts=Timeouts(connect=0.5))
    server.next_connection(**answers)
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (RETRY, code)
    assert (await provider.send(number(1), mail())).outcome is SENT
    await provider.close()


async def test_nobody_listening_is_known_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    provider = provider_of(SmtpServer(port=port))
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (RETRY, "connect")
    assert "refused" in (delivery.detail or "").lower()
    await provider.close()


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("tls", ["", "tls=require", "tls=implicit"])
async def test_mail_and_password_are_encrypted(
    certificates: Certificates, tls: str, *, pipelined: bool
) -> None:
    implicit = tls == "tls=implicit"
    async with SmtpServer(
        tls=certificates.context,
        implicit=implicit,
        login=("ada", PASSWORD),
        pipelining=pipelined,
    ) as server:
        options = f"ca={certificates.ca_file}&{tls}".rstrip("&")
        provider = provider_of(server, options, f"ada:{ENCODED}@", Timeouts())
        delivery = await provider.send(number(1), mail(body=LARGE[:360_000]))
        await provider.close()
    assert delivery.outcome is SENT
    start = [] if implicit else ["EHLO", "STARTTLS"]
    assert server.commands == [*start, "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert server.bodies == [LARGE[:360_000]]


async def test_encryption_is_used_where_it_is_offered_and_done_without_elsewhere(
    certificates: Certificates,
) -> None:
    for context in (certificates.context, None):
        async with SmtpServer(tls=context) as server:
            provider = provider_of(server, f"ca={certificates.ca_file}")
            assert (await provider.send(number(1), mail())).outcome is SENT
            await provider.close()
        assert ("STARTTLS" in server.commands) == (context is not None)


@pytest.mark.parametrize(
    ("options", "account", "detail"),
    [
        ("tls=require", "", "STARTTLS"),
        ("", f"ada:{ENCODED}@", "not sent in clear"),
        ("tls=implicit", "", "TLS failed"),
    ],
)
async def test_a_server_without_tls_is_not_enough(
    server: SmtpServer, options: str, account: str, detail: str
) -> None:
    provider = provider_of(server, options, account)
    delivery = await provider.send(number(1), mail())
    await provider.close()
    assert (delivery.outcome, delivery.code) == (RETRY, "configuration")
    assert delivery.retry_after == MEND_PAUSE
    assert detail in (delivery.detail or "")
    assert "AUTH" not in server.commands
    assert "MAIL" not in server.commands


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_nobody_vouches_for_is_not_accepted(
    certificates: Certificates, tmp_path: Path, implicit: bool
) -> None:
    other = make_certificates(tmp_path, "mail.other.example")
    tls = "&tls=implicit" if implicit else ""
    for context, ca in (
        (certificates.context, ""),  # the system does not know this authority
        (other.context, f"ca={other.ca_file}"),  # the name is another
    ):
        async with SmtpServer(tls=context, implicit=implicit) as server:
            provider = provider_of(server, f"{ca}{tls}".lstrip("&"), f"ada:{ENCODED}@")
            delivery = await provider.send(number(1), mail())
            await provider.close()
        assert (delivery.outcome, delivery.code) == (RETRY, "configuration")
        assert (delivery.detail or "").startswith("TLS failed")
        assert "AUTH" not in server.commands


async def test_in_clear_only_where_it_was_asked_for() -> None:
    async with SmtpServer(login=("ada", PASSWORD), login_in_clear=True) as server:
        provider = provider_of(server, "tls=none", f"ada:{ENCODED}@")
        assert (await provider.send(number(1), mail())).outcome is SENT
        await provider.close()
    assert "AUTH" in server.commands


async def test_a_wrong_password_is_the_operators_to_mend_and_tried_once(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with SmtpServer(tls=certificates.context, login=("ada", "another")) as server:
        provider = provider_of(server, f"ca={certificates.ca_file}", f"ada:{ENCODED}@")
        chain = FailoverProvider([provider], Standing(), SETTING)
        delivery = await chain.send(number(1), mail())
        await chain.close()
    assert (delivery.outcome, delivery.code) == (POSTPONED, "configuration")
    assert delivery.detail == "login refused: 535 5.7.8"
    assert server.commands.count("AUTH") == 1
    ours = [record for record in caplog.records if record.name.startswith("orchestrator")]
    assert SETTING in ours[0].getMessage()
    said = f"{delivery!r} {provider!r} {[record.__dict__ for record in ours]!r}"
    assert PASSWORD not in said
    assert ENCODED not in said


# Connections


async def test_a_connection_is_used_again(server: SmtpServer, provider: SmtpProvider) -> None:
    for count in range(10):
        assert (await provider.send(number(count), mail())).outcome is SENT
    assert server.connections == 1
    assert server.commands == ["EHLO", *["MAIL", "RCPT", "DATA"] * 10]


async def test_after_a_refusal_the_dialogue_begins_anew(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    server.next_message(RCPT="550 5.1.1 unknown")
    await provider.send(number(1), mail())
    for count in (2, 3):
        assert (await provider.send(number(count), mail())).outcome is SENT
    assert server.connections == 1
    assert server.commands.count("RSET") == 1


async def test_a_connection_that_went_stale_costs_no_try(
    server: SmtpServer, provider: SmtpProvider
) -> None:
    for answer in (DROP, "421 4.4.2 timeout exceeded"):
        await provider.send(number(1), mail())
        server.next_message(MAIL=answer)
        assert (await provider.send(number(2), mail())).outcome is SENT
    await provider.send(number(1), mail())
    server.hang_up()
    await asyncio.sleep(0.01)
    assert (await provider.send(number(2), mail())).outcome is SENT
    assert len(server.inbox) == 6


async def test_connections_are_never_more_than_allowed(server: SmtpServer) -> None:
    provider = provider_of(server, "tls=none&connections=3")
    server.each_time(DOT=slow(0.01))
    deliveries = await asyncio.gather(
        *(provider.send(number(count), numbered(count)) for count in range(30))
    )
    await provider.close()
    assert {delivery.outcome for delivery in deliveries} == {SENT}
    assert server.most_open == 3
    assert server.connections == 3
    assert len(set(server.bodies)) == 30


async def test_connections_on_their_way_out_count_too(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MOST_CARRIED", 2)
    provider = provider_of(server, "tls=none&connections=2")
    server.each_time(QUIT=slow(0.01))
    deliveries = await asyncio.gather(*(provider.send(number(n), numbered(n)) for n in range(20)))
    await provider.close()
    assert {delivery.outcome for delivery in deliveries} == {SENT}
    assert server.most_open == 2
    assert server.connections in {10, 11}, "ten that carry two, or the last two carry one each"


async def test_an_unused_connection_is_closed(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "IDLE", 0.05)
    provider = provider_of(server)
    await provider.send(number(1), mail())
    assert len(server.open) == 1
    await asyncio.sleep(0.2)
    assert not server.open
    assert server.commands[-1] == "QUIT"
    await provider.close()


async def test_a_connection_is_closed_after_many_messages(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MOST_CARRIED", 4)
    provider = provider_of(server)
    for count in range(10):
        assert (await provider.send(number(count), mail())).outcome is SENT
    await provider.close()
    assert server.connections == 3


async def test_closing_waits_for_what_is_under_way(server: SmtpServer) -> None:
    provider = provider_of(server)
    server.next_message(DOT=slow(0.1))
    sending = asyncio.create_task(provider.send(number(1), mail()))
    await asyncio.sleep(0.03)
    await provider.close()
    assert sending.done()
    assert (await sending).outcome is SENT
    assert server.commands[-1] == "QUIT"
    assert not server.open


@pytest.mark.parametrize(
    ("place", "outcome"), [("GREETING", RETRY), ("RCPT", RETRY), ("DOT", UNKNOWN)]
)
async def test_a_cancelled_send_still_tells_what_is_known(
    server: SmtpServer, place: str, outcome: DeliveryOutcome
) -> None:
    provider = provider_of(server, timeouts=Timeouts())
    server.each_time(**{place: SILENCE})
    sending = asyncio.create_task(provider.send(number(1), mail()))
    await asyncio.sleep(0.05)
    sending.cancel()
    delivery = await sending
    assert (delivery.outcome, delivery.code) == (outcome, "cancelled")
    await provider.close()


async def test_a_send_cancelled_within_the_message_has_not_left(server: SmtpServer) -> None:
    provider = provider_of(server, timeouts=Timeouts())
    server.next_message(BODY=SILENCE)
    sending = asyncio.create_task(provider.send(number(1), mail(body=LARGE)))
    await asyncio.sleep(0.1)
    sending.cancel()
    assert (await sending).outcome is RETRY
    await provider.close()
    assert server.inbox == []


async def test_after_a_long_way_in_the_gate_looks_again(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "FRESH", timedelta(seconds=0.05))
    provider = provider_of(server)
    server.next_connection(GREETING=slow(0.1))
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (RETRY, "late")
    assert delivery.retry_after == timedelta()
    # The connection is there now.
    assert (await provider.send(number(1), mail())).outcome is SENT
    assert server.connections == 1
    await provider.close()


def test_a_server_in_a_thread_serves_a_process_of_its_own() -> None:
    with running_smtp_server(SmtpServer()) as server:

        async def send() -> Delivery:
            provider = provider_of(server)
            delivery = await provider.send(number(1), mail())
            await provider.close()
            return delivery

        assert asyncio.run(send()).outcome is SENT
    assert len(server.inbox) == 1


# For every script

OUTCOMES = {
    "MAIL": ["451 later", "550 no", "421 bye", DROP],
    "RCPT": ["450 later", "550 no", "421 bye", DROP],
    "DATA": ["451 later", "554 no", DROP],
    "BODY": ["451 later", "552 no", DROP],
    "DOT": ["451 later", "554 no", "421 bye", "250 ok", DROP, DROP_UNTAKEN, SILENCE],
}
scripts = st.lists(
    st.one_of(
        st.just({}),
        *(
            st.builds(
                lambda place, answer: {place: answer}, st.just(place), st.sampled_from(answers)
            )
            for place, answers in OUTCOMES.items()
        ),
    ),
    min_size=1,
    max_size=8,
)


@given(scripts, st.integers(1, 3), st.booleans())
def test_what_is_said_of_a_message_is_what_the_server_has(
    script: list[dict[str, str | Answer]], connections: int, pipelined: bool
) -> None:
    async def play() -> tuple[list[Delivery], list[bytes]]:
        async with SmtpServer(pipelining=pipelined, lenient=pipelined) as server:
            for answers in script:
                server.next_message(**answers)
            quick = Timeouts(connect=2, before_dot=2, after_dot=0.03, quit=0.2)
            provider = provider_of(server, f"tls=none&connections={connections}", timeouts=quick)
            sends = (provider.send(number(count), numbered(count)) for count in range(len(script)))
            deliveries = await asyncio.gather(*sends)
            await provider.close()
            assert server.most_open <= connections
            return list(deliveries), server.bodies

    deliveries, bodies = asyncio.run(play())
    for count, delivery in enumerate(deliveries):
        copies = bodies.count(numbered(count).body)
        if delivery.outcome is SENT:
            assert copies == 1
        elif delivery.outcome is UNKNOWN:
            assert copies <= 1
        else:
            assert copies == 0


# Commands sent together (PIPELINING)

DIALOGUE = b"MAIL FROM:<news@northwind.example> SIZE=22\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n"


async def test_the_commands_go_out_together_and_the_body_waits(pipelining: SmtpServer) -> None:
    provider = provider_of(pipelining)
    for count in range(2):
        assert (await provider.send(number(count), mail())).outcome is SENT
    await provider.close()
    written = pipelining.chunks[1:-1]
    assert written.count(DIALOGUE) == 2
    assert b"".join(written) == (DIALOGUE + b"Subject: hi\r\n\r\nhello\r\n.\r\n") * 2


async def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    async with SmtpServer() as server:
        provider = provider_of(server)
        assert (await provider.send(number(1), mail())).outcome is SENT
        await provider.close()
    assert [line + b"\r\n" for line in DIALOGUE.splitlines()] == server.chunks[1:4]


async def test_after_a_refusal_the_reset_goes_out_with_the_next_message(
    pipelining: SmtpServer,
) -> None:
    provider = provider_of(pipelining)
    pipelining.next_message(RCPT="550 5.1.1 unknown")
    await provider.send(number(1), mail())
    assert (await provider.send(number(2), mail())).outcome is SENT
    assert b"RSET\r\n" + DIALOGUE in pipelining.chunks
    assert pipelining.connections == 1
    await provider.close()


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [("550 5.1.1 unknown", REJECTED, "550"), ("450 4.2.0 greylisted", RETRY, "450")],
)
async def test_a_server_that_asks_for_a_mail_to_nobody_gets_a_lone_dot(
    answer: str, outcome: DeliveryOutcome, code: str
) -> None:
    async with SmtpServer(pipelining=True, lenient=True) as server:
        provider = provider_of(server)
        server.next_message(RCPT=answer)
        delivery = await provider.send(number(1), mail())
        assert (delivery.outcome, delivery.code) == (outcome, code)
        assert (await provider.send(number(2), mail())).outcome is SENT
        await provider.close()
    assert server.strays == [b".\r\n"]
    assert (len(server.inbox), server.connections) == (1, 1)


async def test_whoever_is_taken_after_the_sender_was_refused_gets_no_empty_mail(
    pipelining: SmtpServer,
) -> None:
    provider = provider_of(pipelining)
    pipelining.next_message(MAIL="550 no", RCPT="250 fine", DATA="354 go on")
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (REJECTED, "550")
    assert (await provider.send(number(2), mail())).outcome is SENT
    await provider.close()
    assert pipelining.connections == 2
    assert b"".join(pipelining.chunks).count(b"\r\n.\r\n") == len(pipelining.inbox) == 1


@pytest.mark.parametrize("data", [DROP, SILENCE, "421 4.3.2 closing", "what"])
async def test_a_refusal_stands_whatever_comes_behind_it(
    pipelining: SmtpServer, data: str | Answer
) -> None:
    provider = provider_of(pipelining, timeouts=Timeouts(connect=0.3, quit=0.3))
    pipelining.next_message(RCPT="550 5.1.1 unknown", DATA=data)
    delivery = await provider.send(number(1), mail())
    assert (delivery.outcome, delivery.reason) == (REJECTED, "invalid_address")
    assert (await provider.send(number(2), mail())).outcome is SENT
    await provider.close()
    assert len(pipelining.inbox) == 1


async def test_a_send_cancelled_behind_a_refusal_tells_the_refusal(pipelining: SmtpServer) -> None:
    provider = provider_of(pipelining, timeouts=Timeouts())
    pipelining.next_message(RCPT="550 5.1.1 unknown", DATA=SILENCE)
    sending = asyncio.create_task(provider.send(number(1), mail()))
    await asyncio.sleep(0.1)
    sending.cancel()
    assert (await sending).outcome is REJECTED
    await provider.close()


async def test_answers_of_several_lines_are_one_answer(server: SmtpServer) -> None:
    provider = provider_of(server)
    for place in ("MAIL", "RCPT"):
        server.next_message(**{place: "450-4.7.0 greylisted\r\n450 4.7.0 come back"})
        delivery = await provider.send(number(1), mail())
        assert (delivery.outcome, delivery.code) == (RETRY, "450")
        assert delivery.detail == "450 4.7.0 greylisted 4.7.0 come back"
    server.next_message(DOT="250-2.0.0 Ok\r\n250 2.0.0 queued as LINES")
    assert (await provider.send(number(2), mail())).provider_id == "LINES"
    assert server.connections == 1
    await provider.close()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("250-2.0.0 yes\r\n550 no", UNKNOWN),  # all lines of an answer have one code
        ("2500 too many digits", UNKNOWN),
        ("250-" + "x" * 40_000, UNKNOWN),
        ("250", SENT),
        ("250 fine\r\n250 and once more", SENT),
    ],
)
async def test_after_what_is_no_answer_the_connection_is_not_used_again(
    server: SmtpServer, answer: str, outcome: DeliveryOutcome
) -> None:
    provider = provider_of(server)
    server.next_message(DOT=answer)
    assert (await provider.send(number(1), mail())).outcome is outcome
    await asyncio.sleep(0.01)
    assert (await provider.send(number(2), mail())).outcome is SENT
    assert server.connections == (1 if answer == "250" else 2)
    await provider.close()


async def test_an_answer_that_nobody_asked_for_belongs_to_no_message(server: SmtpServer) -> None:
    provider = provider_of(server)
    server.next_message(DOT="250 fine\r\n550 5.1.1 meant for nobody")
    await provider.send(number(1), mail())
    await asyncio.sleep(0.01)
    assert (await provider.send(number(2), mail())).outcome is SENT
    await provider.close()


# Several providers


@dataclass
class Standing:
    """A clock that stands still until it is set."""

    moment: datetime = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@dataclass
class Scripted:
    """A provider that answers what it is told to."""

    name: str
    clock: Standing
    answers: list[Delivery] = field(default_factory=list)
    takes: timedelta = timedelta()
    connections: int = 4
    asked: int = 0
    closed: bool = False
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.opened.set()

    async def send(self, *_: object) -> Delivery:
        self.asked += 1
        await self.opened.wait()
        self.clock.moment += self.takes
        return self.answers.pop(0) if self.answers else Delivery(SENT)

    async def close(self) -> None:
        self.closed = True


def failed(code: str, retry_after: timedelta | None = None) -> Delivery:
    return Delivery(RETRY, code=code, retry_after=retry_after)


@pytest.fixture
def pair() -> tuple[Scripted, Scripted, FailoverProvider]:
    clock = Standing()
    first, second = Scripted("first", clock), Scripted("second", clock, connections=2)
    return first, second, FailoverProvider([first, second], clock)


Pair = tuple[Scripted, Scripted, FailoverProvider]


@pytest.mark.parametrize("code", ["connect", "configuration", "timeout", "dropped", "451", "421"])
async def test_the_next_provider_is_asked_when_nothing_can_have_left(pair: Pair, code: str) -> None:
    first, second, chain = pair
    first.answers = [failed(code)]
    delivery = await chain.send(number(1), mail())
    assert (delivery.outcome, delivery.provider) == (SENT, "second")
    assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize("outcome", [SENT, REJECTED, UNKNOWN])
async def test_the_next_provider_is_never_asked_after(pair: Pair, outcome: DeliveryOutcome) -> None:
    first, second, chain = pair
    first.answers = [Delivery(outcome)]
    delivery = await chain.send(number(1), mail())
    assert (delivery.outcome, delivery.provider) == (outcome, "first")
    assert second.asked == 0


@pytest.mark.parametrize("code", ["late", "cancelled"])
async def test_a_try_broken_off_on_our_side_is_for_no_other_provider(pair: Pair, code: str) -> None:
    first, second, chain = pair
    first.answers = [failed(code, timedelta())]
    delivery = await chain.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (POSTPONED, code)
    assert delivery.retry_after == timedelta()
    assert second.asked == 0


@pytest.mark.parametrize(
    ("code", "rest"), [("connect", REST), ("timeout", REST), ("configuration", LONG_REST)]
)
async def test_a_provider_that_failed_rests_ever_longer(
    pair: Pair, code: str, rest: Pauses
) -> None:
    first, _, chain = pair
    first.answers = [failed(code) for _ in range(8)]
    pauses: list[timedelta] = []
    for probe in range(1, 9):
        await chain.send(number(probe), mail())
        pauses.append(chain._resting[0].left())
        first.clock.moment += pauses[-1] - timedelta(seconds=1)
        assert (await chain.send(number(0), mail())).provider == "second"
        assert first.asked == probe
        first.clock.moment += timedelta(seconds=1)
    assert pauses[:3] == [rest.first, rest.first * 2, rest.first * 4]
    assert pauses[-1] == rest.longest
    assert (await chain.send(number(9), mail())).provider == "first"
    first.answers = [failed(code)]
    assert (await chain.send(number(10), mail())).provider == "second"
    assert chain._resting[0].left() == rest.first


async def test_failures_under_way_together_are_one(pair: Pair) -> None:
    first, _, chain = pair
    first.answers = [failed("connect") for _ in range(4)]
    first.opened.clear()
    sends = [asyncio.create_task(chain.send(number(count), mail())) for count in range(4)]
    await asyncio.sleep(0)
    first.opened.set()
    await asyncio.gather(*sends)
    assert first.asked == 4
    assert chain._resting[0].left() == REST.first


async def test_a_rest_is_told_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, metrics = Standing(), PrometheusMetrics()
    only = Scripted("only", clock, [failed("configuration") for _ in range(3)])
    chain = FailoverProvider([only], clock, SETTING, metrics)
    for _ in range(5):
        await chain.send(number(1), mail())
        await chain.send(number(2), mail())
        clock.moment += LONG_REST.longest
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert SETTING in told[0]
    assert "again" in told[1]
    figures = metrics.exposition(None, clock.now()).decode()
    assert 'provider_rests_total{code="configuration",provider="only"} 3.0' in figures


async def test_what_says_nothing_about_the_message_is_no_try(pair: Pair) -> None:
    first, second, chain = pair
    first.answers, second.answers = [failed("configuration")], [failed("connect")]
    delivery = await chain.send(number(1), mail())
    assert (delivery.outcome, delivery.code) == (POSTPONED, "connect")
    assert delivery.retry_after == REST.first
    first.answers, second.answers = [], [failed("451")]
    second.clock.moment += REST.first
    assert (await chain.send(number(1), mail())).outcome is RETRY


async def test_a_try_we_broke_off_neither_ends_a_rest_nor_prolongs_it(pair: Pair) -> None:
    first, _, chain = pair
    first.answers = [failed("connect"), failed("late"), failed("connect")]
    await chain.send(number(1), mail())
    first.clock.moment += REST.first
    assert (await chain.send(number(1), mail())).outcome is POSTPONED
    assert (await chain.send(number(1), mail())).provider == "second"
    assert chain._resting[0].left() == REST.first * 2


async def test_what_concerns_one_message_gives_nobody_rest(pair: Pair) -> None:
    first, _, chain = pair
    first.answers = [failed("451")]
    await chain.send(number(1), mail())
    await chain.send(number(2), mail())
    assert first.asked == 2


async def test_one_message_tries_a_rested_provider_and_the_others_wait() -> None:
    clock = Standing()
    only = Scripted("only", clock, [failed("connect")])
    chain = FailoverProvider([only], clock)
    await chain.send(number(1), mail())
    clock.moment += REST.first
    only.opened.clear()
    trying = asyncio.create_task(chain.send(number(2), mail()))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert (await chain.send(number(3), mail())).code == "resting"
    only.opened.set()
    assert (await trying).outcome is SENT
    assert (await chain.send(number(3), mail())).outcome is SENT
    assert only.asked == 3


async def test_while_all_rest_a_message_waits_for_the_first_of_them(pair: Pair) -> None:
    first, second, chain = pair
    first.answers, second.answers = [failed("configuration")], [failed("connect")]
    await chain.send(number(1), mail())
    delivery = await chain.send(number(2), mail())
    assert (delivery.outcome, delivery.code) == (POSTPONED, "resting")
    assert delivery.retry_after == REST.first
    assert (first.asked, second.asked) == (1, 1)


async def test_when_all_fail_the_shortest_pause_counts(pair: Pair) -> None:
    first, second, chain = pair
    first.answers, second.answers = [failed("configuration", MEND_PAUSE)], [failed("451")]
    delivery = await chain.send(number(1), mail())
    assert (delivery.code, delivery.retry_after) == ("451", None)


async def test_after_a_slow_failure_the_gate_looks_again_before_the_next(pair: Pair) -> None:
    first, second, chain = pair
    first.takes, first.answers = timedelta(seconds=15), [failed("connect")]
    delivery = await chain.send(number(1), mail())
    assert (delivery.outcome, delivery.retry_after) == (POSTPONED, timedelta())
    assert second.asked == 0
    assert (await chain.send(number(1), mail())).provider == "second"


async def test_a_chain_has_as_many_connections_as_its_smallest(pair: Pair) -> None:
    first, second, chain = pair
    assert chain.connections == 2
    await chain.close()
    assert first.closed
    assert second.closed


async def test_mail_goes_by_the_second_server_while_the_first_is_down(server: SmtpServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chain: Provider = FailoverProvider(
        [provider_of(SmtpServer(port=port)), provider_of(server)], Standing()
    )
    for count in range(3):
        assert (await chain.send(number(count), mail())).outcome is SENT
    await chain.close()
    assert len(server.inbox) == 3
