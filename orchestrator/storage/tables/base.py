"""What the table declarations share."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Column, SmallInteger, Table
from sqlmodel import Field, SQLModel

from orchestrator.storage.types import TextUuid, UtcDateTime

metadata = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Rows that change state in place: leave room for the next version on the same page.
HOT = {"postgresql_with": {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02}}


def table_of(row: type[SQLModel]) -> Table:
    """The Core table behind a row class."""
    return cast("Table", row.__table__)  # type: ignore[attr-defined]


def id_column(*, primary: bool = False, nullable: bool = False) -> Any:
    """A time-ordered UUID: `uuid` on PostgreSQL, 32 hex digits on SQLite."""
    return Field(default=None, sa_column=Column(TextUuid, primary_key=primary, nullable=nullable))


def shard_column() -> Any:
    """The shard, part of every key."""
    return Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))


def moment_column(*, nullable: bool = True) -> Any:
    """An aware UTC moment."""
    return Field(default=None, sa_column=Column(UtcDateTime, nullable=nullable))
