"""Several worker processes under one parent, which starts those that die again.

A worker whose parent is gone finishes what it has begun and ends: whoever starts a new parent
would otherwise have twice as many.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds before a worker that died is started again."""
LOOK: Final = 1.0
"""Seconds between looks at whether the parent lives, where the system does not tell."""
PARENT: Final = "_ORCHESTRATOR_PARENT"
"""The environment variable by which a worker knows its parent's process id."""
_PR_SET_PDEATHSIG: Final = 1  # prctl(2), Linux


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
    environment = {**os.environ, PARENT: str(os.getpid())}
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(*command, env=environment)
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


async def orphaned() -> None:
    """Return when the parent that started this worker is gone; never, where there is none.

    On Linux the kernel also sends SIGTERM at that moment, which ends the wait for the next look.
    """
    told = os.environ.get(PARENT, "")
    if not told.isdigit():
        await asyncio.Event().wait()
    _ask_for_sigterm()
    # Whoever adopts an orphan has another process id; nothing tells of that.
    while os.getppid() == int(told):  # noqa: ASYNC110
        await asyncio.sleep(LOOK)
    log.warning("the parent of this worker is gone: it finishes what it has begun and ends")


def _ask_for_sigterm() -> None:
    """SIGTERM at the parent's death, where the system knows that (prctl(2))."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        except (OSError, AttributeError):
            log.debug("the system tells nothing of a parent's death; it is looked for")
