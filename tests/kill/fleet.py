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

from tests.e2e.running import COMMAND, ROOT, Daemon, wait_for

READY = 60.0
"""Seconds a start may take on a machine that does other things, too."""


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
        """SIGKILL for the process and all it has started."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def children(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class Fleet:
    """The processes of one deployment: everything in one, or a web beside three workers."""

    daemon: Daemon
    roles: bool
    draw: random.Random
    parts: list[Part] = field(default_factory=list)
    killed: int = 0
    """How many processes that had connections to the sink were killed."""

    def __post_init__(self) -> None:
        self.daemon.url = f"http://127.0.0.1:{self.daemon.port}"
        if self.roles:
            workers = ("run", "--only", "worker", "--processes", "3")
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
            wait_for(lambda: len(self.parts[1].children()) == 3, "three workers", READY)
        return self

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

    def kill_a_worker(self) -> str:
        """Its supervisor starts it again."""
        victim = self.draw.choice(self.parts[1].children())
        os.kill(victim, signal.SIGKILL)
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
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.kill()
        self.process.wait(20)

    def count(self) -> int:
        """How many messages it was given so far."""
        return self.file.read_bytes().count(b"\n") if self.file.exists() else 0

    def await_count(self, count: int, patience: float) -> None:
        """Wait until it was given so many messages, or until patience is at its end."""
        deadline = time.monotonic() + patience
        while self.count() < count and time.monotonic() < deadline:
            time.sleep(0.002)


def environment(sink: SinkProcess, connections: int, **more: str) -> dict[str, Any]:
    """Settings of a daemon that delivers to the sink."""
    url = f"smtp://127.0.0.1:{sink.port}?tls=none&connections={connections}"
    return {"ORCHESTRATOR_EMAIL_URL": url, **more}
