"""Databases, opened and of the right schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.errors import ConfigurationError
from orchestrator.ports import Clock, Ids
from orchestrator.settings import Settings
from orchestrator.storage import migrate
from orchestrator.storage.clock import clock_of
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.expression_sql import register_functions
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.ledger_signing import HmacCheckpointSigner
from orchestrator.storage.unit_of_work import SqlDatabase

_UPGRADE: Final = "run `orchestrator db upgrade` with this program's version"
_DOWNGRADE: Final = (
    "it was made by a newer version of this program, or by another one;"
    " `orchestrator db upgrade` cannot go back: start that version, or name another database"
)


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """A database whose schema is this program's."""

    database: SqlDatabase
    clock: Clock
    ids: Ids


@contextmanager
def open_database(
    settings: Settings,
    clock: Clock | None = None,
    ids: Ids | None = None,
    kind: type[SqlDatabase] = SqlDatabase,
) -> Iterator[OpenDatabase]:
    """Open the database; an empty one gets its schema, another schema than ours is refused.

    Without a clock it is the one that everybody who uses this database shares. Raises
    ConfigurationError.
    """
    url = settings.database_url.get_secret_value()
    match migrate.create_if_empty(url):
        case migrate.SchemaState.OLDER:
            raise ConfigurationError(f"the database has an older schema: {_UPGRADE}")
        case migrate.SchemaState.NEWER:
            raise ConfigurationError(f"the database has a newer schema: {_DOWNGRADE}")
        case migrate.SchemaState.CURRENT | migrate.SchemaState.EMPTY:
            pass
    engine = create_engine_for(url, register_functions)
    ids = ids or UuidIds()
    clock = clock or clock_of(engine)
    suppression_key = settings.suppression_key.get_secret_value().encode()
    database = kind(engine, clock, ids, suppression_key)
    try:
        yield OpenDatabase(database, clock, ids)
    finally:
        database.close()


def upgrade_database(settings: Settings) -> tuple[str, str]:
    """Bring the schema up to date; returns what it was and what it is."""
    url = settings.database_url.get_secret_value()
    before = migrate.state(url)
    if before is migrate.SchemaState.NEWER:
        raise ConfigurationError(f"the database has a newer schema: {_DOWNGRADE}")
    migrate.upgrade(url)
    return before.value, migrate.state(url).value


def checkpoint_signer(settings: Settings) -> HmacCheckpointSigner:
    """Who signs the consent ledger's checkpoints, by SECRET_KEY."""
    return HmacCheckpointSigner([key.get_secret_value() for key in settings.secret_key])
