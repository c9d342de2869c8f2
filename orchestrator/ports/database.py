"""The unit of work and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol, TypeVar

from orchestrator.ports.journeys import Coupons, Enrolments, Firings, Messages, Versions
from orchestrator.ports.people import (
    Consents,
    Contacts,
    Events,
    Purchases,
    Suppressions,
    UsedTokens,
)

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

    contacts: Contacts
    events: Events
    purchases: Purchases
    consents: Consents
    suppressions: Suppressions
    enrolments: Enrolments
    messages: Messages
    versions: Versions
    firings: Firings
    tokens: UsedTokens
    coupons: Coupons

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

    async def run(self, lane: Lane, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a transaction of its own, off the event loop, by order of lane."""
        ...
