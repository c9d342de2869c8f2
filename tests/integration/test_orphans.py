"""Real processes: workers end when the parent that started them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = """
import asyncio, os, pathlib, signal, sys
import supervision

async def work():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    told = asyncio.create_task(supervision.orphaned())
    told.add_done_callback(lambda _: stop.set())
    file.write_text("works")
    await stop.wait()
    file.write_text("ended in order")
    told.cancel()

file = pathlib.Path(sys.argv[1], str(os.getpid()))
CHANGE
asyncio.run(work())
"""
PARENT = """
import asyncio, supervision, sys

sys.exit(asyncio.run(supervision.supervise(sys.argv[1:], 2)))
"""
BY_THE_SYSTEM = "supervision.LOOK = 3600"
BY_LOOKING = "supervision._ask_for_sigterm = lambda: None"
# The module alone: it needs the standard library, and a start of the daemon's takes seconds.
ALONE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "orchestrator" / "daemon")}


def said(folder: Path) -> list[str]:
    return [file.read_text() for file in folder.iterdir()]


def wait_for(folder: Path, wanted: list[str]) -> None:
    deadline = time.monotonic() + 30
    while said(folder) != wanted:
        assert time.monotonic() < deadline, said(folder)
        time.sleep(0.05)


def started(folder: Path, change: str) -> subprocess.Popen[bytes]:
    worker = [sys.executable, "-c", WORKER.replace("CHANGE", change), str(folder)]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *worker], env=ALONE)
    wait_for(folder, ["works"] * 2)
    return parent


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            BY_THE_SYSTEM,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells"),
        ),
        BY_LOOKING,
    ],
)
def test_workers_end_in_order_when_their_parent_is_killed(tmp_path: Path, change: str) -> None:
    parent = started(tmp_path, change)
    parent.kill()
    parent.wait(10)
    wait_for(tmp_path, ["ended in order"] * 2)


def test_workers_are_told_to_end_when_their_parent_is(tmp_path: Path) -> None:
    parent = started(tmp_path, BY_LOOKING)
    parent.terminate()
    assert parent.wait(10) == 0
    assert said(tmp_path) == ["ended in order"] * 2


def test_a_worker_without_a_parent_of_ours_goes_on(tmp_path: Path) -> None:
    code = WORKER.replace("CHANGE", "supervision.LOOK = 0.01")
    alone = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=ALONE)
    wait_for(tmp_path, ["works"])
    time.sleep(0.3)
    assert alone.poll() is None
    os.kill(alone.pid, signal.SIGTERM)
    assert alone.wait(10) == 0
