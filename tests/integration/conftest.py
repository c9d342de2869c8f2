"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.web_world import World, a_world


@pytest.fixture
def web(_migrated_sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """The web on a fresh SQLite database."""
    with a_world(_migrated_sqlite_url, tmp_path / "outbox") as world:
        yield world
