"""Opening a database that is not this program's: refused, with the way out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.bootstrap.databases import open_database, upgrade_database
from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import Settings


def _open(settings: Settings) -> None:
    with open_database(settings):
        pass


def _upgrade(settings: Settings) -> None:
    upgrade_database(settings)


@pytest.mark.parametrize(
    ("attempt", "revision", "word"),
    [(_open, "9999", "newer"), (_upgrade, "9999", "newer"), (_open, "0001", "older")],
)
def test_another_schema_is_refused_and_db_upgrade_named(
    tmp_path: Path, attempt: Callable[[Settings], None], revision: str, word: str
) -> None:
    key = SecretStr("only for this test, quite long")
    file = tmp_path / "shop.db"
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{file}"), secret_key=(key,), suppression_key=key
    )
    _open(settings)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(ConfigurationError, match=f"{word} schema.*orchestrator db upgrade"):
        attempt(settings)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    key = SecretStr("only for this test, quite long")
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{tmp_path}"), secret_key=(key,), suppression_key=key
    )
    with pytest.raises(ConfigurationError, match="is a folder"):
        _open(settings)
