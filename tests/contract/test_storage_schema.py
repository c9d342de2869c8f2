"""Migrations make the declared schema, and the hot statements use its indexes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, Table, event, inspect, text
from sqlalchemy.exc import OperationalError

from orchestrator.domain.enrolments import EnrolmentUpdate
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.events import ContactFields
from orchestrator.domain.flows import Channel
from orchestrator.domain.messages import CancelledReason, MessageState
from orchestrator.ports import MessageChange
from orchestrator.storage import migrate, tables
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.migrate import SchemaState

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def described(engine: Engine) -> Any:
    """Everything the database itself says of our tables, conditions of indexes included."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%'")
            )
            found = {
                name: " ".join(sorted((sql or "").replace(",", " ").split())) for name, sql in rows
            }
            return {name: sql for name, sql in found.items() if "alembic" not in name}
        columns = connection.execute(
            text(
                "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable,"
                " column_default FROM information_schema.columns WHERE table_schema = 'public'"
            )
        ).all()
        indexes = connection.execute(
            text("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        ).all()
        storage = connection.execute(
            text("SELECT relname, reloptions::text FROM pg_class WHERE reloptions IS NOT NULL")
        ).all()
        every = [*columns, *indexes, *storage]
        return sorted(str(row) for row in every if "alembic" not in str(row))


def test_migrations_make_exactly_the_declared_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    migrated = described(engine)
    for one in inspect(engine).get_table_names():
        if one != "alembic_version":
            with engine.begin() as connection:
                connection.exec_driver_sql(f"DROP TABLE {one}")
    tables.metadata.create_all(engine)
    assert described(engine) == migrated


def test_an_empty_database_is_created_and_then_current(empty_database_url: str) -> None:
    assert migrate.state(empty_database_url) is SchemaState.EMPTY
    assert migrate.create_if_empty(empty_database_url) is SchemaState.EMPTY
    assert migrate.state(empty_database_url) is SchemaState.CURRENT
    assert migrate.create_if_empty(empty_database_url) is SchemaState.CURRENT
    migrate.upgrade(empty_database_url)


def test_looking_at_a_database_file_that_does_not_exist_makes_none(
    sqlite_url: str, tmp_path: Any
) -> None:
    assert migrate.state(sqlite_url) is SchemaState.EMPTY
    assert list(tmp_path.iterdir()) == []


def set_revision(url: str, revision: str) -> None:
    engine = create_engine_for(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    engine.dispose()


def test_a_database_of_a_newer_release_is_recognised_and_refused(database_url: str) -> None:
    set_revision(database_url, "9999")
    assert migrate.state(database_url) is SchemaState.NEWER
    with pytest.raises(ConfigurationError, match="newer release"):
        migrate.upgrade(database_url)


def test_a_database_of_an_older_release_is_recognised(database_url: str) -> None:
    set_revision(database_url, "0001")
    assert migrate.state(database_url) is SchemaState.OLDER


def test_somebody_elses_tables_are_not_taken_for_an_empty_database(
    empty_database_url: str,
) -> None:
    engine = create_engine_for(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE message (body text)"))
    engine.dispose()
    assert migrate.state(empty_database_url) is SchemaState.NEWER


def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError("CREATE", None, Exception("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr("alembic.runtime.migration.MigrationContext._ensure_version_table", fail)
        with pytest.raises(Exception, match="refused"):
            migrate.upgrade(empty_database_url)
    assert migrate.state(empty_database_url) is SchemaState.EMPTY


def test_every_unique_key_includes_its_shard() -> None:
    unsharded = {
        "consent_checkpoint",
        "consent_checkpoint_head",
        "flow_version",
        "live_version",
    }  # the same everywhere, or about every shard at once
    for one in tables.metadata.sorted_tables:
        for columns in unique_keys(one):
            assert "shard" in columns or one.name in unsharded, (one.name, columns)


def unique_keys(table: Table) -> list[set[str]]:
    indexes = [index for index in table.indexes if index.unique]
    constraints = [one for one in table.constraints if one.__visit_name__ == "unique_constraint"]
    keys = [table.primary_key, *indexes, *constraints]
    return [{column.name for column in key.columns} for key in keys]  # type: ignore[attr-defined]


Statement = tuple[str, Any]


@contextmanager
def recorded(engine: Engine) -> Iterator[list[Statement]]:
    """The statements that reach the database meanwhile, with their parameters."""
    found: list[Statement] = []

    def record(_connection: Any, _cursor: Any, sql: str, values: Any, *_more: Any) -> None:
        if sql.startswith(("SELECT", "UPDATE", "WITH")) and "advisory" not in sql:
            found.append((sql, values))

    event.listen(engine, "before_cursor_execute", record)
    yield found
    event.remove(engine, "before_cursor_execute", record)


def plan_of(connection: Connection, statement: Statement) -> str:
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    sql, values = statement
    return "\n".join(str(row) for row in connection.exec_driver_sql(explain + sql, values))


HOT: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "claim runs": lambda unit, _run, _message, now: unit.enrolments.claim_due(now, 9, HOUR, "t"),
    "claimed": lambda unit, run, _message, _now: unit.enrolments.claimed("t", [run.contact_id]),
    "live runs": lambda unit, run, _message, _now: unit.enrolments.live_of([run.contact_id]),
    "last entries": lambda unit, run, _message, _now: unit.enrolments.last_entries(
        [(run.flow, run.contact_id, run.key)]
    ),
    "waiting in": lambda unit, run, _message, _now: unit.enrolments.contacts_in([run.flow]),
    "of contact": lambda unit, run, _message, _now: unit.enrolments.of_contact(run.contact_id),
    "wake": lambda unit, run, _message, now: unit.enrolments.wake([run.id], now),
    "save": lambda unit, run, _message, now: unit.enrolments.save(
        [EnrolmentUpdate(run.id, "x", now, now, {})]
    ),
    "claim messages": lambda unit, _run, _message, now: unit.messages.claim_due(now, 9, HOUR, "t"),
    "mark sending": lambda unit, _run, message, now: unit.messages.mark_sending(
        {message.id: {}}, "t", now, HOUR
    ),
    "apply": lambda unit, _run, message, now: unit.messages.apply(
        [MessageChange(message.id, MessageState.SENT, frozenset({MessageState.SENDING}))], now
    ),
    "cancel": lambda unit, run, _message, now: unit.messages.cancel_waiting(
        [run.id], CancelledReason.EXITED, now
    ),
    "in doubt": lambda unit, _run, _message, now: unit.messages.expired_sending(now, 9),
    "of runs": lambda unit, run, _message, _now: unit.messages.of_enrolments([run.id]),
    "waiting contacts": lambda unit, _run, _message, _now: unit.events.lock_waiting_contacts(9),
    "unprocessed": lambda unit, run, _message, _now: unit.events.unprocessed([run.contact_id]),
    "nameless": lambda unit, _run, _message, _now: unit.events.lock_without_contact(9),
    "known": lambda unit, _run, _message, _now: unit.events.known([("shop", "e1")]),
    "resolve": lambda unit, _run, _message, now: unit.contacts.resolve(
        [ContactFields(email="ada@example.com")], now
    ),
    "at a phone": lambda unit, _run, _message, _now: unit.contacts.at_phone("+358401234567"),
    "latest to": lambda unit, run, _message, _now: unit.messages.latest_to(
        [run.contact_id], Channel.SMS
    ),
    "lock contacts": lambda unit, run, _message, _now: unit.contacts.lock([run.contact_id]),
    "checkouts": lambda unit, _run, _message, _now: unit.purchases.checkouts(["c1"]),
    "ordered": lambda unit, _run, _message, _now: unit.purchases.ordered_checkouts(["c1"]),
    "suppressions": lambda unit, _run, _message, _now: unit.suppressions.find(
        [(Channel.EMAIL, "ada@example.com")]
    ),
}


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_never_scans_a_table(world: Any, database: Any, name: str) -> None:
    engine, now = database.engine, world.clock.now()
    run = world.run(world.contact("ada@example.com"))
    message = world.message(run)
    world.event(run.contact_id, "e1")
    with recorded(engine) as statements, database.transaction() as unit:
        HOT[name](unit, run, message, now)
    assert statements
    # Statistics of one row tell nothing: SQLite plans without any, as shipped, and PostgreSQL
    # is asked whether it could do without a scan.
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement in statements:
            plan = plan_of(connection, statement)
            scanned = re.findall(r"Seq Scan on (\w+)|SCAN (?!each|rows)(\w+)(?! USING)\b", plan)
            assert [one for one in scanned if set(one) & TABLES] == [], plan


TABLES = {*tables.metadata.tables, "due", "before"}


def test_claims_take_the_index_of_what_is_due(engine: Engine, world: Any, database: Any) -> None:
    now = world.clock.now()
    world.message(world.run(world.contact("ada@example.com")))
    with engine.begin() as connection:
        fill(connection, 5000)
    with recorded(engine) as statements, database.transaction() as unit:
        unit.enrolments.claim_due(now, 200, HOUR, "t")
        unit.messages.claim_due(now, 200, HOUR, "t", [Channel.EMAIL])
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plans = [plan_of(connection, one) for one in statements]
    assert "ix_enrolment_due" in plans[0]
    assert all("ix_message_due" in plan for plan in plans[1:])
    assert len(plans) == 3


def fill(connection: Connection, count: int) -> None:
    """Runs of which one in a hundred is due, so that an index is worth its while."""
    rows = [
        {
            "id": f"01930000-0000-7000-8000-{number:012x}",
            "shard": 0,
            "flow": "cart",
            "version": "v",
            "contact_id": f"01930000-0000-7000-8000-{number:012x}",
            "key": "",
            "entry": 1,
            "outputs": {},
            "entered_at": NOW,
            "due_at": NOW + timedelta(minutes=number - count // 100),
            "attempts": 0,
        }
        for number in range(count)
    ]
    connection.execute(tables.enrolment.insert(), rows)
    if connection.dialect.name == "postgresql":  # SQLite plans without statistics, as shipped
        connection.exec_driver_sql("ANALYZE")
