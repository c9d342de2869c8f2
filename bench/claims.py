"""What it costs to claim 200 due runs, among ten thousand and among a million.

The repository's own code on both databases, durable settings, client and server on one machine.
Ten thousand runs are due, all others later, as where people wait; every claim is followed by
the decision's write, and what was claimed is due again much later.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, select

from bench.databases import postgresql
from orchestrator.domain.enrolments import EnrolmentUpdate
from orchestrator.domain.identifiers import shard_of
from orchestrator.storage import migrate
from orchestrator.storage.clock import clock_of
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.expression_sql import register_functions
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.tables import enrolment
from orchestrator.storage.unit_of_work import SqlDatabase

SIZES = (10_000, 1_000_000)
BATCH = 200
BATCHES = 40
DUE = 10_000
LEASE = timedelta(minutes=1)
START = datetime(2026, 11, 21, 9, tzinfo=UTC)
OUTPUTS = {"first": {"sent": True, "delivered": True, "clicked": None, "opened": None}}
COLUMNS = (
    "id",
    "shard",
    "flow",
    "version",
    "contact_id",
    "key",
    "entry",
    "event_id",
    "step",
    "step_started_at",
    "due_at",
    "outputs",
    "entered_at",
    "attempts",
)


@dataclass(frozen=True)
class Cost:
    """Median microseconds a row, over all batches."""

    database: str
    rows: int
    claim: float
    read: float
    save: float
    megabytes: float


def runs(count: int, seed: int = 7) -> Iterator[tuple[Any, ...]]:
    """Runs in the order they were entered, due in any order over the next weeks."""
    chance = random.Random(seed)
    for number in range(count):
        contact = str(uuid.UUID(int=(0x0193 << 112) | (7 << 76) | (2 << 62) | number))
        entered = START - timedelta(seconds=count - number)
        yield (
            str(uuid.UUID(int=(0x0193 << 112) | (7 << 76) | (3 << 62) | number)),
            shard_of(contact),
            "abandoned_cart",
            "f" * 64,
            contact,
            f"checkout-{number}",
            1,
            None,
            "wait_1",
            entered,
            START + timedelta(seconds=chance.randrange(count)),
            json.dumps(OUTPUTS, separators=(",", ":")),
            entered,
            0,
        )


def load(engine: Engine, count: int) -> None:
    if engine.dialect.name == "postgresql":
        load_postgresql(engine, count)
    else:
        load_sqlite(engine, count)


def load_postgresql(engine: Engine, count: int) -> None:
    address = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    copy = f"COPY enrolment ({', '.join(COLUMNS)}) FROM STDIN"
    with psycopg.connect(address) as connection:
        with connection.cursor() as cursor, cursor.copy(copy.encode()) as target:
            for row in runs(count):
                target.write_row(row)
        connection.commit()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) enrolment")
        connection.execute("CHECKPOINT")


def load_sqlite(engine: Engine, count: int) -> None:
    types = [enrolment.c[name].type.dialect_impl(engine.dialect) for name in COLUMNS]
    # JSON is text already
    binds = [
        None if name == "outputs" else kind.bind_processor(engine.dialect)
        for name, kind in zip(COLUMNS, types, strict=True)
    ]
    marks = ", ".join("?" * len(COLUMNS))
    insert = f"INSERT INTO enrolment ({', '.join(COLUMNS)}) VALUES ({marks})"
    rows = (
        tuple(
            value if bind is None else bind(value) for bind, value in zip(binds, row, strict=True)
        )
        for row in runs(count)
    )
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(insert, rows)  # type: ignore[arg-type]
        cursor.execute("COMMIT")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        raw.close()


def prepared(url: str, count: int) -> SqlDatabase:
    migrate.upgrade(url)
    engine = create_engine_for(url, register_functions)
    load(engine, count)
    return SqlDatabase(engine, clock_of(engine), UuidIds(), b"measuring")


def measure(name: str, urls: Mapping[int, str]) -> list[Cost]:
    """Batches in turn, one of each size: what else the machine does falls on all alike."""
    databases = {count: prepared(url, count) for count, url in urls.items()}
    spent: dict[int, list[tuple[float, float, float]]] = {count: [] for count in databases}
    ids = UuidIds()
    now = START + timedelta(seconds=DUE)  # one falls due each second
    for _ in range(BATCHES):
        for count, database in databases.items():
            spent[count].append(one_batch(database, ids.new(), now))
    found = []
    for count, database in databases.items():
        claim, read, save = map(statistics.median, zip(*spent[count], strict=True))
        found.append(Cost(name, count, claim, read, save, size_of(database.engine) / 1e6))
        database.close()
    return found


def one_batch(database: SqlDatabase, token: str, now: datetime) -> tuple[float, float, float]:
    """Microseconds a row of the claim, of reading it back, and of writing the decisions."""
    started = time.perf_counter()
    with database.transaction() as unit:
        claimed = unit.enrolments.claim_due(now, BATCH, LEASE, token)
    after_claim = time.perf_counter()
    assert len(claimed) == BATCH, len(claimed)
    with database.transaction() as unit:
        found = unit.enrolments.claimed(token, claimed)
        after_read = time.perf_counter()
        unit.enrolments.save(
            [
                EnrolmentUpdate(run.id, "wait_2", now, now + timedelta(days=30), run.outputs)
                for run in found
            ]
        )
    after_save = time.perf_counter()
    each = 1e6 / BATCH
    return (
        (after_claim - started) * each,
        (after_read - after_claim) * each,
        (after_save - after_read) * each,
    )


def size_of(engine: Engine) -> float:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            size = func.pg_total_relation_size("enrolment")
            return float(connection.scalar(select(size)) or 0)
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return float(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def results(sizes: Sequence[int]) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        found = measure("SQLite", {count: f"sqlite:///{folder}/{count}.db" for count in sizes})
    with postgresql() as server:
        found += measure("PostgreSQL", {count: server.create(f"bench_{count}") for count in sizes})
    return found


def main() -> None:
    sizes = tuple(int(size) for size in os.environ.get("BENCH_SIZES", "").split(",") if size)
    found = results(sizes or SIZES)
    smallest = {cost.database: cost for cost in reversed(found)}
    table = Table(title=f"Claiming due runs, {BATCH} at a time (median of {BATCHES} batches)")
    for heading in ("Database", "Runs", "Claim", "Read", "Save", "Sum", "Claim, ratio", "Size"):
        table.add_column(heading, justify="left" if heading == "Database" else "right")
    for cost in found:
        table.add_row(
            cost.database,
            f"{cost.rows:,}",
            *[f"{one:.0f} µs" for one in (cost.claim, cost.read, cost.save)],
            f"{cost.claim + cost.read + cost.save:.0f} µs",
            f"{cost.claim / smallest[cost.database].claim:.2f} ×",
            f"{cost.megabytes:,.0f} MB",
        )
    Console(file=sys.stdout, width=100).print(table)
