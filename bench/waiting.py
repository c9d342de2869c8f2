"""A hundred thousand people wait, a thousand are due: does it cost more than if nobody waited?

The same thousand runs fall due among 1,000 and among 100,000. Each size has a process of its
own, in which the daemon's ticks run on a clock that is set by hand: first with nothing due, then
until all that is due has become mail. Mail is rendered and gated, then thrown away.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from bench import claims, report
from bench.databases import postgresql
from bench.product import SHOP
from bench.shop.events import SECRET, WAIT, checkouts
from orchestrator.bootstrap.application import App, assemble
from orchestrator.bootstrap.databases import open_database
from orchestrator.bootstrap.files import read_files
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import MessageState
from orchestrator.ports import (
    Delivery,
    DeliveryOutcome,
    MessageFilter,
    Provider,
    RenderedMessage,
)
from orchestrator.services.publishing import publish
from orchestrator.settings import Settings
from orchestrator.sources.phones import normalise_phone
from orchestrator.sources.standard import StandardSource, sign

DUE = 1_000
SIZES = (1_000, 100_000)
IDLE_ROUNDS = 100


class HandClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        # Before all those who only wait.
        self.moment = claims.START - timedelta(hours=1)

    def now(self) -> datetime:
        return self.moment


class NoProvider:
    """Takes every message and keeps none."""

    name = "none"
    connections = 16

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        del message_id, message
        return Delivery(DeliveryOutcome.SENT)

    async def close(self) -> None:
        """Nothing is held open."""


def measure(url: str, size: int) -> dict[str, float]:
    """In this very process: CPU milliseconds of an idle round and of each due run, peak MB."""
    clock = HandClock()
    settings = Settings.model_validate(
        {
            "database_url": url,
            "secret_key": "measurements are signed with this",
            "suppression_key": "measurements are hashed with this",
            "webhook_secrets": json.dumps({"standard": [SECRET]}),
        }
    )
    with open_database(settings, clock) as opened:
        providers: dict[Channel, Provider] = {channel: NoProvider() for channel in Channel}
        app = assemble(settings, opened, providers)
        read = read_files(SHOP / "flows.yaml", SHOP / "templates")
        assert publish(app.database, app.library, read.candidate, "bench", clock).version
        return asyncio.run(_run(app, clock, size))


async def _run(app: App, clock: HandClock, size: int) -> dict[str, float]:
    due_at = clock.moment + WAIT
    source = StandardSource([SECRET], normalise_phone)
    for event_id, body in checkouts(DUE, due_at):
        headers = sign(SECRET, event_id, clock.moment, body.decode())
        await app.intake.submit(source.read(headers, body, clock.moment))
    await _round_until_quiet(app)
    claims.load(app.database.engine, size - DUE)
    idle = time.process_time()
    for _ in range(IDLE_ROUNDS):
        await _round(app)
    idle = time.process_time() - idle
    clock.moment = due_at + timedelta(seconds=1)
    busy = time.process_time()
    await _round_until_quiet(app)
    await app.dispatching.drain()
    await _round_until_quiet(app)  # runs go on behind their mail
    busy = time.process_time() - busy
    with app.database.read() as uow:
        sent = len(uow.messages.find(MessageFilter(states=frozenset({MessageState.SENT}))))
    assert sent == DUE, sent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"idle": idle * 1000 / IDLE_ROUNDS, "run": busy * 1000 / DUE, "peak": peak}


async def _round(app: App) -> int:
    """Each tick of the engine once; returns how much they found."""
    ticks = (
        app.enrolling.run_once,
        app.advancing.run_once,
        app.advancing.retry_once,
        app.dispatching.run_once,
    )
    return sum([await tick() for tick in ticks])


async def _round_until_quiet(app: App) -> None:
    while await _round(app):
        pass


def _in_process(url: str, size: int) -> dict[str, float]:
    words = [sys.executable, "-m", "bench.waiting", url, str(size)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rows(database: str, urls: Sequence[str]) -> list[tuple[str, ...]]:
    found = [_in_process(url, size) for url, size in zip(urls, SIZES, strict=True)]
    first = found[0]
    return [
        (
            f"{database}, {size:,} waiting",
            f"{one['idle']:.2f} ms",
            f"{one['idle'] / first['idle']:.2f} ×",
            f"{one['run']:.2f} ms",
            f"{one['run'] / first['run']:.2f} ×",
            f"{one['peak']:.0f} MB",
            f"{one['peak'] / first['peak']:.2f} ×",
        )
        for size, one in zip(SIZES, found, strict=True)
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        rows = _rows("SQLite", [f"sqlite:///{folder}/{size}.db" for size in SIZES])
    with postgresql() as server:
        rows += _rows("PostgreSQL", [server.create(f"waiting_{size}") for size in SIZES])
    report.table(
        f"{DUE:,} of those who wait fall due (CPU of the daemon's side)",
        ("", "Idle round", "Ratio", "CPU a due run", "Ratio", "Peak memory", "Ratio"),
        rows,
    )


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
