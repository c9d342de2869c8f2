"""Transactions: one writer on SQLite, a few on PostgreSQL, behind the same methods."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Select, bindparam, func, select, true

from orchestrator.domain.errors import TransientError
from orchestrator.ports.audiences import Audiences, PrivacyVersions
from orchestrator.ports.clicks import Clicks
from orchestrator.ports.database import DueCounts, Lane, UnitOfWork
from orchestrator.ports.journeys import Coupons, Enrolments, Firings, Messages, Versions
from orchestrator.ports.overview import Overview
from orchestrator.ports.people import (
    Consents,
    Contacts,
    Events,
    Purchases,
    Suppressions,
    UsedTokens,
)
from orchestrator.ports.runtime import Clock, Ids
from orchestrator.ports.standings import Standings
from orchestrator.storage.audiences import SqlAudiences, SqlPrivacyVersions
from orchestrator.storage.clicks import SqlClicks
from orchestrator.storage.contacts import SqlContacts
from orchestrator.storage.coupons import SqlCoupons
from orchestrator.storage.engine import BUSY_SECONDS, READ_ONLY
from orchestrator.storage.enrolments import SqlEnrolments
from orchestrator.storage.events import SqlEvents
from orchestrator.storage.failures import Overtaken, failures_translated
from orchestrator.storage.lanes import Lanes
from orchestrator.storage.ledger import SqlConsents
from orchestrator.storage.messages import SqlMessages
from orchestrator.storage.overview import SqlOverview
from orchestrator.storage.purchases import SqlPurchases
from orchestrator.storage.standings import SqlStandings
from orchestrator.storage.suppressions import SqlSuppressions
from orchestrator.storage.tables import enrolment, event, message
from orchestrator.storage.tables.journeys import DUE_MESSAGE
from orchestrator.storage.tokens import SqlUsedTokens
from orchestrator.storage.versions import SqlFirings, SqlVersions

T = TypeVar("T")

TRIES: Final = 3
"""How often work runs that other transactions got in the way of."""
_PAUSE: Final = 0.05  # seconds, at most, times the number of the try
_WRITERS: Final = 4
_READERS: Final = 2


class SqlUnitOfWork:
    """`ports.UnitOfWork` on one connection."""

    def __init__(
        self, connection: Connection, clock: Clock, ids: Ids, suppression_key: bytes
    ) -> None:
        self._connection = connection
        self.consents: Consents = SqlConsents(connection)
        self.contacts: Contacts = SqlContacts(connection, ids, self.consents.refold)
        self.events: Events = SqlEvents(connection, clock)
        self.purchases: Purchases = SqlPurchases(connection)
        self.suppressions: Suppressions = SqlSuppressions(connection, suppression_key)
        self.enrolments: Enrolments = SqlEnrolments(connection)
        self.messages: Messages = SqlMessages(connection)
        self.versions: Versions = SqlVersions(connection)
        self.firings: Firings = SqlFirings(connection)
        self.tokens: UsedTokens = SqlUsedTokens(connection)
        self.coupons: Coupons = SqlCoupons(connection, ids)
        self.audiences: Audiences = SqlAudiences(connection)
        self.privacy_versions: PrivacyVersions = SqlPrivacyVersions(connection)
        self.standings: Standings = SqlStandings(connection)
        self.overview: Overview = SqlOverview(connection, self.contacts)
        self.clicks: Clicks = SqlClicks(connection)

    @property
    def connection(self) -> Connection:
        """For statements of this package that no port offers."""
        return self._connection

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that can fail alone: an exception undoes it and passes on."""
        with failures_translated(), self._connection.begin_nested():
            yield

    def due_counts(self, now: datetime) -> DueCounts:
        """How much work waits."""
        row = self._connection.execute(_due(), {"now": now}).one()
        oldest = [moment for moment in (row.oldest_run, row.oldest_message) if moment is not None]
        return DueCounts(row.events, row.enrolments, row.messages, min(oldest, default=None))


