"""Mail by SMTP (RFC 5321), over a few connections that are kept and used again."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from datetime import timedelta
from email.utils import parseaddr
from functools import lru_cache
from typing import Final

from orchestrator.channels.email.smtp_connection import (
    MailServer,
    SmtpConnection,
    Timeouts,
    Tls,
)
from orchestrator.channels.email.smtp_replies import MEND_PAUSE, Stage, interrupted, rejected
from orchestrator.channels.email.smtp_wire import Envelope, wire_form
from orchestrator.channels.trouble import FRESH, Trouble
from orchestrator.channels.urls import CONNECTIONS, ProviderUrl, read_provider_url
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import FailedReason
from orchestrator.ports import Delivery, DeliveryOutcome, RenderedMessage

IDLE: Final = 30.0
"""Seconds after which an unused connection is closed; servers do it after minutes."""
MOST_CARRIED: Final = 100
"""Messages after which a connection is closed: many servers set a limit about there."""

_PORTS: Final = {Tls.IMPLICIT: 465}
_SUBMISSION: Final = 587
_OPTIONS: Final = ("tls", "connections", "base_url", "ca", "helo")
_MAILBOX: Final = re.compile(r"([^\s<>\x00-\x1f\x7f\"]{1,64})@([^\s<>@\x00-\x1f\x7f\"]{1,255})")
_LONGEST_ADDRESS: Final = 254
_HOSTNAME: Final = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}|\[[0-9A-Fa-f:.]+\]")


class SmtpProvider:
    """Hands mail to one server."""

    name = "smtp"

    def __init__(
        self,
        server: MailServer,
        connections: int = CONNECTIONS,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.connections = connections
        self._server = server
        self._timeouts = timeouts or Timeouts()
        self._free = asyncio.Semaphore(connections)
        self._idle: dict[SmtpConnection, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self,
        message_id: MessageId,  # noqa: ARG002  # a mail bears its name in its headers
        message: RenderedMessage,
    ) -> Delivery:
        """Hand a mail over. The server's name for it is its provider_id, if it tells one."""
        envelope = envelope_of(message)
        if isinstance(envelope, Delivery):
            return envelope
        began = asyncio.get_running_loop().time()
        try:
            async with self._free:
                return await self._send(envelope, began)
        except asyncio.CancelledError:  # before anything of the message could have left
            return interrupted(Stage.CONNECT, Trouble.CANCELLED)

    async def close(self) -> None:
        """Let what is under way finish, then say goodbye on every connection."""
        for _ in range(self.connections):
            await self._free.acquire()
        for connection in list(self._idle):
            self._retire(connection)
        if self._closing:
            await asyncio.wait(self._closing)
        for _ in range(self.connections):
            self._free.release()

    async def _send(self, envelope: Envelope, began: float) -> Delivery:
        """Over a connection that waits, else over a new one.

        A server may close a connection while it waits, and say so only when it is used again:
        then a new one is tried at once.
        """
        deadline = began + self._timeouts.before_dot
        if _is_late(began):
            return _late()
        if (waiting := self._take()) is not None:
            delivery = await waiting.carry(envelope, deadline)
            self._put(waiting)
            if not waiting.went_stale(delivery):
                return delivery
        if self._closing:  # they count among the connections until they are gone
            await asyncio.wait(self._closing)
        fresh = SmtpConnection(self._server, self._timeouts)
        try:
            if (failure := await fresh.open()) is not None:
                return failure
            if _is_late(began):
                # The connection is kept: the next try will not have to wait for it.
                return _late()
            return await fresh.carry(envelope, deadline)
        except BaseException:
            fresh.abort()
            raise
        finally:
            self._put(fresh)

    def _take(self) -> SmtpConnection | None:
        """The connection used last, so that those not needed fall idle."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            if connection.usable:
                return connection
            connection.abort()
        return None

    def _put(self, connection: SmtpConnection) -> None:
        if not connection.usable:
            connection.abort()
            return
        if connection.carried >= MOST_CARRIED:
            self._say_goodbye(connection)
            return
        loop = asyncio.get_running_loop()
        self._idle[connection] = loop.call_later(IDLE, self._retire, connection)

    def _retire(self, connection: SmtpConnection) -> None:
        if (timer := self._idle.pop(connection, None)) is not None:
            timer.cancel()
            self._say_goodbye(connection)

    def _say_goodbye(self, connection: SmtpConnection) -> None:
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def envelope_of(message: RenderedMessage) -> Envelope | Delivery:
    """The envelope of a mail, or why it can have none.

    The envelope's sender is `return_path` of the details, else the address mail comes from.
    """
    return_path = message.details.get("return_path")
    sender = _mailbox(str(return_path)) if return_path else _sender(message.sender)
    if sender is None:
        # Not `configuration`: another flow may have another sender.
        detail = "the sender's address is none that mail can come from: mend brand.email"
        return Delivery(DeliveryOutcome.RETRY, code="sender", detail=detail, retry_after=MEND_PAUSE)
    recipient = _mailbox(message.envelope_to)
    if recipient is None:
        return rejected(FailedReason.INVALID_ADDRESS, "not an address that mail can be sent to")
    return Envelope(sender, recipient, wire_form(message.body))


def smtp_provider(url: ProviderUrl) -> SmtpProvider:
    """The provider of an `smtp://` address. Raises ConfigurationError.

    `?base_url=smtp://host:port` is where to connect instead, a tunnel or a server for tests;
    `?ca=FILE` holds the certificates to trust, in place of the system's; `?helo=` is what this
    host calls itself.
    """
    url.check_options(_OPTIONS)
    if not url.host or url.path not in {"", "/"}:
        raise url.problem("write smtp://user:password@host:587")
    if bool(url.user) != bool(url.password):
        raise url.problem("a login needs both a user name and a password")
    tls = _tls(url)
    place = url
    if base := url.option("base_url"):
        place = read_provider_url(base, url.setting)
        if place.scheme != "smtp" or not place.host:
            raise url.problem("base_url is like smtp://127.0.0.1:2525")
    server = MailServer(
        host=place.host,
        port=place.port or _PORTS.get(tls, _SUBMISSION),
        hello=_hello(url),
        tls=tls,
        user=url.user,
        password=url.password,
        context=None if tls is Tls.NONE else _trust(url),
    )
    return SmtpProvider(server, url.connections())


def _tls(url: ProviderUrl) -> Tls:
    implied = Tls.IMPLICIT if url.port == _PORTS[Tls.IMPLICIT] else Tls.OFFERED
    try:
        return Tls(url.option("tls", implied.value))
    except ValueError:
        raise url.problem("tls is require, implicit or none") from None


def _trust(url: ProviderUrl) -> ssl.SSLContext:
    """Certificates are always verified, the host's name included."""
    file = url.option("ca")
    try:
        return ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError):
        raise url.problem("the file that ca names holds no certificates in PEM form") from None


