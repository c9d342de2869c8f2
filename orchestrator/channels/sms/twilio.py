"""Text messages through Twilio's SDK, over HTTP connections of our own."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from orchestrator.channels.exchange import CalledOff, Exchange, is_certificate_refused
from orchestrator.channels.sms.twilio_answers import (
    Answer,
    delivery_of,
    nobody_to_send_from,
    to_mend,
    wants_a_person,
)
from orchestrator.channels.trouble import Trouble
from orchestrator.channels.urls import CONNECTIONS, ProviderUrl
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Delivery, DeliveryOutcome, RenderedMessage

log = logging.getLogger(__name__)

HOST: Final = "https://api.twilio.com"
TIME_LIMITS: Final = httpx.Timeout(connect=3.0, write=10.0, read=30.0, pool=1.0)
"""Seconds without a sign of life; to connect, for TCP and for TLS each."""
KEPT: Final = 5.0
"""Seconds for which an unused connection is kept. A server that closes one in the very moment it
is used again leaves a message in doubt, so this is shorter than servers' own patience."""
SHORTEST_WAIT: Final = 5
LONGEST_WAIT: Final = 36_000
"""Seconds for which Twilio can be told to keep a message in its queue; the longest is its default.
It advises against less than the shortest."""
LAST_WORDS: Final = 0.8
"""Seconds to wait for an answer that is under way when the process is stopping."""

_OPTIONS: Final = ("from", "messaging_service", "account", "connections", "base_url")
_SID: Final = re.compile(r"AC[0-9A-Za-z]{1,64}")
_KEY: Final = re.compile(r"SK[0-9A-Za-z]{1,64}")
_SERVICE: Final = re.compile(r"MG[0-9A-Za-z]{1,64}")


@dataclass(frozen=True, slots=True)
class Account:
    """Who sends, and where Twilio is. `user` is the account itself or an API key."""

    sid: str
    user: str
    password: str = field(repr=False)
    base_url: str = HOST
    sender: str = ""
    """For countries that `brand.sms` names nobody for."""
    messaging_service: str = ""
    """Its pool of senders is used instead of any of ours."""


class _Connection(HttpClient):  # type: ignore[misc]  # the SDK ships no types
    """The SDK's way out: one connection of ours, and the raw answer kept for its headers."""

    def __init__(self, base_url: str, trust: ssl.SSLContext) -> None:
        super().__init__(log, is_async=False)
        self._base_url = base_url
        self._client = httpx.Client(
            verify=trust,
            timeout=TIME_LIMITS,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEPT),
            trust_env=False,
        )
        self._exchange = Exchange(0.0)
        self._answer: Answer | None = None

    def begin(self, exchange: Exchange) -> None:
        """The next request is this exchange's."""
        self._exchange, self._answer = exchange, None

    def answer(self) -> Answer | None:
        """What came of it, if anything did."""
        return self._answer

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **_more: object,
    ) -> Any:
        """Make the SDK's request on our connection; nothing is followed and nothing repeated."""
        answer = self._client.request(
            method,
            self._base_url + urlsplit(uri).path,
            params=params,
            data=data,
            headers=headers,
            auth=auth,
            extensions={"trace": self._exchange.trace},
        )
        self._answer = Answer(answer.status_code, answer.text, answer.headers)
        return Response(answer.status_code, answer.text, answer.headers)

    def close(self) -> None:
        self._client.close()


class _Line:
    """A connection with the SDK on it, used by one thread at a time."""

    def __init__(self, account: Account, trust: ssl.SSLContext) -> None:
        self._connection = _Connection(account.base_url, trust)
        self._messages = Client(
            account.user,
            account.password,
            account.sid,
            http_client=self._connection,
            environment={"": ""},  # not ours: TWILIO_EDGE there would send messages elsewhere
        ).messages

    def deliver(self, form: Mapping[str, Any], exchange: Exchange) -> Delivery:
        """Hand a message over; whatever the SDK or the connection raise becomes a value here."""
        self._connection.begin(exchange)
        problem: Exception = RuntimeError("the library made no request")
        try:
            self._messages.create(**form)
        except (httpx.HTTPError, CalledOff) as error:
            if is_certificate_refused(error):
                return to_mend("the certificate of Twilio's address does not hold")
            return exchange.broken_off(error)
        except Exception as error:  # noqa: BLE001 - it raises for refusals, and for odd answers
            problem = error
        answer = self._connection.answer()
        return exchange.broken_off(problem) if answer is None else delivery_of(answer)

    def close(self) -> None:
        self._connection.close()


