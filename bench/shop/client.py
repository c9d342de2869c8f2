"""Posts prepared requests over a few connections that stay open."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class Answers:
    """What came back: counts by status and body, and how long each took, in seconds."""

    seconds: float = 0.0
    kinds: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def taken(self) -> int:
        return sum(number for (status, _), number in self.kinds.items() if status == 200)


def post_all(
    port: int, requests: Sequence[bytes], connections: int, per_second: float | None = None
) -> Answers:
    """Post as fast as answers come, or at an even pace."""
    answers = Answers()
    began = time.perf_counter()

    async def main() -> None:
        waiting = iter(enumerate(requests))
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(_connection(port, waiting, answers, began, per_second))

    asyncio.run(main())
    answers.seconds = time.perf_counter() - began
    return answers


async def _connection(
    port: int,
    waiting: Iterator[tuple[int, bytes]],
    answers: Answers,
    began: float,
    per_second: float | None,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for place, request in waiting:
        if per_second is not None:
            await asyncio.sleep(max(0.0, began + place / per_second - time.perf_counter()))
        sent = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        answers.latencies.append(time.perf_counter() - sent)
        answers.kinds[int(head[9:12]), body] += 1
    writer.close()
    await writer.wait_closed()
