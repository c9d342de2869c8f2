"""Units of work: all or nothing, urgent first, and only our own errors come out."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from orchestrator.domain.errors import (
    ConfigurationError,
    Conflict,
    MalformedPayload,
    PermanentError,
    TransientError,
)
from orchestrator.ports import Lane
from orchestrator.storage.clock import REFRESH_AFTER, DatabaseClock, SystemClock, clock_of
from orchestrator.storage.engine import create_engine_for, parse_url, sqlite_file
from orchestrator.storage.failures import Overtaken
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.lock import AlreadyRunning, DaemonLock
from orchestrator.storage.unit_of_work import TRIES, SqlDatabase


def mark(unit: Any, name: str) -> None:
    unit.firings.set_watermark(name, "done", datetime(2026, 1, 1, tzinfo=UTC))


def mark_and_fail(unit: Any, name: str) -> None:
    mark(unit, name)
    raise KeyError(name)


def marked(database: SqlDatabase, name: str) -> bool:
    with database.read() as unit:
        return unit.firings.watermark(name) is not None


def test_what_a_transaction_wrote_before_it_failed_is_undone(database: SqlDatabase) -> None:
    with pytest.raises(KeyError), database.transaction() as unit:
        mark_and_fail(unit, "a")
    assert not marked(database, "a")


def test_a_savepoint_fails_alone(database: SqlDatabase) -> None:
    with database.transaction() as unit:
        mark(unit, "before")
        with pytest.raises(KeyError), unit.savepoint():
            mark_and_fail(unit, "inside")
        with unit.savepoint():
            mark(unit, "after")
    assert [marked(database, name) for name in ("before", "inside", "after")] == [
        True,
        False,
        True,
    ]


def test_a_database_error_in_a_savepoint_is_ours_and_the_rest_goes_on(
    database: SqlDatabase,
) -> None:
    with database.transaction() as unit:
        with pytest.raises(PermanentError), unit.savepoint():
            unit.connection.execute(text("SELECT * FROM nowhere"))  # type: ignore[attr-defined]
        mark(unit, "after")
    assert marked(database, "after")


def test_a_reader_cannot_write_and_does_not_wait_for_a_writer(database: SqlDatabase) -> None:
    with database.transaction() as unit:
        mark(unit, "unseen")
        assert not marked(database, "unseen")
    with pytest.raises(TransientError), database.read() as unit:
        mark(unit, "a")
    with database.transaction() as unit:
        mark(unit, "after a reader")


def test_a_reader_may_look_at_what_writers_lock(database: SqlDatabase, world: Any) -> None:
    person = world.contact("ada@example.com")
    run = world.run(person)
    with database.transaction() as writer, database.read() as reader:
        assert writer.contacts.lock([person])
        assert set(reader.contacts.lock([person])) == {person}
        assert [one.id for one in reader.enrolments.live_of([person])[person]] == [run.id]
        assert reader.purchases.checkouts(["c1"]) == {}


def test_a_reader_sees_one_unchanging_state(database: SqlDatabase) -> None:
    with database.read() as reader:
        assert reader.firings.watermark("a") is None
        with database.transaction() as unit:
            mark(unit, "a")
        assert reader.firings.watermark("a") is None
    assert marked(database, "a")


async def test_work_is_done_by_lane_and_in_order_within_a_lane(engine: Engine) -> None:
    database = SqlDatabase(engine, SystemClock(), UuidIds(), b"key")
    done: list[str] = []
    threads = len(database._writers._threads)
    started, gate = threading.Barrier(threads + 1), threading.Event()

    def block(_unit: Any) -> None:
        started.wait(10)
        gate.wait(10)

    def note(name: str) -> Any:
        return lambda _unit: done.append(name)

    blocked = [database._writers.submit(Lane.INTAKE, lambda: block(None)) for _ in range(threads)]
    await asyncio.to_thread(started.wait, 10)
    work = [
        asyncio.ensure_future(database.run(lane, note(name)))
        for lane, name in (
            (Lane.IMPORT, "import"),
            (Lane.ADVANCE, "advance 1"),
            (Lane.ADVANCE, "advance 2"),
            (Lane.INTAKE, "intake"),
            (Lane.RESULTS, "results"),
        )
    ]
    await asyncio.sleep(0)
    assert database.waiting() == len(work)
    gate.set()
    await asyncio.gather(*work, *map(asyncio.wrap_future, blocked))
    if threads == 1:
        assert done == ["intake", "results", "advance 1", "advance 2", "import"]
    assert sorted(done) == ["advance 1", "advance 2", "import", "intake", "results"]
    database.close()


async def test_run_returns_what_the_work_returns_or_raises(database: SqlDatabase) -> None:
    def seven(unit: Any) -> int:
        mark(unit, "a")
        return 7

    assert await database.run(Lane.INTAKE, seven) == 7
    assert await database.query(lambda unit: unit.firings.watermark("a")) == "done"

    def fail(unit: Any) -> None:
        mark(unit, "b")
        raise Conflict("no")

    with pytest.raises(Conflict):
        await database.run(Lane.INTAKE, fail)
    assert not marked(database, "b")


async def test_work_that_was_overtaken_runs_again_and_then_gives_up(
    database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.storage.unit_of_work.time.sleep", lambda _seconds: None)
    tries: list[int] = []

    def overtaken(times: int) -> Any:
        def work(unit: Any) -> int:
            tries.append(1)
            mark(unit, f"try {len(tries)}")
            if len(tries) <= times:
                raise Overtaken("deadlock")
            return len(tries)

        return work

    assert await database.run(Lane.INTAKE, overtaken(TRIES - 1)) == TRIES
    assert [marked(database, f"try {number}") for number in (1, 2, 3)] == [False, False, True]
    tries.clear()
    with pytest.raises(Overtaken):
        await database.run(Lane.INTAKE, overtaken(99))
    assert len(tries) == TRIES


async def test_a_closed_database_finishes_what_it_accepted_and_takes_no_more(
    engine: Engine,
) -> None:
    database = SqlDatabase(engine, SystemClock(), UuidIds(), b"key")
    work = [
        asyncio.ensure_future(database.run(Lane.IMPORT, partial(mark, name=str(number))))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(database.close, 10)
    await asyncio.gather(*work)
    with pytest.raises(TransientError):
        await database.run(Lane.INTAKE, lambda _unit: None)
    assert all(marked(database, str(number)) for number in range(20))


def test_a_transaction_inside_a_transaction_is_told(database: SqlDatabase) -> None:
    if database.engine.dialect.name != "sqlite":
        return
    with (
        pytest.raises(RuntimeError, match="savepoint"),
        database.transaction(),
        database.transaction(),
    ):
        pass


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_json_does_not_know_is_a_malformed_payload(
    database: SqlDatabase, world: Any, value: float
) -> None:
    person = world.contact("ada@example.com")
    with pytest.raises(MalformedPayload):
        world.event(person, "e1", payload={"total": value})
    with pytest.raises(MalformedPayload), database.transaction() as unit:
        unit.contacts.update({person: {"attributes": {"points": value}}}, world.clock.now())


def test_a_value_the_database_refuses_is_not_quoted_by_the_error(postgres_url: str) -> None:
    engine = create_engine_for(postgres_url)
    database = SqlDatabase(engine, SystemClock(), UuidIds(), b"key")
    with pytest.raises(MalformedPayload) as refused, database.transaction() as unit:
        unit.connection.execute(  # type: ignore[attr-defined]
            text("SELECT CAST(CAST(:x AS text) AS integer)"), {"x": "ada@example.com"}
        )
    assert "ada" not in str(refused.value)
    database.close()


def test_a_broken_unique_key_is_a_conflict_that_tells_no_value(
    database: SqlDatabase, world: Any
) -> None:
    from orchestrator.storage.tables import used_token  # noqa: PLC0415

    row = {"token_hash": "ada@example.com", "shard": 1, "used_at": world.clock.now()}
    with pytest.raises(Conflict) as refused, database.transaction() as unit:
        unit.connection.execute(used_token.insert(), [row, row])  # type: ignore[attr-defined]
    assert "ada" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_naive_moment_is_refused(database: SqlDatabase) -> None:
    with pytest.raises(MalformedPayload), database.transaction() as unit:
        unit.firings.set_watermark("a", "b", datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_database_that_is_away_is_a_transient_error() -> None:
    engine = create_engine_for("postgresql://nobody@127.0.0.1:9/none?connect_timeout=1")
    with pytest.raises(TransientError, match="cannot be reached"):
        DatabaseClock(engine)


def test_a_file_that_is_no_database_is_for_a_person_to_mend(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("these are notes, not a database " * 50)
    database = SqlDatabase(create_engine_for(f"sqlite:///{file}"), SystemClock(), UuidIds(), b"k")
    with pytest.raises(ConfigurationError, match="DATABASE_URL"), database.transaction():
        pass
    database.close()


@pytest.mark.parametrize(
    "url", ["mysql://root:secret@host/db", "sqlite://", "secret", "sqlite:///"]
)
def test_an_address_that_does_not_fit_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ORCHESTRATOR_DATABASE_URL") as refused:
        create_engine_for(url)
    assert "secret" not in str(refused.value)


def test_addresses_are_read_as_an_operator_writes_them(tmp_path: Path) -> None:
    assert parse_url("postgresql://u@h:5/d?sslmode=require").drivername == "postgresql+psycopg"
    assert sqlite_file("sqlite:///var/orchestrator.db") == Path("var/orchestrator.db")
    assert sqlite_file("postgresql://u@h/d") is None
    nested = tmp_path / "a" / "b" / "c.db"
    with create_engine_for(f"sqlite:///{nested}").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        connection.engine.dispose()


def test_the_databases_clock_is_asked_at_most_once_a_minute(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clock_of(engine)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    if isinstance(clock, SystemClock):
        return
    asked: list[threading.Event] = []

    def measure() -> tuple[datetime, float]:
        asked.append(threading.Event())
        asked[-1].set()
        return datetime(2030, 1, 1, tzinfo=UTC), 0.0

    monkeypatch.setattr(clock, "_measure", measure)
    clock.now()
    assert asked == []
    moment, at = clock._measured
    clock._measured = (moment, at - REFRESH_AFTER.total_seconds())
    clock.now()
    with clock._measuring:
        assert len(asked) == 1
    assert clock._measured[0].year == 2030


def hold(path: Path, held: Any, release: Any) -> None:
    lock = DaemonLock(path)
    held.set()
    release.wait(20)
    del lock  # not closed: the end of the process has to be enough


def test_a_second_daemon_is_told_until_the_first_process_has_died(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.db"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    first = context.Process(target=hold, args=(path, held, release))
    first.start()
    assert held.wait(20)
    with pytest.raises(AlreadyRunning, match="another daemon"):
        DaemonLock(path)
    first.kill()
    first.join(20)
    with DaemonLock(path), pytest.raises(AlreadyRunning):
        DaemonLock(path)
    DaemonLock(path).close()


def test_identities_grow_in_the_order_they_are_made() -> None:
    ids = UuidIds()
    made = [ids.new() for _ in range(5000)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_died_while_it_rested_is_replaced_unseen(
    engine: Engine, database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.storage.engine.RESTED_SECONDS", 0.0)
    with engine.connect() as other:
        with database.transaction() as unit:
            mark(unit, "before")
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        killed = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        assert other.execute(killed).all()
    with database.transaction() as unit:
        mark(unit, "after")
    assert marked(database, "after")


@pytest.mark.parametrize(("own", "idle"), [("", "10"), ("&keepalives_idle=77", "77")])
def test_a_database_host_that_is_gone_without_a_word_is_noticed(
    postgres_url: str, own: str, idle: str
) -> None:
    engine = create_engine_for(postgres_url + own)
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        told = driver.info.get_parameters()
    engine.dispose()
    assert told["keepalives_idle"] == idle
    assert told["tcp_user_timeout"] == "25000"