class TwilioProvider:
    """Hands text messages to Twilio. `setting` is the variable that log lines tell to mend.

    The SDK is synchronous: each message under way has a thread, and no more than `connections`
    are. A thread is started per message, which costs a hundredth of what the request does, and is
    a daemon, so that one which waits for an answer does not keep a stopping process alive.
    """

    name = "twilio"

    def __init__(
        self, account: Account, setting: str = "SMS_URL", connections: int = CONNECTIONS
    ) -> None:
        self.account = account
        self.connections = connections
        self._setting = setting
        self._trust = httpx.create_ssl_context(trust_env=False)
        self._free = asyncio.Semaphore(connections)
        self._lines: list[_Line] = []

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Hand a text over. Twilio's SID of it is its provider_id."""
        form = self._form(message)
        if isinstance(form, Delivery):
            return self._told(message_id, form)
        exchange = Exchange(time.monotonic())
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            return _stopped(DeliveryOutcome.RETRY)
        if exchange.late:
            self._free.release()
            return _late()
        return self._told(message_id, await self._deliver(form, exchange))

    async def close(self) -> None:
        """Let what is under way finish, then close every connection."""
        for _ in range(self.connections):
            await self._free.acquire()
        while self._lines:
            self._lines.pop().close()
        for _ in range(self.connections):
            self._free.release()

    async def _deliver(self, form: Mapping[str, Any], exchange: Exchange) -> Delivery:
        """On a thread; when broken off, what is known of how far it had come."""
        line = self._lines.pop() if self._lines else _Line(self.account, self._trust)
        answer = _on_a_thread(lambda: line.deliver(form, exchange))
        answer.add_done_callback(lambda _: self._put(line))
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if exchange.call_off():
                return _stopped(DeliveryOutcome.RETRY)
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(LAST_WORDS):
                return await asyncio.shield(answer)
        return _stopped(DeliveryOutcome.UNKNOWN)

    def _put(self, line: _Line) -> None:
        self._lines.append(line)
        self._free.release()

    def _form(self, message: RenderedMessage) -> dict[str, Any] | Delivery:
        form: dict[str, Any] = {"to": message.envelope_to, "body": message.body.decode()}
        if message.valid_for is not None:
            form["validity_period"] = _wait(message.valid_for)
        if self.account.messaging_service:
            return {**form, "messaging_service_sid": self.account.messaging_service}
        sender = message.sender or self.account.sender
        if not sender:
            return nobody_to_send_from()
        return {**form, "from_": sender}

    def _told(self, message_id: MessageId, delivery: Delivery) -> Delivery:
        """Tell operators of a sender that is to be mended, and of codes nobody has met before."""
        if wants_a_person(delivery):
            log.error(
                "Twilio refused a text message: check brand.sms, %s and the account (%s)",
                self._setting,
                delivery.detail,
                extra={"message_id": message_id},
            )
        return delivery


def twilio_provider(url: ProviderUrl) -> TwilioProvider:
    """The provider of a `twilio://` address. Raises ConfigurationError.

    The host is `default`, or that of a region such as `api.dublin.ie1.twilio.com`.
    """
    url.check_options(_OPTIONS)
    if not url.user or not url.password or not url.host or url.path not in {"", "/"}:
        raise url.problem("write twilio://SID:TOKEN@default?from=+15005550006")
    account = url.option("account", url.user)
    if not _SID.fullmatch(account) or not (url.user == account or _KEY.fullmatch(url.user)):
        raise url.problem(
            "the user is the account's SID (AC…), or an API key's (SK…) with ?account=AC…"
        )
    service = url.option("messaging_service")
    if service and not _SERVICE.fullmatch(service):
        raise url.problem("messaging_service is the SID of one (MG…)")
    return TwilioProvider(
        Account(
            sid=account,
            user=url.user,
            password=url.password,
            base_url=_base_url(url),
            sender=_sender(url.option("from")),
            messaging_service=service,
        ),
        url.setting,
        url.connections(),
    )


def _base_url(url: ProviderUrl) -> str:
    if base := url.option("base_url"):
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise url.problem("base_url is like http://127.0.0.1:8080")
        return base.rstrip("/")
    if url.host == "default":
        return HOST
    return f"https://{url.host}:{url.port}" if url.port else f"https://{url.host}"


def _wait(allowed: timedelta) -> int:
    """Seconds that a message may stand in Twilio's queue."""
    return max(SHORTEST_WAIT, min(LONGEST_WAIT, int(allowed.total_seconds())))


def _sender(text: str) -> str:
    """A number's plus sign reads as a space where it was not percent-encoded."""
    return "+" + text.strip() if text.startswith(" ") else text


def _on_a_thread(work: Callable[[], Delivery]) -> asyncio.Future[Delivery]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Delivery] = loop.create_future()

    def settle(delivery: Delivery) -> None:
        if not answer.done():
            answer.set_result(delivery)

    def run() -> None:
        delivery = work()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, delivery)

    threading.Thread(target=run, name="twilio", daemon=True).start()
    return answer


def _stopped(outcome: DeliveryOutcome) -> Delivery:
    return Delivery(outcome, code=Trouble.CANCELLED.value)


def _late() -> Delivery:
    code, detail = Trouble.LATE.value, "getting a connection took long: the gate looks again"
    return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=timedelta())
