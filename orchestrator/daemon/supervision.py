"""Several worker processes under one parent, which starts those that die again."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Final

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds before a worker that died is started again."""


async def supervise(command: Sequence[str], processes: int) -> int:
    """Run so many copies of a command until SIGTERM or SIGINT, which is passed on to them.

    A copy that ends with the exit code of a configuration error (3) or a usage error (2) ends
    them all: starting it again would end the same way.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        copies = [group.create_task(_keep(command, stop)) for _ in range(processes)]
    return max(copy.result() for copy in copies)


async def _keep(command: Sequence[str], stop: asyncio.Event) -> int:
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(*command)
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await ended
            return 0
        code = ended.result()
        if code in (2, 3):
            stop.set()
            return code
        log.error("a worker died and is started again", extra={"exit_code": code})
        await asyncio.wait({stopping}, timeout=PAUSE)
    return 0


def command_of_worker() -> list[str]:
    """One worker, as this very program."""
    return [sys.argv[0], "run", "--only", "worker"]
