"""Statements over many rows at once, whatever their number.

A list travels as one parameter (an array, or JSON text), so that a statement reads the same
for one row and for a thousand, is compiled once, and never meets SQLite's limit of variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    type_coerce,
)
from sqlalchemy import Column as SqlColumn
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.dml import ReturningInsert

from orchestrator.storage.engine import READ_ONLY
from orchestrator.storage.json_text import json_text
from orchestrator.storage.types import UtcDateTime, microseconds

Values = Mapping[str, Any]
AnyRow = Row[*tuple[Any, ...]]
"""A row of any number of columns."""


def on_postgresql(connection: Connection) -> bool:
    """Whether rows can be locked one by one (else SQLite: one writer at a time)."""
    return connection.dialect.name == "postgresql"


def takes_locks(connection: Connection) -> bool:
    """Whether rows read for a change are locked: not by a reader, nor on SQLite."""
    return on_postgresql(connection) and not connection.get_execution_options().get(READ_ONLY)


def among(
    connection: Connection, member: ColumnElement[Any], values: Iterable[Any]
) -> ColumnElement[bool]:
    """`member IN (values)` with one parameter."""
    dialect = connection.dialect.name
    kind = _list_type(dialect, member)
    return _is_in(dialect, member, bindparam(None, listing(dialect, member, values), type_=kind))


def listed(dialect: str, member: ColumnElement[Any], name: str = "ids") -> ColumnElement[bool]:
    """`member IN (the list called name)`, for a statement that is built once and kept.

    Building a statement costs five times as much as running it on a few rows. What is often
    asked is therefore kept for each database, and gets its values when it runs: `listing`.
    """
    return _is_in(dialect, member, bindparam(name, type_=_list_type(dialect, member)))


def listing(dialect: str, member: ColumnElement[Any], values: Iterable[Any]) -> Any:
    """Values as `listed` takes them."""
    if dialect == "postgresql":
        return list(values)
    spelt = _spelling(member.type)
    return json_text(list(values) if spelt is None else [spelt(value) for value in values])


def _list_type(dialect: str, member: ColumnElement[Any]) -> Any:
    return ARRAY(member.type) if dialect == "postgresql" else Text


def _is_in(
    dialect: str, member: ColumnElement[Any], values: BindParameter[Any]
) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return member == any_(values)
    return member.in_(select(func.json_each(values).table_valued("value").c.value))


def rows_of(
    connection: Connection, columns: Sequence[SqlColumn[Any]], rows: Iterable[Values]
) -> FromClause:
    """Rows as a table with these columns, to be joined or to update from."""
    dialect = connection.dialect.name
    return _table(dialect, columns, bindparam(None, recording(dialect, columns, rows), type_=Text))


def recorded(dialect: str, columns: Sequence[SqlColumn[Any]], name: str = "rows") -> FromClause:
    """As `rows_of`, for a statement that is built once and gets its rows from `recording`."""
    return _table(dialect, columns, bindparam(name, type_=Text))


def recording(dialect: str, columns: Sequence[SqlColumn[Any]], rows: Iterable[Values]) -> str:
    """Rows as `recorded` takes them."""
    if dialect == "postgresql":
        return json_text(
            [{one.name: _on_postgresql(row[one.name]) for one in columns} for row in rows]
        )
    spelt = [(one.name, _spelling(one.type)) for one in columns]
    return json_text(
        [
            {name: row[name] if spell is None else spell(row[name]) for name, spell in spelt}
            for row in rows
        ]
    )


def _table(dialect: str, columns: Sequence[SqlColumn[Any]], rows: BindParameter[Any]) -> FromClause:
    if dialect == "postgresql":
        return (
            func.jsonb_to_recordset(cast(rows, JSONB))
            .table_valued(*[column(one.name, one.type) for one in columns], name="rows")
            .render_derived(with_types=True)
        )
    each = func.json_each(rows).table_valued("value", name="each")
    fields = [
        type_coerce(func.json_extract(each.c.value, f"$.{one.name}"), one.type).label(one.name)
        for one in columns
    ]
    return select(*fields).select_from(each).subquery("rows")


def _on_postgresql(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _spelling(kind: Any) -> Callable[[Any], Any] | None:
    """How values of a column's type are spelt on SQLite, inside JSON; None: as they are."""
    if isinstance(kind, UtcDateTime):
        return microseconds
    return _undashed if isinstance(kind, Uuid) else None


def _undashed(value: str | None) -> str | None:
    return None if value is None else value.replace("-", "")


def insert_into(connection: Connection, table: Table) -> PostgresInsert | SqliteInsert:
    """An INSERT that knows ON CONFLICT."""
    return postgres_insert(table) if on_postgresql(connection) else sqlite_insert(table)


def inserting(connection: Connection, table: Table) -> PostgresInsert | SqliteInsert:
    """An INSERT that leaves out rows which break a unique key, kept."""
    return _inserting(connection.dialect.name, table)


@cache
def _inserting(dialect: str, table: Table) -> PostgresInsert | SqliteInsert:
    new = postgres_insert(table) if dialect == "postgresql" else sqlite_insert(table)
    return new.on_conflict_do_nothing()


def upserting(
    connection: Connection, table: Table, key: tuple[str, ...], changed: tuple[str, ...]
) -> PostgresInsert | SqliteInsert:
    """An INSERT that replaces the `changed` columns of a row with the same key, kept."""
    return _upserting(connection.dialect.name, table, key, changed)


@cache
def _upserting(
    dialect: str, table: Table, key: tuple[str, ...], changed: tuple[str, ...]
) -> PostgresInsert | SqliteInsert:
    new = postgres_insert(table) if dialect == "postgresql" else sqlite_insert(table)
    values = {name: new.excluded[name] for name in changed}
    return new.on_conflict_do_update(index_elements=key, set_=values)


def insert_new(
    connection: Connection, table: Table, rows: Sequence[Values], returning: SqlColumn[Any]
) -> set[Any]:
    """Insert the rows that break no unique key; returns a column of those that went in.

    Give rows in the order of their key: two transactions then cannot wait for each other.
    """
    if not rows:
        return set()
    statement = inserting_new(connection, table, returning)
    return set(connection.scalars(statement, [dict(row) for row in rows]).all())


def inserting_new(
    connection: Connection, table: Table, returning: SqlColumn[Any]
) -> ReturningInsert[tuple[Any]]:
    """An INSERT of the rows that break no unique key, kept."""
    return _inserting_new(connection.dialect.name, table, returning)


@cache
def _inserting_new(
    dialect: str, table: Table, returning: SqlColumn[Any]
) -> ReturningInsert[tuple[Any]]:
    return _inserting(dialect, table).returning(returning)


def lock_rows(connection: Connection, table: Table, ids: Iterable[str]) -> None:
    """Lock rows in the order of their ids, before an update that would lock them in any order."""
    if takes_locks(connection):
        wanted = listing(connection.dialect.name, table.c.id, ids)
        connection.execute(_rows_to_lock(connection.dialect.name, table), {"ids": wanted})


@cache
def _rows_to_lock(dialect: str, table: Table) -> Select[Any]:
    wanted = select(table.c.id).where(listed(dialect, table.c.id))
    return wanted.order_by(table.c.id).with_for_update()
