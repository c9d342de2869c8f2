"""A real SMTP server on loopback that answers as its script says, for any test.

`async with SmtpServer() as server` runs it in the test's own loop; `running_smtp_server()` runs
it in a thread, for tests that start the daemon as a process of its own. What it took for good
is in `inbox`.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BIG: Final = 50_000_000


@dataclass(frozen=True)
class Answer:
    """What the server does at a place of the dialogue.

    `GREETING`, a command's verb, `BODY` (before the message has come) or `DOT` (after it) name
    the place. Without a text or an end of the connection the usual answer follows the pause.
    """

    text: str | None = None
    after: float = 0.0  # seconds
    drop: bool = False
    silent: bool = False
    takes: bool = True  # at DOT, without a text: whether the message was kept all the same


DROP: Final = Answer(drop=True)
DROP_UNTAKEN: Final = Answer(drop=True, takes=False)
SILENCE: Final = Answer(silent=True)

Plan = dict[str, Answer]


def slow(seconds: float, text: str | None = None) -> Answer:
    return Answer(text, after=seconds)


def plan_of(answers: dict[str, str | Answer]) -> Plan:
    return {
        place: Answer(answer) if isinstance(answer, str) else answer
        for place, answer in answers.items()
    }


@dataclass(frozen=True)
class Taken:
    """A mail the server is answerable for."""

    sender: str
    recipients: tuple[str, ...]
    body: bytes
    connection: int


@dataclass
class SmtpServer:
    """Listens on 127.0.0.1 at a port of its own; options as aiosmtpd's SMTP has them."""

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    login: tuple[str, str] | None = None
    login_in_clear: bool = False
    size_limit: int | None = None
    utf8: bool = True
    pipelining: bool = False
    lenient: bool = False
    """Asks for the message though it took no recipient, as RFC 2920 allows."""
    strays: list[bytes] = field(default_factory=list)
    """What came to be sent to nobody."""
    chunks: list[bytes] = field(default_factory=list)
    """What was read at once."""
    inbox: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    always: Plan = field(default_factory=dict)
    connections: int = 0
    most_open: int = 0
    port: int = 0
    open: set[_Dialogue] = field(default_factory=set)
    dialogues: set[asyncio.Task[None]] = field(default_factory=set)
    _messages: deque[Plan] = field(default_factory=deque)
    _connections: deque[Plan] = field(default_factory=deque)
    _server: asyncio.Server | None = None

    def next_message(self, **answers: str | Answer) -> None:
        """Answers for the next message that no earlier call is for, from MAIL to DOT."""
        self._messages.append(plan_of(answers))

    def next_connection(self, **answers: str | Answer) -> None:
        """Answers for the next connection that no earlier call is for."""
        self._connections.append(plan_of(answers))

    def each_time(self, **answers: str | Answer) -> None:
        """Answers wherever nothing else was planned."""
        self.always.update(plan_of(answers))

    @property
    def bodies(self) -> list[bytes]:
        return [taken.body for taken in self.inbox]

    def hang_up(self) -> None:
        """Close every connection, as servers do with those that say nothing for long."""
        for dialogue in list(self.open):
            dialogue.hang_up()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Dialogue(self, loop),
            "127.0.0.1",
            self.port,
            ssl=self.tls if self.implicit else None,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for dialogue in list(self.open):
            dialogue.cut()
        await asyncio.gather(*self.dialogues, return_exceptions=True)
        await self._server.wait_closed()

    def connection_plan(self) -> Plan:
        return self._connections.popleft() if self._connections else {}

    def message_plan(self) -> Plan:
        return self._messages.popleft() if self._messages else {}


