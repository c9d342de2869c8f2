"""The time: the computer's, or the database's where several computers have to agree."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, func, select

from orchestrator.domain.errors import TransientError
from orchestrator.storage.failures import failures_translated

REFRESH_AFTER: Final = timedelta(minutes=1)


class SystemClock:
    """This computer's clock."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        return datetime.now(UTC)


class DatabaseClock:
    """PostgreSQL's clock, without asking it each time: workers on many hosts agree.

    The difference to this process's monotonic clock is measured at the start and, at most
    once a minute, again in the background; `now` itself never waits for the database.
    Raises TransientError when the database cannot be reached at the start.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._measuring = threading.Lock()
        self._measured = self._measure()

    def now(self) -> datetime:
        """The present moment, aware UTC."""
        moment, at = self._measured
        age = timedelta(seconds=time.monotonic() - at)
        if age >= REFRESH_AFTER and self._measuring.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="database clock", daemon=True).start()
        return moment + age

    def _refresh(self) -> None:
        try:
            self._measured = self._measure()
        except TransientError:
            # The old difference serves meanwhile; its age is asked again by the next call.
            pass
        finally:
            self._measuring.release()

    def _measure(self) -> tuple[datetime, float]:
        with failures_translated(), self._engine.connect() as connection:
            before = time.monotonic()
            moment: datetime = connection.scalars(select(func.clock_timestamp())).one()
            after = time.monotonic()
        return moment.astimezone(UTC), (before + after) / 2


def clock_of(engine: Engine) -> SystemClock | DatabaseClock:
    """The clock that everybody who uses this database shares."""
    return DatabaseClock(engine) if engine.dialect.name == "postgresql" else SystemClock()