@cache
def _due() -> Select[Any]:
    """One statement, built once: simulations ask it at every moment."""
    v, e, m = event.c, enrolment.c, message.c
    waiting = (v.processed_at.is_(None), v.parked_at.is_(None))
    runs = (e.ended_at.is_(None), e.parked_at.is_(None), e.due_at <= bindparam("now"))
    sendable = (DUE_MESSAGE, m.not_before <= bindparam("now"))
    events = select(func.count().label("events")).select_from(event).where(*waiting).subquery()
    enrolments = (
        select(func.count().label("enrolments"), func.min(e.due_at).label("oldest_run"))
        .where(*runs)
        .subquery()
    )
    messages = (
        select(func.count().label("messages"), func.min(m.not_before).label("oldest_message"))
        .where(*sendable)
        .subquery()
    )
    beside = events.join(enrolments, true()).join(messages, true())
    return select(events, enrolments, messages).select_from(beside)


class SqlDatabase:
    """`ports.Database` on an engine of `create_engine_for`.

    `suppression_key` keys the hashes of suppressed addresses. Close it to stop its threads.
    """

    def __init__(self, engine: Engine, clock: Clock, ids: Ids, suppression_key: bytes) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{READ_ONLY: True})
        self._clock = clock
        self._ids = ids
        self._suppression_key = suppression_key
        one_writer = engine.dialect.name == "sqlite"
        # SQLite would let a second writer poll for the lock; ours queue for this one instead.
        self._turn: AbstractContextManager[object] = _Turn() if one_writer else nullcontext()
        self._writers = Lanes("database writer", 1 if one_writer else _WRITERS)
        self._readers = Lanes("database reader", _READERS)

    @property
    def engine(self) -> Engine:
        """The engine, for what this package does outside units of work."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[UnitOfWork]:
        """A transaction on the calling thread: commits at the end, rolls back on error.

        Raises TransientError when the database cannot be reached or is full.
        """
        with self._turn, failures_translated(), self._engine.begin() as connection:
            yield self._unit(connection)

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        """One unchanging view of the database, beside the writers; writing in it fails."""
        with failures_translated(), self._reading.begin() as connection:
            yield self._unit(connection)

    async def run(self, lane: Lane, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a transaction of its own, off the event loop, by order of lane.

        Work that other transactions got in the way of runs again, up to three times.
        """
        future = self._writers.submit(lane, lambda: self._tried(work))
        return await asyncio.wrap_future(future)

    async def query(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work`, which only reads, off the event loop and beside the writers."""

        def reading() -> T:
            with self.read() as unit:
                return work(unit)

        return await asyncio.wrap_future(self._readers.submit(Lane.INTAKE, reading))

    def waiting(self) -> int:
        """How many pieces of work have not begun."""
        return self._writers.waiting()

    def close(self, timeout: float | None = None) -> bool:
        """Finish what was accepted, refuse the rest, and let go of every connection.

        False if `timeout` seconds were too few: work is still under way.
        """
        done = self._writers.close(timeout) and self._readers.close(timeout)
        self._engine.dispose()
        return done

    def _tried(self, work: Callable[[UnitOfWork], T]) -> T:
        for tried in range(1, TRIES):
            try:
                return self._once(work)
            except Overtaken:
                time.sleep(random.uniform(0, _PAUSE * tried))  # noqa: S311 - to part two rivals
        return self._once(work)

    def _once(self, work: Callable[[UnitOfWork], T]) -> T:
        with self.transaction() as unit:
            return work(unit)

    def _unit(self, connection: Connection) -> SqlUnitOfWork:
        return SqlUnitOfWork(connection, self._clock, self._ids, self._suppression_key)


class _Turn:
    """A lock that tells a caller who already holds it instead of waiting for ever."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("a transaction inside a transaction: use a savepoint")
        if not self._lock.acquire(timeout=BUSY_SECONDS * 2):
            raise TransientError("the database's only writer is busy")
        self._holder = threading.get_ident()

    def __exit__(self, *_error: object) -> None:
        self._holder = None
        self._lock.release()
