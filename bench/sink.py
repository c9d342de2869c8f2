"""A mail server in a process of its own: takes everything, counts by Message-ID, keeps nothing.

`Sink` starts it; `python -m bench.sink` is the process. Besides SMTP it answers `XCOUNT` (how
many, when the last) and `XIDS` (each Message-ID with how often it came).
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"
_HELLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n"


@dataclass
class _Book:
    taken: Counter[str] = field(default_factory=Counter)
    number: int = 0
    size: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def take(self, body: bytes) -> None:
        self.last_at = time.time()
        self.first_at = self.first_at or self.last_at
        self.number += 1
        self.size += len(body)
        found = _MESSAGE_ID.search(body)
        self.taken[found[1].decode() if found else ""] += 1


class _Dialogue(asyncio.Protocol):
    def __init__(self, book: _Book) -> None:
        self._book = book
        self._held = bytearray()
        self._in_body = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        looked = max(len(self._held) - len(_END), 0)
        self._held += data
        answers: list[bytes] = []
        while (end := self._held.find(_END if self._in_body else b"\r\n", looked)) >= 0:
            piece = bytes(self._held[:end])
            del self._held[: end + (len(_END) if self._in_body else 2)]
            looked = 0
            if self._in_body:
                self._in_body = False
                self._book.take(piece)
                answers.append(b"250 2.0.0 taken\r\n")
            else:
                answers.append(self._answer(piece))
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def _answer(self, line: bytes) -> bytes:
        match line[:4].upper().rstrip():
            case b"EHLO" | b"HELO":
                return _HELLO
            case b"DATA":
                self._in_body = True
                return b"354 go on\r\n"
            case b"QUIT":
                assert self._transport is not None
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
                return b""
            case b"XCOU":
                book = self._book
                told = [book.number, book.size, book.first_at, book.last_at]
                return json.dumps(told).encode() + b"\r\n"
            case b"XIDS":
                return json.dumps(self._book.taken).encode() + b"\r\n"
        return b"250 2.0.0 ok\r\n"


@dataclass(frozen=True)
class Count:
    """How many messages a sink has taken, their bytes, and when the first and last (Unix time)."""

    number: int
    size: int
    first_at: float
    last_at: float


class Sink:
    """A running sink."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._control = socket.create_connection(("127.0.0.1", self.port))
        self._answers = self._control.makefile("rb")
        self._answers.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._control.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()

    def count(self) -> Count:
        number, size, first_at, last_at = self._ask(b"XCOUNT")
        return Count(number, size, first_at, last_at)

    def ids(self) -> Counter[str]:
        """Message-IDs and how often each came."""
        return Counter(self._ask(b"XIDS"))

    def _ask(self, command: bytes) -> Any:
        self._control.sendall(command + b"\r\n")
        return json.loads(self._answers.readline())


async def _serve() -> None:
    book = _Book()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Dialogue(book), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
