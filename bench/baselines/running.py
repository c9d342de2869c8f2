"""Runs the baselines as the engine is run: work in, one due moment, mails out."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from bench.baselines.mail import Base, Cart
from bench.figures import Figures
from bench.processes import cpu_seconds, peak_megabytes
from bench.product import free_port
from bench.shop.events import checkouts
from bench.sink import Sink

STALL = 30
"""Seconds without a mail after which a baseline is given up."""


@dataclass(frozen=True)
class Stage:
    """A database with carts, a sink, and the environment that names both."""

    number: int
    due_at: datetime
    sink: Sink
    environment: Mapping[str, str]

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *words],
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def enqueue(self, how: str) -> subprocess.Popen[bytes]:
        """Put everything in; returns when that is done."""
        words = ("-m", "bench.baselines.enqueue", how, str(self.number), self.due_at.isoformat())
        process = self.start(*words)
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError(f"the baseline {how} did not start")
        return process


def celery(number: int) -> Figures | None:
    """One task per mail on Redis, as many worker processes as cores: Celery's default."""
    redis = shutil.which("redis-server")
    if redis is None or importlib.util.find_spec("celery") is None:
        print(
            "Celery is left out: it needs redis-server (Debian: apt install redis-server)"
            " and what `make bench` installs"
        )
        return None
    with tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        port = free_port()
        words = [redis, "--port", str(port), "--save", "", "--dir", folder]
        broker = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            environment = {"BENCH_BROKER": f"redis://127.0.0.1:{port}/0"}
            with _stage(number, folder, environment) as stage:
                return _celery(stage, broker.pid)
        finally:
            broker.terminate()
            broker.wait()


def _celery(stage: Stage, broker: int) -> Figures:
    figures = Figures("Celery and Redis, a task per mail", stage.number)
    worker = stage.start("-m", "celery", "-A", "bench.baselines.tasks", "worker", "-l", "ERROR")
    try:
        time.sleep(5)  # it has no sign of being ready
        before = cpu_seconds(worker.pid, broker)
        began = time.perf_counter()
        enqueuing = stage.enqueue("celery")
        spent = cpu_seconds(enqueuing.pid)
        figures.events_per_second = stage.number / (time.perf_counter() - began)
        enqueuing.communicate()
        time.sleep(2)
        figures.cpu_in = spent + cpu_seconds(worker.pid, broker) - before
        _burst(stage, figures, worker.pid, broker)
    finally:
        worker.terminate()
        worker.communicate()
    _compare(stage, figures)
    return figures


def apscheduler(number: int) -> Figures:
    """One job per mail in a job store on SQLite, ten threads: APScheduler's default."""
    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-bench-") as folder,
        _stage(number, folder, {}) as stage,
    ):
        figures = Figures("APScheduler, a job per mail", number)
        began = time.perf_counter()
        process = stage.enqueue("apscheduler")
        try:
            figures.events_per_second = number / (time.perf_counter() - began)
            figures.cpu_in = cpu_seconds(process.pid)
            _burst(stage, figures, process.pid)
        finally:
            process.terminate()
            process.communicate()
        _compare(stage, figures)
        return figures


@contextmanager
def _stage(number: int, folder: str, more: Mapping[str, str]) -> Iterator[Stage]:
    url = f"sqlite:///{folder}/carts.db"
    due_at = datetime.now(UTC) + timedelta(seconds=15 + number / 150)
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for _, body in checkouts(number, due_at):
            data = json.loads(body)["data"]
            person = data["contact"]
            cart = Cart(email=person["email"], first_name=person["first_name"], payload=data)
            session.add(cart)
        session.commit()
    engine.dispose()
    with Sink() as sink:
        environment = {
            **os.environ,
            **more,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "BENCH_DATABASE": url,
            "BENCH_SMTP_PORT": str(sink.port),
        }
        yield Stage(number, due_at, sink, environment)


def _burst(stage: Stage, figures: Figures, *pids: int) -> None:
    figures.all_waited = datetime.now(UTC) < stage.due_at
    time.sleep(max(0.0, (stage.due_at - datetime.now(UTC)).total_seconds()))
    sink = stage.sink
    before = cpu_seconds(*pids), cpu_seconds(sink.process.pid)
    seen, moved = -1, time.monotonic()
    while seen < stage.number and time.monotonic() < moved + STALL:
        if (taken := sink.count().number) != seen:
            seen, moved = taken, time.monotonic()
        time.sleep(0.1)
    count = sink.count()
    figures.cpu_daemon = cpu_seconds(*pids) - before[0]
    figures.cpu_sink = cpu_seconds(sink.process.pid) - before[1]
    figures.seconds_out = count.last_at - stage.due_at.timestamp()
    figures.bytes_each = count.size // max(count.number, 1)
    figures.peak_mb = peak_megabytes(*pids)


def _compare(stage: Stage, figures: Figures) -> None:
    arrived = stage.sink.ids()
    figures.arrived, figures.twice = arrived.total(), arrived.total() - len(arrived)
    engine = create_engine(stage.environment["BENCH_DATABASE"])
    with Session(engine) as session:
        sent = session.scalar(select(func.count()).where(Cart.sent_at.is_not(None)))
        moments = session.scalars(select(Cart.sent_at).where(Cart.sent_at.is_not(None))).all()
    engine.dispose()
    due_at = stage.due_at.replace(tzinfo=None)
    figures.lateness = sorted((at - due_at).total_seconds() for at in moments if at)
    figures.states = {"sent": sent or 0}
    figures.agrees = sent == figures.arrived and not figures.twice
