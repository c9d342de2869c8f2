"""Checkouts in, mails out: how many a second, at what cost, how late, and whether all arrived.

Every configuration does the same: events over HTTP, a journey that waits until one moment that
is the same for all, a mail of 27 KB of HTML and 3 KB of text by SMTP. Then checkouts at an even
pace, for lateness where nothing piles up. The baselines of `bench.baselines` follow in the same
run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import report
from bench.baselines.running import apscheduler, celery
from bench.databases import postgresql
from bench.figures import Figures
from bench.ledger import UNDER_WAY, Ledger, ledger_of
from bench.processes import cpu_seconds, peak_megabytes
from bench.product import ALONE, COMMAND, ROLES, Product
from bench.shop.client import post_all
from bench.shop.events import checkouts, signed_request
from bench.sink import Sink

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "4000"))
BASELINE = int(os.environ.get("BENCH_BASELINE", "600"))
PACE = float(os.environ.get("BENCH_PACE", "60"))
"""Checkouts a second of the even part."""
PACED = 20
"""Seconds it lasts."""
CONNECTIONS = 16
STALL = 30
"""Seconds without progress after which a measurement gives up, and says so."""


@dataclass(frozen=True)
class Place:
    """Where a measurement runs; `server` is the database server's process, if it has one."""

    name: str
    url: str
    roles: Sequence[Sequence[str]] = ALONE
    server: int | None = None
    command: Sequence[str] = COMMAND
    product: type[Product] = Product

    def cpu(self, product: Product, sink: Sink) -> tuple[float, float, float]:
        """CPU seconds so far of the daemon, the database server and the sink."""
        server = cpu_seconds(self.server) if self.server else 0.0
        return cpu_seconds(*product.pids), server, cpu_seconds(sink.process.pid)


def measure(place: Place, number: int, folder: Path) -> Figures:
    with Sink() as sink:
        email_url = f"smtp://127.0.0.1:{sink.port}?tls=none&connections={CONNECTIONS}"
        with (
            place.product(folder, place.url, email_url, place.roles, place.command) as product,
            ledger_of(place.url) as ledger,
        ):
            figures = Figures(place.name, number)
            _burst(place, product, sink, ledger, figures)
            if place.command is COMMAND:
                _paced(product, sink, ledger, figures)
            figures.peak_mb = peak_megabytes(*product.pids)
        with ledger_of(place.url) as ledger:  # once more, when the daemon has let go
            _compare(sink, ledger, figures)
    return figures


def _burst(place: Place, product: Product, sink: Sink, ledger: Ledger, figures: Figures) -> None:
    """All events in, then all messages out at one moment."""
    number = figures.messages
    due_at = datetime.now(UTC) + timedelta(seconds=10 + number / 150)
    requests = [signed_request(*event) for event in checkouts(number, due_at)]
    began = place.cpu(product, sink)
    answers = post_all(product.port, requests, CONNECTIONS)
    if answers.taken != number:
        raise RuntimeError(f"not every event was taken: {answers.kinds}")
    figures.events_per_second = number / answers.seconds
    while ledger.waiting() < number and datetime.now(UTC) < due_at:
        time.sleep(0.1)
    heard = place.cpu(product, sink)
    figures.cpu_in = sum(heard[:2]) - sum(began[:2])
    figures.all_waited = datetime.now(UTC) < due_at
    time.sleep(max(0.0, (due_at - datetime.now(UTC)).total_seconds()))
    due = place.cpu(product, sink)
    _until_sent(number, sink, ledger)
    figures.cpu_daemon, figures.cpu_database, figures.cpu_sink = (
        after - before for after, before in zip(place.cpu(product, sink), due, strict=True)
    )
    count = sink.count()
    figures.bytes_each = count.size // max(count.number, 1)
    figures.seconds_out = count.last_at - due_at.timestamp()
    figures.lateness = ledger.lateness(due_at)


def _paced(product: Product, sink: Sink, ledger: Ledger, figures: Figures) -> None:
    """Events at an even pace, each due a few seconds after it is posted."""
    number = int(PACE * PACED)
    began = datetime.now(UTC) + timedelta(seconds=2)
    requests: list[bytes] = []
    for place in range(number):
        due_at = began + timedelta(seconds=3 + place / PACE)
        event = next(checkouts(1, due_at, first=figures.messages + place))
        requests.append(signed_request(*event))
    time.sleep(max(0.0, (began - datetime.now(UTC)).total_seconds()))
    post_all(product.port, requests, CONNECTIONS, PACE)
    _until_sent(figures.messages + number, sink, ledger)
    figures.lateness_paced = ledger.lateness(began)


def _until_sent(number: int, sink: Sink, ledger: Ledger) -> None:
    """Until the sink has them all and nothing is under way, or nothing happens any more."""
    seen, moved = -1, time.monotonic()
    while time.monotonic() < moved + STALL:
        taken = sink.count().number
        if taken != seen:
            seen, moved = taken, time.monotonic()
        if taken >= number and not UNDER_WAY & ledger.states().keys():
            return
        time.sleep(0.1)


def _compare(sink: Sink, ledger: Ledger, figures: Figures) -> None:
    """What arrived, against what the database says."""
    arrived = sink.ids()
    names = {name.partition("@")[0] for name in arrived}
    figures.arrived, figures.twice = arrived.total(), arrived.total() - len(arrived)
    figures.states = dict(ledger.states())
    figures.agrees = names == ledger.sent() and not figures.twice


def results() -> list[Figures]:
    found: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as name:
        folder = Path(name)
        place = Place("SQLite, one process", f"sqlite:///{folder}/shop.db")
        found.append(measure(place, MESSAGES, folder))
        with postgresql() as server:
            for title, database, roles in (
                ("PostgreSQL, one process", "one", ALONE),
                ("PostgreSQL, web and two workers", "three", ROLES),
            ):
                place = Place(title, server.create(database), roles, server.pid)
                found.append(measure(place, MESSAGES, folder))
    return [*found, *(one for one in (celery(BASELINE), apscheduler(BASELINE)) if one)]


def main() -> None:
    report.engine(results())
