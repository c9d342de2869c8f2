"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shop import Shop, open_shop
from tests.integration.web_world import World, a_world


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Iterator[Shop]:
    """A shop with a cart journey, on each database."""
    with open_shop(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def web(_migrated_sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """The web on a fresh SQLite database."""
    with a_world(_migrated_sqlite_url, tmp_path / "outbox") as world:
        yield world
