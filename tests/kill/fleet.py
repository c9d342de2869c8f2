"""Daemons that can be killed and started again, and the sink they deliver to."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e.running import COMMAND, DRAINED, ROOT, Daemon, wait_for

READY = 60.0
"""Seconds a start may take on a machine that does other things, too."""
WORKERS = 3


@dataclass
class Part:
    """One command of the product as a process group of its own."""

    daemon: Daemon
    words: Sequence[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.daemon.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, *self.words],
                cwd=self.daemon.folder,
                env=self.daemon.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL for the process and all it has started; returns when all are dead."""
        assert self.process is not None
        started = self.children() if self.process.poll() is None else []
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        wait_for(lambda: all(map(is_dead, started)), "their end")

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(DRAINED)

    def children(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_dead(pid: int) -> bool:
    """Whether all threads of a process are gone, and its connections with them (proc(5))."""
    try:
        threads = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    except (FileNotFoundError, ProcessLookupError):
        return False  # one went just now: look again
    return all(text.rpartition(")")[2].split()[0] in {"Z", "X"} for text in threads)


@dataclass
class Fleet:
    """The processes of one deployment: everything in one, or a web beside three workers."""

    daemon: Daemon
    roles: bool
    draw: random.Random
    workers: int = WORKERS
    parts: list[Part] = field(default_factory=list)
    killed: int = 0
    """How many processes that had connections to the sink were killed."""

    def __post_init__(self) -> None:
        self.daemon.url = f"http://127.0.0.1:{self.daemon.port}"
        if self.roles:
            workers = ("run", "--only", "worker", "--processes", str(self.workers))
            self.parts = [Part(self.daemon, ("run", "--only", "web")), Part(self.daemon, workers)]
        else:
            self.parts = [Part(self.daemon, ("run",))]

    def start(self) -> Self:
        if self.roles:
            done = self.daemon.command("apply")
            assert done.returncode == 0, done.stderr
        for part in self.parts:
            part.start()
        self.await_ready()
        if self.roles:
            wait_for(self._at_work, "all workers", READY)
        return self

    def _at_work(self) -> bool:
        return self.daemon.log().count("is at work") == self.workers

    def await_ready(self) -> None:
        try:
            wait_for(self._ready, "readiness", READY)
        except AssertionError as error:
            error.add_note(self.daemon.log()[-3000:])
            raise

    def _ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self.daemon.get("/readyz").status_code == 200
        return False

    def moves(self) -> list[Callable[[], str]]:
        """The ways to crash, in the order in which a short test takes them."""
        if self.roles:
            return [self.kill_a_worker, self.kill_all, self.kill_workers]
        return [self.kill_all]

    def spares_some(self, move: Callable[[], str]) -> bool:
        """Whether a crash leaves workers alive, and what these are sending."""
        return move == self.kill_a_worker

    def kill_a_worker(self) -> str:
        """Its supervisor starts it again."""
        victim = self.draw.choice(self.parts[1].children())
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: is_dead(victim), "its end")
        self.killed += 1
        return "one worker"

    def kill_workers(self) -> str:
        """All workers and their supervisor; the web goes on taking webhooks."""
        self.killed += len(self.parts[1].children())
        self.parts[1].kill()
        self.parts[1].start()
        return "all workers"

    def kill_all(self) -> str:
        self.killed += len(self.parts[1].children()) if self.roles else 1
        for part in self.parts:
            part.kill()
        for part in self.parts:
            part.start()
        return "every process"

    def stop(self) -> list[int]:
        """SIGTERM for all; returns their exit codes."""
        return [part.terminate() for part in self.parts]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts:
            if part.process is not None and part.process.poll() is None:
                part.kill()


@dataclass
class SinkProcess:
    """The mail server as a process, and its book."""

    file: Path
    seed: int
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.sink", f"--seed={self.seed}", f"--file={self.file}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait(20)

    def hold(self, count: int) -> None:
        """Leave the next messages without an answer."""
        self._order(f"hold {count}")

    def release(self) -> None:
        """Answer those held, where anybody still listens, and hold no more."""
        self._order("release")

    def _order(self, words: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def count(self) -> int:
        """How many messages it was given so far."""
        return self._marks(b'"kept":')

    def held(self) -> int:
        """How many of them it was told to leave without an answer."""
        return self._marks(b'"held": true')

    def cut(self) -> int:
        """How many found nobody there any more when it would have answered."""
        return self._marks(b'"cut": true')

    def _marks(self, mark: bytes) -> int:
        return self.file.read_bytes().count(mark) if self.file.exists() else 0

    def await_count(self, count: int, patience: float) -> None:
        """Wait until it was given so many messages, or until patience is at its end."""
        deadline = time.monotonic() + patience
        while self.count() < count and time.monotonic() < deadline:
            time.sleep(0.002)


def environment(sink: SinkProcess, connections: int, **more: str) -> dict[str, Any]:
    """Settings of a daemon that delivers to the sink."""
    url = f"smtp://127.0.0.1:{sink.port}?tls=none&connections={connections}"
    return {"ORCHESTRATOR_EMAIL_URL": url, **more}
