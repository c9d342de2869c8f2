"""Work goes on within 30 seconds after a crash; a stop takes 15, even if a server is stuck."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from orchestrator.storage.tables import message
from tests.e2e.running import Daemon, wait_for
from tests.kill.crowd import Customer, Shopfront
from tests.kill.fleet import READY, WORKERS, Fleet, Part, SinkProcess, environment
from tests.kill.test_kill import CONNECTIONS, FLOWS, an_ordeal, database_of
from tests.kill.verdict import Book, Verdict

RESUMED = 30.0
"""Seconds after a crash in which what the dead process had claimed has gone out: the promise."""
EVERYTHING = 1_000_000
FIRST, PEOPLE = 4, 40
SLOW = 5.0
"""Seconds a server takes for its answers while the daemon is stopping."""


def consenting(count: int, name: str) -> list[Customer]:
    """People who stay."""
    return [Customer(f"{name}-{number}", consents=True) for number in range(count)]


def count_sent(engine: Engine) -> int:
    with engine.connect() as connection:
        sent = select(func.count()).where(message.c.state == "sent")
        return connection.scalars(sent).one()


def claimed(engine: Engine) -> set[str]:
    """Messages somebody has under a lease and has not begun to send."""
    mine = select(message.c.id).where(
        message.c.state == "queued", message.c.lease_until > datetime.now(UTC)
    )
    with engine.connect() as connection:
        return set(connection.scalars(mine))


def await_resumption(sink: SinkProcess, lost: set[str], since: float) -> None:
    """Each of these messages reaches the server in time, by the server's clock."""

    def arrived() -> bool:
        return lost <= set(Book.read(sink.file).given_at)

    wait_for(arrived, "the messages the dead process had claimed", RESUMED)
    given_at = Book.read(sink.file).given_at
    assert max(given_at[one] for one in lost) - since <= RESUMED


def stuck_in_mid_work(engine: Engine, sink: SinkProcess, url: str) -> set[str]:
    """The server holds back every answer; returns what is claimed behind the stuck connections.

    It answers a few first: of a server that has not answered yet no more is expected, and
    claimed, than it has connections.
    """
    shopfront = Shopfront(url)
    asyncio.run(shopfront.serve(consenting(FIRST, "first")))
    wait_for(lambda: count_sent(engine), "the first answers", READY)
    sink.hold(EVERYTHING)
    asyncio.run(shopfront.serve(consenting(PEOPLE, "later")))
    wait_for(lambda: sink.held() >= CONNECTIONS, "every connection to be stuck")
    return wait_for(lambda: claimed(engine), "messages claimed meanwhile")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_daemon_started_after_a_crash_goes_on_at_once(tmp_path: Path, database_url: str) -> None:
    with an_ordeal(tmp_path, database_url, seed=11, size=PEOPLE) as ordeal:
        (daemon,) = ordeal.fleet.parts
        lost = stuck_in_mid_work(ordeal.engine, ordeal.sink, ordeal.fleet.daemon.url)
        daemon.kill()
        ordeal.sink.release()
        since = time.time()
        daemon.start()
        await_resumption(ordeal.sink, lost, since)


@dataclass
class Pair:
    """A web and two workers without anybody who would start them again."""

    web: Part
    worker: Part
    other: Part
    sink: SinkProcess
    engine: Engine


@contextmanager
def a_pair(folder: Path, url: str) -> Iterator[Pair]:
    flows = folder / "flows.yaml"
    flows.write_text(FLOWS)
    with database_of(url) as engine, SinkProcess(folder / "sink.jsonl", seed=12) as sink:
        daemon = Daemon(folder, url, flows, environment(sink, CONNECTIONS))
        with Fleet(daemon, roles=True, draw=random.Random(12)) as fleet:
            work = ("run", "--only", "worker")
            fleet.parts[1:] = [Part(daemon, work), Part(daemon, work)]
            done = daemon.command("apply")
            assert done.returncode == 0, done.stderr
            for part in fleet.parts:
                part.start()
            fleet.await_ready()
            wait_for(lambda: daemon.log().count("is at work") == 2, "both workers", READY)
            web, worker, other = fleet.parts
            yield Pair(web, worker, other, sink, engine)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_take_up_what_one_that_was_killed_had_claimed(
    tmp_path: Path, database_url: str
) -> None:
    with a_pair(tmp_path, database_url) as pair:
        assert pair.other.process is not None
        # It looks away while the first one claims, so that all leases are the first one's.
        os.kill(pair.other.process.pid, signal.SIGSTOP)
        lost = stuck_in_mid_work(pair.engine, pair.sink, pair.web.daemon.url)
        pair.worker.kill()
        since = time.time()
        pair.sink.release()
        os.kill(pair.other.process.pid, signal.SIGCONT)
        await_resumption(pair.sink, lost, since)


def test_sigterm_waits_for_a_slow_server_and_ends_in_time(
    tmp_path: Path, database_url: str
) -> None:
    """`Part.terminate` waits no longer than the promise; nothing is in doubt that need not be."""
    with an_ordeal(tmp_path, database_url, seed=13, size=PEOPLE) as ordeal:
        stuck_in_mid_work(ordeal.engine, ordeal.sink, ordeal.fleet.daemon.url)
        answers = threading.Timer(SLOW, ordeal.sink.release)
        answers.start()
        assert set(ordeal.fleet.stop()) == {0}
        answers.join()
        verdict = Verdict.read(ordeal.engine, ordeal.sink.file)
        states = {one["state"] for one in verdict.messages}
        assert "sent" in states
        assert states <= {"sent", "queued", "unknown"}
        assert verdict.doubtful() == verdict.book.unanswered
        assert verdict.book.cut == set()


def test_sigterm_ends_all_in_time_while_a_server_does_not_answer(
    tmp_path: Path, database_url: str
) -> None:
    """What was being sent is in doubt, nothing else is, and nothing is lost or doubled."""
    with an_ordeal(tmp_path, database_url, seed=15, size=PEOPLE) as ordeal:
        stuck_in_mid_work(ordeal.engine, ordeal.sink, ordeal.fleet.daemon.url)
        assert set(ordeal.fleet.stop()) == {0}
        ordeal.sink.release()
        wait_for(lambda: ordeal.sink.cut() == ordeal.sink.held(), "the server to see it")
        verdict = Verdict.read(ordeal.engine, ordeal.sink.file)
        assert verdict.doubtful() == verdict.book.cut | verdict.book.unanswered
        assert "sending" not in {one["state"] for one in verdict.messages}
        for part in ordeal.fleet.parts:
            part.start()
        ordeal.come_to_rest(patience=90, hurry=True)
        assert set(ordeal.fleet.stop()) == {0}
        verdict = Verdict.read(ordeal.engine, ordeal.sink.file)
        verdict.check_delivery(CONNECTIONS, WORKERS if ordeal.fleet.roles else 1)
        verdict.check_people([*consenting(FIRST, "first"), *consenting(PEOPLE, "later")])
