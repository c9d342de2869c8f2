"""One connection to a mail server, and the knowledge of how far its dialogue has come.

aiosmtplib opens it: connection, EHLO, STARTTLS and login are its own. The messages go over
`Wire`, because the library's `data` does not tell whether the final dot had gone out when it
failed, and on that hangs whether a message may be tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiosmtplib

from orchestrator.channels.email.smtp_replies import (
    Reply,
    Stage,
    cleaned,
    delivery_of,
    interrupted,
    rejected,
    to_mend,
)
from orchestrator.channels.email.smtp_wire import Envelope, Extensions, Wire, stuffed
from orchestrator.channels.trouble import Trouble
from orchestrator.domain.messages import FailedReason
from orchestrator.ports import Delivery

_PROCEED: Final = 354
_COMPLETED: Final = 2
_CLOSING: Final = 421
_LAST_WORDS: Final = frozenset({str(_CLOSING), Trouble.PROTOCOL.value})
"""Codes after which nothing more can be said on a connection."""
_END: Final = b".\r\n"
_RESET: Final = b"RSET\r\n"


class Tls(StrEnum):
    """What `?tls=` may say."""

    OFFERED = "offered"  # STARTTLS when the server offers it: the default
    REQUIRE = "require"  # STARTTLS or nothing
    IMPLICIT = "implicit"  # TLS from the first byte (RFC 8314)
    NONE = "none"  # in clear, the password too


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Before the final dot waiting less than RFC 5321 section 4.5.3.2 asks costs a later try and no
    more, so that the next provider has its turn; after it the RFC's ten minutes are kept.
    """

    connect: float = 15.0  # until the server is ready for a message
    before_dot: float = 45.0  # for all that comes before the final dot, connecting included
    after_dot: float = 600.0
    quit: float = 2.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes and how to get in."""

    host: str
    port: int
    hello: str
    """What we call ourselves in EHLO (RFC 5321 section 4.1.1.1)."""
    tls: Tls = Tls.OFFERED
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)


class _Unfit(Exception):  # it never leaves this module
    """The server lacks what the settings ask for."""


class SmtpConnection:
    """Connects once, then carries message after message."""

    def __init__(self, server: MailServer, timeouts: Timeouts) -> None:
        self.carried = 0
        """Messages it has been used for."""
        self._server = server
        self._timeouts = timeouts
        self._stage = Stage.CONNECT
        self._reset_due = False
        self._unanswered: deque[Stage] = deque()
        self._wire: Wire | None = None
        self._offered = Extensions()
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=server.hello,
            timeout=None,  # the deadlines here are for the whole of a dialogue
            use_tls=server.tls is Tls.IMPLICIT,
            start_tls=False,  # opened step by step, to know which one failed
            tls_context=server.context,
        )

    @property
    def usable(self) -> bool:
        """Whether another message may be tried on it."""
        return self._wire is not None and not self._unanswered and self._wire.quiet

    async def open(self) -> Delivery | None:
        """Connect, secure, log in. None when all went well, else what it means for a message."""
        self._stage = Stage.CONNECT
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await self._client.connect()
                self._stage = Stage.HELLO
                await self._client.ehlo()
                await self._secure()
                await self._log_in()
            self._wire = self._take_over()
        except Exception as error:  # noqa: BLE001  # all of them become a delivery
            self.abort()
            return self._failure(error)
        return None

    async def carry(self, envelope: Envelope, deadline: float) -> Delivery:
        """Hand a message over; `deadline` (loop time) is for all that comes before the final dot.

        A cancelled call still tells what came of the message: only its caller can write it down.
        """
        self.carried += 1
        try:
            async with asyncio.timeout_at(deadline):
                refusal = await self._offer(envelope)
            delivery = refusal or await self._settle(envelope.recipient)
        except asyncio.CancelledError:
            self.abort()
            return interrupted(self._stage, Trouble.CANCELLED)
        except Exception as error:  # noqa: BLE001  # all of them become a delivery
            self.abort()
            return self._failure(error, envelope.recipient)
        if delivery.code in _LAST_WORDS:
            self.abort()
        elif self._unanswered:
            await self._hear_out()
        return delivery

    def went_stale(self, delivery: Delivery) -> bool:
        """Whether it was gone before the first command of the message that got `delivery`."""
        gone = delivery.code in {Trouble.DROPPED.value, str(_CLOSING)}
        return gone and self._stage is Stage.MAIL

    async def close(self) -> None:
        """Say goodbye if the server still listens."""
        if self._wire is not None and self._wire.quiet:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._timeouts.quit):
                    self._wire.write(b"QUIT\r\n")
                    await self._wire.reply()
        self.abort()

    def abort(self) -> None:
        """Break off at once: nothing that is still in a buffer goes out any more."""
        if isinstance(transport := self._client.transport, asyncio.WriteTransport):
            transport.abort()
        self._client.close()

    def _take_over(self) -> Wire:
        """The connection, from the library's hands."""
        transport = self._client.transport
        if not isinstance(transport, asyncio.Transport):
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._offered = Extensions.of(self._client.esmtp_extensions)
        return Wire(transport)

    async def _secure(self) -> None:
        tls = self._server.tls
        if tls in {Tls.NONE, Tls.IMPLICIT}:
            return
        if self._client.supports_extension("starttls"):
            self._stage = Stage.TLS
            await self._client.starttls()
            self._stage = Stage.HELLO
            await self._client.ehlo()
        elif tls is Tls.REQUIRE:
            raise _Unfit("the server offers no STARTTLS, which ?tls=require asks for")
        elif self._server.user:
            raise _Unfit(
                "the server offers no STARTTLS, and a password is not sent in clear;"
                " ?tls=implicit is for port 465, ?tls=none allows it"
            )

    async def _log_in(self) -> None:
        """Log in by one method: a server that counts wrong passwords sees one try."""
        if not self._server.user:
            return
        self._stage = Stage.AUTH
        client, account = self._client, (self._server.user, self._server.password)
        methods = {
            "plain": client.auth_plain,
            "login": client.auth_login,
            "cram-md5": client.auth_crammd5,
        }
        # Without TLS the one that does not show the password comes first.
        order = list(reversed(methods)) if self._server.tls is Tls.NONE else list(methods)
        for name in order:
            if name in client.server_auth_methods:
                await methods[name](*account)
                return
        raise _Unfit("the server offers no login we know (PLAIN, LOGIN, CRAM-MD5)")

    async def _offer(self, envelope: Envelope) -> Delivery | None:
        """Everything up to the final dot, which is the last thing written; a refusal, or None.

        Where the server offers PIPELINING all commands go out in one write; the body waits for
        their answers in any case.
        """
        self._stage = Stage.MAIL
        wire = self._open_wire()
        if (unfit := self._unfit(envelope)) is not None:
            return unfit
        commands = self._commands(envelope)
        if self._offered.pipelining:
            self._unanswered.extend(stage for stage, _ in commands)
            wire.write(b"".join(line for _, line in commands))
        for self._stage, line in commands:
            if not self._offered.pipelining:
                self._unanswered.append(self._stage)
                wire.write(line)
            reply = await wire.reply()
            self._unanswered.popleft()
            if not _goes_on(self._stage, reply):
                if line == _RESET:
                    raise ConnectionResetError("RSET was refused")
                return self._refused(reply, envelope.recipient)
        self._reset_due = False
        self._stage = Stage.BODY
        return await self._write(wire, envelope)

    def _commands(self, envelope: Envelope) -> list[tuple[Stage, bytes]]:
        """The lines before the body, each with the stage that its answer belongs to."""
        encoding = "ascii" if envelope.is_plain else "utf-8"
        sender, recipient = envelope.sender.encode(encoding), envelope.recipient.encode(encoding)
        options = b"".join(b" " + option for option in self._options(envelope))
        commands = [
            (Stage.MAIL, b"MAIL FROM:<%b>%b\r\n" % (sender, options)),
            (Stage.RCPT, b"RCPT TO:<%b>\r\n" % recipient),
            (Stage.DATA, b"DATA\r\n"),
        ]
        return [(Stage.MAIL, _RESET), *commands] if self._reset_due else commands

    async def _write(self, wire: Wire, envelope: Envelope) -> Delivery | None:
        """The body, then the dot once the body has left; a server may break in before."""
        wire.write(stuffed(envelope.body))
        if (early := await wire.flushed()) is not None:
            # Whatever it says, a server cannot have taken a message that has no end.
            self.abort()
            return self._refused(early, envelope.recipient)
        wire.write(_END)
        self._stage = Stage.DOT
        return None

    async def _settle(self, recipient: str) -> Delivery:
        """The answer to the final dot."""
        async with asyncio.timeout(self._timeouts.after_dot):
            reply = await self._open_wire().reply()
        return delivery_of(Stage.DOT, reply, recipient)

    async def _hear_out(self) -> None:
        """The answers to what had been written behind a refused command.

        A server may ask for the message though it took no recipient; a lone dot ends that
        (RFC 2920 section 3.1). It is not sent where a recipient was taken after the sender was
        refused, who would get a message without content.
        """
        wire, taken = self._open_wire(), False
        try:
            async with asyncio.timeout(self._timeouts.connect):
                while self._unanswered:
                    reply = await wire.reply()
                    stage = self._unanswered.popleft()
                    taken = taken or (stage is Stage.RCPT and _goes_on(stage, reply))
                    if reply.code == _CLOSING or (reply.code == _PROCEED and taken):
                        self.abort()
                    elif reply.code == _PROCEED:
                        wire.write(_END)
                        self._unanswered.append(Stage.DOT)
        except (TimeoutError, OSError, asyncio.CancelledError):
            self.abort()  # the refusal is known, and that is what the caller has to hear

    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise ConnectionResetError("not connected")
        return self._wire

    def _unfit(self, envelope: Envelope) -> Delivery | None:
        """What the server's extensions rule out before anything is sent."""
        limit, size = self._offered.size, len(envelope.body)
        if limit and limit < size:
            detail = f"the message has {size} bytes, the server takes {limit}"
            return rejected(FailedReason.REJECTED, detail)
        if not envelope.is_plain and not self._offered.utf8:
            detail = "the address is not ASCII, and the server does not offer SMTPUTF8 (RFC 6531)"
            return rejected(FailedReason.INVALID_ADDRESS, detail)
        if not envelope.body.isascii() and not self._offered.eight_bit:
            detail = "the message is not ASCII, and the server does not offer 8BITMIME (RFC 6152)"
            return rejected(FailedReason.REJECTED, detail)
        return None

    def _options(self, envelope: Envelope) -> list[bytes]:
        options: list[bytes] = []
        if self._offered.size is not None:
            options.append(b"SIZE=%d" % len(envelope.body))
        if not envelope.is_plain:
            options.append(b"SMTPUTF8")
        if not envelope.body.isascii():
            options.append(b"BODY=8BITMIME")
        return options

    def _refused(self, reply: Reply, recipient: str) -> Delivery:
        self._reset_due = True
        return delivery_of(self._stage, reply, recipient)

    def _failure(self, error: Exception, recipient: str = "") -> Delivery:
        """The one place where exceptions of the library and the system become our words."""
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return delivery_of(self._stage, Reply(error.code, error.message), recipient)
        if isinstance(error, _Unfit):
            return to_mend(str(error))
        if (reason := _tls_reason(error)) is not None:
            return to_mend(f"TLS failed: {cleaned(reason)}")
        if isinstance(error, TimeoutError):
            return interrupted(self._stage, Trouble.TIMEOUT, f"no answer to {self._stage.name}")
        if isinstance(error, OSError):
            return interrupted(self._stage, Trouble.DROPPED, _system_reason(error))
        # A defect, here or in the library: the stage still says what is known of the message.
        return interrupted(self._stage, Trouble.PROTOCOL, type(error).__name__)


def _goes_on(stage: Stage, reply: Reply) -> bool:
    if stage is Stage.DATA:
        return reply.code == _PROCEED
    return reply.code // 100 == _COMPLETED


def _tls_reason(error: BaseException) -> str | None:
    """Why TLS failed for good: a certificate or a protocol, not a connection that broke off."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            broke_off = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
            verdict = getattr(cause, "verify_message", "") or cause.reason or "unknown reason"
            return None if broke_off else verdict.lower().replace("_", " ")
        cause = cause.__cause__
    return None


def _system_reason(error: OSError) -> str:
    """The system's own words; the library's sentence where it has none."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    return cleaned(cause.strerror or str(cause))
