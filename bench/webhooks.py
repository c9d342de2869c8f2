"""Durable webhooks: how many a second are answered 200 after their commit, and how fast.

Checkouts as the engine's measurement posts them, one in twenty sent a second time, over 1, 16
and 64 connections as fast as answers come. The daemon goes on with its work meanwhile: every
new checkout enters a journey.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from bench import report
from bench.databases import postgresql
from bench.figures import percentile
from bench.processes import cpu_seconds
from bench.product import Product
from bench.shop.client import Answers, post_all
from bench.shop.events import checkouts, signed_request

REQUESTS = int(os.environ.get("BENCH_WEBHOOKS", "1500"))
"""With 16 and 64 connections; a quarter of it with one."""
AGAIN_EACH = 20
CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True)
class Round:
    """One database, one number of connections."""

    database: str
    connections: int
    answers: Answers
    cpu: float
    """CPU seconds of the daemon and the database server."""


def measure(database: str, url: str, server: int | None) -> list[Round]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        folder = Path(name)
        with Product(folder, url, f"outbox:{folder}/outbox") as product:
            pids = [*product.pids, *([server] if server else [])]
            return [_round(database, product.port, pids, count) for count in CONNECTIONS]


def _round(database: str, port: int, pids: list[int], connections: int) -> Round:
    number = REQUESTS if connections > 1 else REQUESTS // 4
    due_at = datetime.now(UTC) + timedelta(minutes=3)  # no mail goes out in between
    first = connections * 1_000_000
    events = list(checkouts(number, due_at, first))
    requests = [
        signed_request(*event)
        for event in chain.from_iterable(
            [event, event] if place % AGAIN_EACH == 0 else [event]
            for place, event in enumerate(events)
        )
    ]
    before = cpu_seconds(*pids)
    answers = post_all(port, requests, connections)
    return Round(database, connections, answers, cpu_seconds(*pids) - before)


def _row(one: Round, best: float) -> tuple[str, ...]:
    answers = one.answers
    ordered = sorted(answers.latencies)
    rate = len(ordered) / answers.seconds
    again = sum(number for (_, body), number in answers.kinds.items() if b"duplicate" in body)
    return (
        f"{one.database}, {one.connections} connections",
        f"{len(ordered):,}",
        f"{rate:.0f}",
        f"{percentile(ordered, 50) * 1000:.0f} ms",
        f"{percentile(ordered, 99) * 1000:.0f} ms",
        f"{again / len(ordered):.1%}",
        f"{one.cpu / len(ordered) * 1000:.2f} ms",
        f"{rate / best:.2f} ×",
        "yes" if answers.taken == len(ordered) else f"NO: {answers.kinds}",
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        found = measure("SQLite", f"sqlite:///{folder}/shop.db", None)
    with postgresql() as server:
        found += measure("PostgreSQL", server.create("webhooks"), server.pid)
    best = max(len(one.answers.latencies) / one.answers.seconds for one in found)
    headings = (
        "",
        "Requests",
        "a second",
        "p50",
        "p99",
        "Duplicates",
        "CPU each",
        "Ratio",
        "All 200",
    )
    report.table("Durable webhooks", headings, [_row(one, best) for one in found])
