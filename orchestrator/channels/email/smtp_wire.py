"""A mail server's side of an open connection: its answers, in the order of the commands.

aiosmtplib connects, secures and logs in. It waits for each answer before the next command and
drops what comes behind an answer, so messages, whose commands go out together where the server
allows it (PIPELINING, RFC 2920), are spoken of here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from orchestrator.channels.email.smtp_replies import Reply

_LONGEST_ANSWER: Final = 32_768
_UNREADABLE: Final = -1
"""The code of what is no answer."""
_LINE: Final = re.compile(rb"([0-9]{3})(?:([ -])(.*))?")
_LOOK: Final = 0.005
"""Seconds between looks at a body that the network takes slowly; most bodies need none."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message ready for the wire; `body` has CRLF line ends, the last one included."""

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether both addresses are ASCII."""
        return self.sender.isascii() and self.recipient.isascii()


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server offers that matters to a message."""

    pipelining: bool = False
    size: int | None = None  # the largest message it takes, 0 for no limit; None: not offered
    utf8: bool = False
    eight_bit: bool = False

    @classmethod
    def of(cls, offered: dict[str, str]) -> Self:
        """From the keywords of EHLO's answer, in lower case, and what stood behind each."""
        limit = offered.get("size")
        known = limit is not None and limit.isascii() and limit.isdigit()
        return cls(
            pipelining="pipelining" in offered,
            size=int(limit) if limit and known else None if limit is None else 0,
            utf8="smtputf8" in offered,
            eight_bit="8bitmime" in offered,
        )


class Wire(asyncio.Protocol):
    """Takes over a transport. Answers that nobody asked for make it unfit for more."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = bytearray()
        self._lines: list[str] = []
        self._code: int | None = None
        self._replies: deque[Reply] = deque()
        self._news: asyncio.Future[None] | None = None
        self._lost: ConnectionError | None = None
        transport.set_protocol(self)

    @property
    def quiet(self) -> bool:
        """Whether it is open and nothing has come that was not asked for."""
        noisy = self._lost or self._replies or self._held or self._lines
        return not noisy and not self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send. Raises ConnectionError once the connection is gone."""
        if self._lost is not None:
            raise self._lost
        if self._transport.is_closing():
            raise ConnectionResetError("connection lost")
        self._transport.write(data)

    async def reply(self) -> Reply:
        """The next answer. Raises ConnectionError once there can be none."""
        while not self._replies:
            if self._lost is not None:
                raise self._lost
            await self._next()
        return self._replies.popleft()

    async def flushed(self) -> Reply | None:
        """Wait until all that was written has left our buffer; the answer that came before, if any.

        Raises ConnectionError.
        """
        await asyncio.sleep(0)
        while not (self._replies or self._lost) and self._transport.get_write_buffer_size():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._next()
        return await self.reply() if self._replies or self._lost else None

    def abort(self) -> None:
        """Break off at once: nothing that is still in a buffer goes out any more."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Put lines together to answers."""
        self._held += data
        while (end := self._held.find(b"\n")) >= 0:
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            self._read(line.rstrip(b"\r"))
        if len(self._held) + sum(map(len, self._lines)) > _LONGEST_ANSWER:
            self._held.clear()
            self._answer(_UNREADABLE, "an answer without an end")
        if self._replies:
            self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._lost = ConnectionResetError("connection lost")
        self._lost.__cause__ = exc
        self._tell()

    def _read(self, line: bytes) -> None:
        """A line of an answer; all of its lines have the same code (RFC 5321 section 4.2.1)."""
        found = _LINE.fullmatch(line)
        code = int(found[1]) if found else _UNREADABLE
        text = (found[3] or b"").strip() if found else line
        self._lines.append(text.decode("utf-8", "replace"))
        if found is None or self._code not in {None, code}:
            self._answer(_UNREADABLE, " ".join(self._lines))
        elif found[2] == b"-":
            self._code = code
        else:
            self._answer(code, "\n".join(self._lines))

    def _answer(self, code: int, text: str) -> None:
        self._replies.append(Reply(code, text))
        self._code = None
        self._lines.clear()

    async def _next(self) -> None:
        """Wait for something to happen."""
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


def wire_form(body: bytes) -> bytes:
    """With CRLF as the only line end: a bare one could hide a second message (RFC 5321 2.3.8)."""
    lines = body.splitlines()  # of bytes: at CR, LF and CRLF, and nowhere else
    lines.append(b"")
    return b"\r\n".join(lines)


def stuffed(body: bytes) -> bytes:
    """A dot that begins a line is doubled (RFC 5321 section 4.5.2)."""
    doubled = body.replace(b"\r\n.", b"\r\n..")
    return b"." + doubled if doubled.startswith(b".") else doubled
