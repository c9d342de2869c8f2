"""A database with the newest schema, seen through the ports, once on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.expression_sql import register_functions
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.unit_of_work import SqlDatabase


class SteppingClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def step(self, by: timedelta) -> datetime:
        self.moment += by
        return self.moment


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def ids() -> UuidIds:
    return UuidIds()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine_for(database_url, register_functions)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: Engine, clock: SteppingClock, ids: UuidIds) -> Iterator[SqlDatabase]:
    database = SqlDatabase(engine, clock, ids, b"a key for tests")
    yield database
    database.close()
