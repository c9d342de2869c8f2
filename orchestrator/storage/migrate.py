"""The database's schema: which revision it has, and how it gets the newest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, inspect, select

from orchestrator.domain.errors import ConfigurationError
from orchestrator.storage.engine import READ_ONLY, create_engine_for, sqlite_file
from orchestrator.storage.failures import failures_translated
from orchestrator.storage.tables import metadata

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6F726368  # "orch": of two upgrades at once the second waits


class SchemaState(StrEnum):
    """What a database holds, seen from this release."""

    EMPTY = "empty"  # nothing of ours
    CURRENT = "current"
    OLDER = "older"  # `db upgrade` brings it here
    NEWER = "newer"  # made by a newer release, or not by this program


def state(url: str) -> SchemaState:
    """Look without changing anything.

    Raises TransientError when the database cannot be reached.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return SchemaState.EMPTY
    with _connected(url, reading=True) as connection:
        return _state_of(connection)


def upgrade(url: str) -> None:
    """Bring the schema to this release's revision, whole or not at all.

    Raises ConfigurationError for a database that a newer release has changed, TransientError
    when it cannot be reached.
    """
    with _connected(url) as connection:
        _upgrade(connection)


def create_if_empty(url: str) -> SchemaState:
    """Create the schema of an empty database; returns the state found before."""
    with _connected(url) as connection:
        found = _state_of(connection)
        if found is SchemaState.EMPTY:
            _upgrade(connection)
        return found


@contextmanager
def _connected(url: str, *, reading: bool = False) -> Iterator[Connection]:
    engine = create_engine_for(url)
    try:
        chosen = engine.execution_options(**{READ_ONLY: reading})
        with failures_translated(), chosen.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _state_of(connection: Connection) -> SchemaState:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        ours = set(inspect(connection).get_table_names()) & set(metadata.tables)
        return SchemaState.NEWER if ours else SchemaState.EMPTY
    scripts = ScriptDirectory.from_config(_config(connection))
    if revision == scripts.get_current_head():
        return SchemaState.CURRENT
    try:
        known = scripts.get_revision(revision)
    except CommandError:
        known = None
    return SchemaState.NEWER if known is None else SchemaState.OLDER


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    if _state_of(connection) is SchemaState.NEWER:
        raise ConfigurationError(
            "ORCHESTRATOR_DATABASE_URL: the database was made by a newer release or another "
            "program; run the release it belongs to, or name another database"
        )
    command.upgrade(_config(connection), "head")
