"""Databases without threads, for simulations: what happens in them happens in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, event

from orchestrator.ports import Clock, Ids, Lane, UnitOfWork
from orchestrator.storage.unit_of_work import SqlDatabase

T = TypeVar("T")


class InlineDatabase(SqlDatabase):
    """Does its work on the calling thread, which waits for it.

    A SQLite file loses in a power cut what was written last: whoever simulates begins anew.
    """

    def __init__(self, engine: Engine, clock: Clock, ids: Ids, suppression_key: bytes) -> None:
        super().__init__(engine, clock, ids, suppression_key)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _hurry)

    async def run(self, lane: Lane, work: Callable[[UnitOfWork], T]) -> T:  # noqa: ARG002 - one
        """Run `work` in a transaction of its own, here and now."""
        return self._tried(work)

    async def query(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work`, which only reads, here and now."""
        with self.read() as unit:
            return work(unit)


class ScratchDatabase(InlineDatabase):
    """A SQLite database that can be set back to what it held at one moment, in a millisecond."""

    def __init__(self, engine: Engine, clock: Clock, ids: Ids, suppression_key: bytes) -> None:
        super().__init__(engine, clock, ids, suppression_key)
        self._kept = sqlite3.connect(":memory:")

    def keep(self) -> None:
        """Remember everything as it is now."""
        self._copy(lambda live: live.backup(self._kept))

    def rewind(self) -> None:
        """Make everything as it was when it was kept."""
        self._copy(self._kept.backup)

    def close(self, timeout: float | None = None) -> bool:
        """Let go of the copy, too."""
        self._kept.close()
        return super().close(timeout)

    def _copy(self, copy: Callable[[sqlite3.Connection], None]) -> None:
        connection = self.engine.raw_connection()
        try:
            live = connection.driver_connection
            if not isinstance(live, sqlite3.Connection):
                raise TypeError("a scratch database is a SQLite file")
            live.execute("PRAGMA query_only = 0")
            copy(live)
        finally:
            connection.close()


def _hurry(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
