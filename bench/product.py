"""The daemon as users start it, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from typing import Self

from bench.shop.events import SECRET

SHOP = Path(__file__).parent / "shop"
COMMAND = (str(Path(sys.executable).with_name("orchestrator")),)
ALONE: tuple[tuple[str, ...], ...] = (("run",),)
ROLES: tuple[tuple[str, ...], ...] = (
    ("run", "--only", "web"),
    ("run", "--only", "worker", "--processes", "2"),
)


def free_port() -> int:
    """A port nobody listens on now."""
    with create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Product:
    """Its processes, on one database; `command` may wrap the program in something else."""

    folder: Path
    database_url: str
    email_url: str
    roles: Sequence[Sequence[str]] = ALONE
    command: Sequence[str] = COMMAND
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        if len(self.roles) > 1:
            self._start("apply").wait()
        for words in self.roles:
            self.processes.append(self._start(*words))
        deadline = time.monotonic() + 30
        while not self._ready():
            if time.monotonic() > deadline or any(one.poll() is not None for one in self.processes):
                self.__exit__()
                raise RuntimeError(f"it did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self.command, *words],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(SHOP.parents[1]),
            "ORCHESTRATOR_BIND": f"127.0.0.1:{self.port}",
            "ORCHESTRATOR_DATABASE_URL": self.database_url,
            "ORCHESTRATOR_EMAIL_URL": self.email_url,
            "ORCHESTRATOR_FLOWS": str(SHOP / "flows.yaml"),
            "ORCHESTRATOR_TEMPLATES": str(SHOP / "templates"),
            "ORCHESTRATOR_SECRET_KEY": "measurements are signed with this",
            "ORCHESTRATOR_SUPPRESSION_KEY": "measurements are hashed with this",
            "ORCHESTRATOR_WEBHOOK_SECRETS": json.dumps({"standard": [SECRET]}),
        }

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/readyz", timeout=2
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