class _Dialogue(SMTP):
    """One client, answered by script."""

    def __init__(self, server: SmtpServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            _Handler(pipelining=server.pipelining),
            data_size_limit=server.size_limit or BIG,
            enable_SMTPUTF8=server.utf8,
            hostname="test.example",
            tls_context=None if server.implicit else server.tls,
            auth_require_tls=not (server.login_in_clear or server.implicit),
            authenticator=self.check_login,
            loop=loop,
        )
        self.book = server
        self.number = 0
        self._wire: asyncio.BaseTransport | None = None
        self._connection_plan: Plan = {}
        self._message_plan: Plan = {}
        self._smtp_methods = {
            verb: functools.partial(self._command, verb, method)
            for verb, method in self._smtp_methods.items()
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self not in self.book.open:  # STARTTLS calls it again
            self.book.connections += 1
            self.number = self.book.connections
            self.book.open.add(self)
            self.book.most_open = max(self.book.most_open, len(self.book.open))
            self._connection_plan = self.book.connection_plan()
            self._wire = transport
        super().connection_made(transport)
        if self._handler_coroutine is not None:
            self.book.dialogues.add(self._handler_coroutine)

    def data_received(self, data: bytes) -> None:
        self.book.chunks.append(data)
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.book.open.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.close()

    def cut(self) -> None:
        """Break off, in the middle of a handshake too, which ends without a last word."""
        if isinstance(self._wire, asyncio.WriteTransport):
            self._wire.abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def planned(self, place: str) -> Answer | None:
        for plan in (self._message_plan, self._connection_plan, self.book.always):
            if place in plan:
                return plan[place]
        return None

    async def push(self, status: Any) -> None:
        if status:
            await super().push(status)

    async def give(self, answer: Answer) -> bool:
        """Do what was planned; whether that was all."""
        await asyncio.sleep(answer.after)
        if answer.text is not None:
            await self.push(answer.text)
        if answer.silent:
            await asyncio.sleep(3600)
        if answer.drop or (answer.text or "").startswith("421"):
            self.hang_up()
            raise asyncio.CancelledError
        return answer.text is not None

    async def _handle_client(self) -> None:
        if (greeting := self.planned("GREETING")) is not None and await self.give(greeting):
            self.hang_up()
            return
        await super()._handle_client()

    async def _command(
        self, verb: str, method: Callable[[str | None], Awaitable[None]], arg: str | None
    ) -> None:
        self.book.commands.append(verb)
        if verb == "MAIL":
            self._message_plan = self.book.message_plan()
        answer = self.planned(verb)
        if answer is None or not await self.give(answer):
            await method(arg)

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802  # aiosmtpd's word
        if self.book.lenient and self.envelope is not None and not self.envelope.rcpt_tos:
            await self.push("354 go on")
            self.book.strays.append(await self._reader.readuntil(b".\r\n"))
            await self.push("554 5.5.1 no valid recipients")
            return
        if (answer := self.planned("BODY")) is None:
            await super().smtp_DATA(arg)
            return
        await self.push("354 go on")
        await self.give(answer)

    def check_login(self, *given_by_aiosmtpd: Any) -> AuthResult:
        data = given_by_aiosmtpd[-1]
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self.book.login, handled=False)


@dataclass
class _Handler:
    pipelining: bool

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's word
        self,
        server: _Dialogue,  # noqa: ARG002  # told by position
        session: Session,
        envelope: Envelope,  # noqa: ARG002
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        if self.pipelining:
            responses.insert(1, "250-PIPELINING")
        return responses

    async def handle_DATA(  # noqa: N802  # aiosmtpd's word
        self,
        server: _Dialogue,
        session: Session,  # noqa: ARG002  # told by position
        envelope: Envelope,
    ) -> str:
        answer = server.planned("DOT") or Answer("250 2.0.0 Ok: queued as ABC123")
        if answer.takes if answer.text is None else answer.text.startswith("2"):
            body = envelope.content
            assert isinstance(body, bytes)
            taken = Taken(envelope.mail_from or "", tuple(envelope.rcpt_tos), body, server.number)
            server.book.inbox.append(taken)
        return "" if await server.give(answer) else "250 OK"


@contextmanager
def running_smtp_server(server: SmtpServer) -> Iterator[SmtpServer]:
    """Run a server in a thread; its script may be changed while it runs."""
    up, down = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with server:
            up.set()
            await down.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(down.set)
        thread.join(10)


@dataclass(frozen=True)
class Certificates:
    """A certification authority for one test, and a server it vouches for."""

    ca_file: Path
    context: ssl.SSLContext


def make_certificates(folder: Path, name: str = "localhost") -> Certificates:
    """Certificates for `name` and 127.0.0.1, valid for a day."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A test's own authority")])
    ca = (
        _builder(ca_name, ca_key.public_key(), ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    addresses: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        addresses.append(x509.IPAddress(ip_address("127.0.0.1")))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, key.public_key(), ca_name)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, own_file = folder / f"{name}-ca.pem", folder / f"{name}.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_file)
    return Certificates(ca_file, context)


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
