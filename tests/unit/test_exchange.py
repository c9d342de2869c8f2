"""How far a request has come decides what its end without an answer means."""

from __future__ import annotations

import ssl
import time

import httpx
import pytest

from orchestrator.channels.exchange import (
    CalledOff,
    Exchange,
    Stage,
    is_certificate_refused,
)
from orchestrator.ports import DeliveryOutcome
from tests.integration.twilio_server import running_twilio

LEAVES = "http11.send_request_headers.started"
HAS_LEFT = "http11.send_request_body.complete"
BROKEN = "http11.send_request_body.failed"


def exchange(*events: str) -> Exchange:
    made = Exchange(time.monotonic())
    for event in events:
        made.trace(event, {})
    return made


@pytest.mark.parametrize(
    ("events", "error", "outcome", "code"),
    [
        ([], httpx.ConnectError("no"), DeliveryOutcome.RETRY, "connect"),
        ([], httpx.ConnectTimeout("no"), DeliveryOutcome.RETRY, "connect"),
        ([], CalledOff(), DeliveryOutcome.RETRY, "connect"),
        ([LEAVES], httpx.WriteError("no"), DeliveryOutcome.RETRY, "dropped"),
        ([LEAVES], httpx.WriteTimeout("no"), DeliveryOutcome.RETRY, "timeout"),
        # After a write that failed httpx reads on, and raises what reading came to.
        ([LEAVES, BROKEN], httpx.ReadError("no"), DeliveryOutcome.RETRY, "dropped"),
        ([LEAVES, BROKEN], httpx.RemoteProtocolError("no"), DeliveryOutcome.RETRY, "protocol"),
        ([LEAVES, HAS_LEFT], httpx.ReadTimeout("no"), DeliveryOutcome.UNKNOWN, "timeout"),
        ([LEAVES, HAS_LEFT], httpx.ReadError("no"), DeliveryOutcome.UNKNOWN, "dropped"),
        ([LEAVES, HAS_LEFT], httpx.RemoteProtocolError("no"), DeliveryOutcome.UNKNOWN, "protocol"),
        ([LEAVES, HAS_LEFT], httpx.DecodingError("no"), DeliveryOutcome.UNKNOWN, "protocol"),
    ],
)
def test_before_the_last_byte_it_cannot_have_arrived_and_after_it_may(
    events: list[str], error: Exception, outcome: DeliveryOutcome, code: str
) -> None:
    delivery = exchange(*events).broken_off(error)
    assert (delivery.outcome, delivery.code) == (outcome, code)


def test_one_that_is_called_off_in_time_does_not_leave() -> None:
    waiting = exchange("connection.connect_tcp.started")
    assert waiting.call_off()
    with pytest.raises(CalledOff):
        waiting.trace(LEAVES, {})
    assert waiting.stage is Stage.OPENING


def test_one_that_is_leaving_cannot_be_called_off() -> None:
    leaving = exchange(LEAVES)
    assert not leaving.call_off()
    leaving.trace(HAS_LEFT, {})
    assert leaving.stage is Stage.WRITTEN


def test_one_that_took_long_to_connect_does_not_leave() -> None:
    old = Exchange(time.monotonic() - 4.5)
    assert old.late
    with pytest.raises(CalledOff):
        old.trace(LEAVES, {})


def test_a_certificate_that_does_not_hold_is_found_behind_what_hides_it() -> None:
    def raised(inner: Exception) -> Exception:
        error = httpx.ConnectError("no")
        error.__cause__ = OSError("no")
        error.__cause__.__context__ = inner
        return error

    assert is_certificate_refused(raised(ssl.SSLCertVerificationError()))
    assert not is_certificate_refused(raised(ssl.SSLError()))


def test_the_events_we_go_by_are_those_of_a_real_connection() -> None:
    seen: list[str] = []
    trace = {"trace": lambda event, _info: seen.append(event)}
    with running_twilio() as server, httpx.Client(trust_env=False) as client:
        client.post(server.url, data={"a": "b"}, extensions=trace)
    assert seen.index(LEAVES) < seen.index(HAS_LEFT)
