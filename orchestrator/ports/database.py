"""The unit of work and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol, TypeVar

from orchestrator.ports.audiences import Audiences, PrivacyVersions
from orchestrator.ports.clicks import Clicks
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
from orchestrator.ports.standings import Standings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DueCounts:
    """How much work waits: for `/metrics` and back-pressure."""

    events: int
    enrolments: int
    messages: int
    oldest_due_at: datetime | None


class UnitOfWork(Protocol):
    """One transaction: everything in it happens, or nothing."""

    @property
    def contacts(self) -> Contacts:
        """See `Contacts`."""
        ...

    @property
    def events(self) -> Events:
        """See `Events`."""
        ...

    @property
    def purchases(self) -> Purchases:
        """See `Purchases`."""
        ...

    @property
    def consents(self) -> Consents:
        """See `Consents`."""
        ...

    @property
    def suppressions(self) -> Suppressions:
        """See `Suppressions`."""
        ...

    @property
    def enrolments(self) -> Enrolments:
        """See `Enrolments`."""
        ...

    @property
    def messages(self) -> Messages:
        """See `Messages`."""
        ...

    @property
    def versions(self) -> Versions:
        """See `Versions`."""
        ...

    @property
    def firings(self) -> Firings:
        """See `Firings`."""
        ...

    @property
    def tokens(self) -> UsedTokens:
        """See `UsedTokens`."""
        ...

    @property
    def coupons(self) -> Coupons:
        """See `Coupons`."""
        ...

    @property
    def audiences(self) -> Audiences:
        """See `Audiences`."""
        ...

    @property
    def privacy_versions(self) -> PrivacyVersions:
        """See `PrivacyVersions`."""
        ...

    @property
    def standings(self) -> Standings:
        """See `Standings`."""
        ...

    @property
    def overview(self) -> Overview:
        """See `Overview`."""
        ...

    @property
    def clicks(self) -> Clicks:
        """See `Clicks`."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that can fail alone: an exception undoes it and passes on."""
        ...

    def due_counts(self, now: datetime) -> DueCounts:
        """How much work waits."""
        ...


class Lane(IntEnum):
    """Who writes first where there is one writer."""

    INTAKE = 0  # webhooks, opt-outs
    RESULTS = 1
    ADVANCE = 2
    IMPORT = 3


class Database(Protocol):
    """Where units of work come from."""

    def transaction(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction on the calling thread: commits at the end, rolls back on error.

        Raises TransientError when the database cannot be reached or is full.
        """
        ...

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """One unchanging view of the database, beside the writers; writing in it fails.

        For listings and look-ups: on SQLite it does not wait for the one writer.
        Raises TransientError when the database cannot be reached.
        """
        ...

    async def query(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work`, which only reads, in such a view, off the event loop."""
        ...

    async def run(self, lane: Lane, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a transaction of its own, off the event loop, by order of lane.

        Work that other transactions got in the way of runs again, up to three times: it must
        have no effect outside the transaction.
        """
        ...
