"""A mail server in a process of its own that forgets nothing: `python -m tests.kill.sink`.

It takes its time before each final answer, and with some messages it does what servers do on
a bad day: it ends the connection after the final dot without a word, having kept the message
or not, or it asks to be tried again. What it does is drawn from a seed. For each message it
writes one line to its file before it answers, and another one if whoever sent it is gone by then.

On its standard input it takes `hold 5`, to leave the next five messages without an answer, and
`release`, to answer them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

QUICKEST, SLOWEST = 0.005, 0.05
"""Seconds between the final dot and the answer."""
DROPPED: Final = 0.01
"""Share of messages after whose final dot the connection ends without an answer."""
REPEATED: Final = 0.01
"""Share of messages that are asked for again."""
PATIENT: Final = 60
"""How many messages may be asked for again at all: each of them takes a quarter of a minute."""

_MESSAGE_ID: Final = re.compile(rb"^Message-ID:\s*<([^@>]+)@", re.IGNORECASE | re.MULTILINE)


class Sink:
    """What the server has been given, and what it does about it."""

    def __init__(self, seed: int, book: TextIO) -> None:
        self._random = random.Random(seed)
        self._book = book
        self._count = 0
        self._to_hold = 0
        self._released = asyncio.Event()

    async def obey(self, orders: asyncio.StreamReader) -> None:
        """Hold and release, as it is told."""
        while line := await orders.readline():
            word, _, count = line.decode().strip().partition(" ")
            if word == "hold":
                self._to_hold = int(count)
            else:
                self._to_hold = 0
                self._released.set()
                self._released = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it says goodbye or goes away."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.example at your service\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                if not await self._take(reader, writer):
                    return
            elif verb == b"EHLO":
                writer.write(b"250-sink.example\r\n250 8BITMIME\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 goodbye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 fine\r\n")

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer for a message; False to end the connection instead."""
        found = _MESSAGE_ID.search(await reader.readuntil(b"\r\n.\r\n"))
        assert found is not None, "a message without a Message-ID"
        self._count += 1
        draw = self._random.random()
        delay = self._random.uniform(QUICKEST, SLOWEST)
        if draw < DROPPED:
            self._write(found[1], kept=draw < DROPPED / 2, answer="none")
            await asyncio.sleep(delay)
            return False
        again = draw < DROPPED + REPEATED and self._count <= PATIENT
        held = self._to_hold > 0
        self._to_hold -= held
        answer = "again" if again else "taken"
        self._write(found[1], kept=not again, answer=answer, held=held)
        await (self._released.wait() if held else asyncio.sleep(delay))
        if reader.at_eof() or reader.exception() is not None:
            self._write(found[1], cut=True)
            return False
        writer.write(b"451 4.3.0 later\r\n" if again else b"250 2.0.0 taken\r\n")
        return True

    def _write(self, message_id: bytes, **what: bool | str) -> None:
        line = {"id": message_id.decode(), "at": time.time(), **what}
        self._book.write(json.dumps(line) + "\n")
        self._book.flush()


async def main(seed: int, file: Path) -> None:
    with file.open("a") as book:
        sink = Sink(seed, book)
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=1 << 20)
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started it reads the port
        orders = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(orders)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        await sink.obey(orders)  # until whoever started it is gone


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--file", type=Path, required=True)
    given = options.parse_args()
    asyncio.run(main(given.seed, given.file))
