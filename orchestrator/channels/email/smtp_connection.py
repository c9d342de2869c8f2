"""One connection to a mail server, and the knowledge of how far its dialogue has come.

aiosmtplib speaks the commands. The message itself is written here, because its own `data` does
not tell whether the final dot had gone out when it failed, and on that hangs whether a message
may be tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from orchestrator.channels.email.smtp_replies import (
    Reply,
    Stage,
    cleaned,
    delivery_of,
    interrupted,
    rejected,
    to_mend,
)
from orchestrator.channels.trouble import Trouble
from orchestrator.domain.messages import FailedReason
from orchestrator.ports import Delivery

_PROCEED: Final = 354
_COMPLETED: Final = 2
_CLOSING: Final = "421"
_LAST_WORDS: Final = frozenset({_CLOSING, Trouble.PROTOCOL.value})
"""Codes after which nothing more can be said on a connection."""
_DRAIN_LOOK: Final = 0.005
"""Seconds between looks at a body that the network takes slowly; most bodies need none."""
_BARE_END: Final = re.compile(rb"\r\n|\r|\n")


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


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready for the wire; `body` has CRLF line ends, the last one included."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    body: bytes = field(repr=False)


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
        self._answer: asyncio.Task[Reply] | None = None
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
        return self._client.is_connected and self._answer is None

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
        finally:
            self._forget_answer()
        if delivery.code in _LAST_WORDS:
            self.abort()
        return delivery

    def went_stale(self, delivery: Delivery) -> bool:
        """Whether it was gone before the first command of the message that got `delivery`."""
        gone = delivery.code in {Trouble.DROPPED.value, _CLOSING}
        return gone and self._stage is Stage.MAIL

    async def close(self) -> None:
        """Say goodbye if the server still listens."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeouts.quit):
                await self._client.quit()
        self.abort()

    def abort(self) -> None:
        """Break off at once: nothing that is still in a buffer goes out any more."""
        if isinstance(transport := self._client.transport, asyncio.WriteTransport):
            transport.abort()
        self._client.close()

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
        """Everything up to the final dot, which is the last thing written; a refusal, or None."""
        self._stage = Stage.MAIL
        if self._reset_due:
            if (await self._client.execute_command(b"RSET")).code // 100 != _COMPLETED:
                raise aiosmtplib.SMTPServerDisconnected("RSET was refused")
            self._reset_due = False
        if (unfit := self._unfit(envelope)) is not None:
            return unfit
        encoding = "ascii" if _is_plain(envelope) else "utf-8"
        sender, recipient = envelope.sender.encode(encoding), envelope.recipient.encode(encoding)
        commands = (
            (Stage.MAIL, (b"MAIL", b"FROM:<" + sender + b">", *self._options(envelope))),
            (Stage.RCPT, (b"RCPT", b"TO:<" + recipient + b">")),
            (Stage.DATA, (b"DATA",)),
        )
        for self._stage, command in commands:
            response = await self._client.execute_command(*command)
            reply = Reply(response.code, response.message)
            if not _goes_on(self._stage, reply):
                return self._refused(reply, envelope.recipient)
        self._stage = Stage.BODY
        return await self._write(envelope)

    async def _write(self, envelope: Envelope) -> Delivery | None:
        """The body, then the dot once the body has left; a server may break in before."""
        protocol, transport = self._client.protocol, self._client.transport
        if protocol is None or not isinstance(transport, asyncio.WriteTransport):
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self._answer = answer = asyncio.create_task(_read_reply(protocol))
        protocol.write(_stuffed(envelope.body))
        await asyncio.sleep(0)
        while transport.get_write_buffer_size() and not answer.done():
            await asyncio.wait({answer}, timeout=_DRAIN_LOOK)
        if answer.done():
            # Whatever it says, a server cannot have taken a message that has no end.
            delivery = self._refused(answer.result(), envelope.recipient)
            self.abort()
            return delivery
        protocol.write(b".\r\n")
        self._stage = Stage.DOT
        return None

    async def _settle(self, recipient: str) -> Delivery:
        """The answer to the final dot."""
        assert self._answer is not None  # noqa: S101  # it was created before the body
        await asyncio.wait({self._answer}, timeout=self._timeouts.after_dot)
        if not self._answer.done():
            raise TimeoutError
        return delivery_of(Stage.DOT, self._answer.result(), recipient)

    def _unfit(self, envelope: Envelope) -> Delivery | None:
        """What the server's extensions rule out before anything is sent."""
        limit = self._client.esmtp_extensions.get("size", "")
        if limit.isascii() and limit.isdigit() and 0 < int(limit) < len(envelope.body):
            detail = f"the message has {len(envelope.body)} bytes, the server takes {int(limit)}"
            return rejected(FailedReason.REJECTED, detail)
        if not _is_plain(envelope) and not self._client.supports_extension("smtputf8"):
            detail = "the address is not ASCII, and the server does not offer SMTPUTF8 (RFC 6531)"
            return rejected(FailedReason.INVALID_ADDRESS, detail)
        if not envelope.body.isascii() and not self._client.supports_extension("8bitmime"):
            detail = "the message is not ASCII, and the server does not offer 8BITMIME (RFC 6152)"
            return rejected(FailedReason.REJECTED, detail)
        return None

    def _options(self, envelope: Envelope) -> list[bytes]:
        options: list[bytes] = []
        if self._client.supports_extension("size"):
            options.append(b"SIZE=%d" % len(envelope.body))
        if not _is_plain(envelope):
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

    def _forget_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.cancel() and not answer.cancelled():
            answer.exception()  # looked at, or asyncio complains that nobody did


async def _read_reply(protocol: SMTPProtocol) -> Reply:
    response = await protocol.read_response()
    return Reply(response.code, response.message)


def wire_form(body: bytes) -> bytes:
    """With CRLF as the only line end: a bare one could hide a second message (RFC 5321 2.3.8)."""
    ends = body.count(b"\r\n")
    if body.count(b"\n") != ends or body.count(b"\r") != ends:
        body = _BARE_END.sub(b"\r\n", body)
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def _stuffed(body: bytes) -> bytes:
    """A dot that begins a line is doubled (RFC 5321 section 4.5.2)."""
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _is_plain(envelope: Envelope) -> bool:
    return envelope.sender.isascii() and envelope.recipient.isascii()


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
