"""Migrations make the declared schema, and the hot statements use its indexes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, Table, inspect, text
from sqlalchemy.exc import OperationalError

from orchestrator.domain.errors import ConfigurationError
from orchestrator.storage import migrate, tables
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.enrolments import claim_statement
from orchestrator.storage.migrate import SchemaState

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


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


def plan_of(connection: Connection, statement: Any) -> str:
    compiled = statement.compile(connection, compile_kwargs={"render_postcompile": True})
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    parameters = compiled.construct_params()
    types = {name: bind.type for name, bind in compiled.binds.items()}
    bound = {
        name: (
            processor(value)
            if (
                processor := types[name]
                .dialect_impl(connection.dialect)
                .bind_processor(connection.dialect)
            )
            else value
        )
        for name, value in parameters.items()
    }
    if connection.dialect.name == "sqlite":
        values: Any = tuple(bound[name] for name in compiled.positiontup or ())
    else:
        values = bound
    rows = connection.exec_driver_sql(explain + str(compiled), values)
    return "\n".join(str(row) for row in rows)


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


@pytest.mark.parametrize("count", [1, 5000])
def test_claiming_due_runs_reads_the_partial_index(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        fill(connection, count)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        claim = claim_statement(connection, NOW, 200).values(lease_token="t")
        plan = plan_of(connection, claim)
    assert "ix_enrolment_due" in plan
    assert "SCAN enrolment" not in plan
    assert "Seq Scan" not in plan
