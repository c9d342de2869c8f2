"""A daemon as users start it: a process of its own, reached over loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
from standardwebhooks import Webhook

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("orchestrator"))
SECRET = "whsec_bWVzc2FnZXMgZm9yIHJldGVudGlvbiBvbmx5ISE="
PATIENCE = 30.0
DRAINED = 15.0
"""Seconds in which a process ends after SIGTERM, whatever it was doing: the promise."""


def wait_for(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Look until something is there; fails with what was waited for."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.05)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Daemon:
    """Starts `orchestrator run` in a folder of its own."""

    folder: Path
    database_url: str
    flows: Path
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    url: str = ""
    greeting: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings, and nothing of the caller's own."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ORCHESTRATOR_BIND": f"127.0.0.1:{self.port}",
            "ORCHESTRATOR_DATABASE_URL": self.database_url,
            "ORCHESTRATOR_FLOWS": str(self.flows),
            "ORCHESTRATOR_TEMPLATES": str(ROOT / "templates"),
            "ORCHESTRATOR_SECRET_KEY": "an end-to-end test signs with this",
            "ORCHESTRATOR_SUPPRESSION_KEY": "an end-to-end test hashes with this",
            "ORCHESTRATOR_ADMIN_TOKEN": "an-end-to-end-admin",
            "ORCHESTRATOR_WEBHOOK_SECRETS": json.dumps({"standard": [SECRET]}),
            **self.more,
        }

    def start(self) -> Self:
        """Start, and wait until it says where it is."""
        log = (self.folder / "daemon.log").open("a")
        self.process = subprocess.Popen(
            [COMMAND, "run"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if found := re.search(r"Ready on (http://\S+)", line):
                self.url = found[1]
            if "orchestrator messages" in line:
                break
        self.greeting = "".join(lines)
        if not self.url:
            self.kill()
            raise AssertionError(f"the daemon did not start:\n{self.greeting}{self.log()}")
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self._wait()

    def _wait(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(DRAINED)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.folder / "daemon.log").read_text()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another verb of the command line, with the daemon's settings."""
        return subprocess.run(
            [COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def send(self, event: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """`send-event` with a file of its own."""
        file = self.folder / "event.json"
        file.write_text(json.dumps(event))
        done = self.command("send-event", str(file), "--url", f"{self.url}/webhooks/standard")
        assert done.returncode == 0, done.stderr
        return done

    def post(self, event: dict[str, Any], event_id: str | None = None) -> httpx.Response:
        """Sign and post an event at once, as a shop's own client would."""
        fields = {name: value for name, value in event.items() if name != "type"}
        now = datetime.now(UTC)
        body = json.dumps({"type": event["type"], "timestamp": now.isoformat(), "data": fields})
        return self.post_signed(event_id or str(uuid4()), body.encode(), SECRET)

    def post_signed(self, event_id: str, body: bytes, secret: str) -> httpx.Response:
        """Post a body signed with a secret of the caller's choice."""
        now = datetime.now(UTC)
        headers = {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(event_id, now, body.decode()),
        }
        url = f"{self.url}/webhooks/standard"
        return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=PATIENCE)

    def messages(self, *options: str) -> list[dict[str, Any]]:
        """`messages --json`."""
        done = self.command("messages", "--json", *options)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def outbox(self) -> list[Path]:
        """The mails in the outbox, oldest first."""
        return sorted((self.folder / "var" / "outbox").glob("*.eml"))

    def get(self, path: str) -> httpx.Response:
        """One request."""
        return httpx.get(self.url + path, trust_env=False)