def _hello(url: ProviderUrl) -> str:
    name = url.option("helo") or socket.gethostname()
    if _HOSTNAME.fullmatch(name):
        return name
    if url.option("helo"):
        raise url.problem("helo is a whole host name such as mail.example.com")
    return "[127.0.0.1]"  # a host without a name of its own says so (RFC 5321 section 4.1.4)


@lru_cache(maxsize=64)
def _sender(header: str) -> str | None:
    """The address of a From header; a shop has few of them, and reading one is dear."""
    return _mailbox(parseaddr(header)[1])


def _mailbox(address: str) -> str | None:
    """The address as SMTP carries it, an international domain in its ASCII form (RFC 5891)."""
    found = _MAILBOX.fullmatch(address)
    if found is None:
        return None
    try:
        domain = found[2] if found[2].isascii() else found[2].encode("idna").decode()
    except UnicodeError:
        return None
    mailbox = f"{found[1]}@{domain}"
    return mailbox if len(mailbox.encode()) <= _LONGEST_ADDRESS else None


def _is_late(began: float) -> bool:
    return asyncio.get_running_loop().time() - began > FRESH.total_seconds()


def _late() -> Delivery:
    code, detail = Trouble.LATE.value, "getting a connection took long: the gate looks again"
    return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=timedelta())
