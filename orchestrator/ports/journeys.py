"""Stores of runs, messages and versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from orchestrator.domain.enrolments import Enrolment, EnrolmentUpdate, LastEntry, NewEnrolment
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import (
    ContactId,
    EnrolmentId,
    MessageId,
    VersionHash,
)
from orchestrator.domain.messages import (
    CancelledReason,
    Message,
    MessageState,
    NewMessage,
    may_leave,
)


class Enrolments(Protocol):
    """Runs, claimed in batches under leases."""

    def insert(self, rows: Sequence[NewEnrolment]) -> set[EnrolmentId]:
        """Insert runs; one whose (flow, contact, key) is live or entry taken is left out."""
        ...

    def last_entries(
        self, keys: Iterable[tuple[str, ContactId, str]]
    ) -> dict[tuple[str, ContactId, str], LastEntry]:
        """The newest run of each (flow, contact, key)."""
        ...

    def live_of(self, ids: Iterable[ContactId]) -> dict[ContactId, list[Enrolment]]:
        """The live runs of contacts, locked until the transaction ends."""
        ...

    def contacts_in(self, flows: Iterable[str]) -> list[ContactId]:
        """Everybody with a live run of these flows, for events that name nobody."""
        ...

    def claim_due(
        self,
        now: datetime,
        limit: int,
        lease: timedelta,
        token: str,
        tries: Sequence[int] | None = None,
    ) -> list[ContactId]:
        """Lease up to `limit` due runs to `token`, oldest first; returns the contact of each.

        Each claim counts as a try; with `tries` only runs with so many behind them are taken.
        """
        ...

    def park_exhausted(self, now: datetime, tries: int) -> int:
        """Park due runs with `tries` tries behind them that nobody works on; returns how many."""
        ...

    def claimed(self, token: str, ids: Iterable[ContactId]) -> list[Enrolment]:
        """The live runs of these contacts leased to `token`, locked until the transaction ends.

        A run whose contact was merged since the claim is not among them: it comes again when
        its lease has ended.
        """
        ...

    def save(self, updates: Sequence[EnrolmentUpdate]) -> None:
        """Write decisions, give back the leases and clear the count of tries."""
        ...

    def end(self, ids: Iterable[EnrolmentId], reason: str, now: datetime) -> None:
        """End live runs; ended ones stay as they are."""
        ...

    def end_at(self, moments: Mapping[EnrolmentId, datetime], reason: str) -> None:
        """End live runs, each at a moment of its own."""
        ...

    def postpone(self, ids: Iterable[EnrolmentId], until: datetime) -> None:
        """Give back the leases of live runs, not to be claimed before `until`.

        They stay due since when they were, and no try is counted.
        """
        ...

    def wake(self, ids: Iterable[EnrolmentId], now: datetime) -> None:
        """Make live runs due now (or leave them, if due earlier)."""
        ...

    def note(self, outputs: Mapping[EnrolmentId, Mapping[str, Any]]) -> None:
        """Replace the outputs of live runs; nothing else of them changes."""
        ...

    def fail(
        self, ids: Iterable[EnrolmentId], now: datetime, retry_at: datetime, tries: int
    ) -> None:
        """Give back the leases of runs that raised: due again at `retry_at`, parked after `tries`.

        The try itself was counted when the run was claimed.
        """
        ...

    def unpark(self, enrolment_id: EnrolmentId, now: datetime) -> bool:
        """Make a parked run due now, with no tries behind it; False if it is not parked."""
        ...

    def release_leases(self) -> None:
        """Give back all leases: for a daemon that is alone on its database."""
        ...

    def load(self, ids: Iterable[EnrolmentId]) -> dict[EnrolmentId, Enrolment]:
        """Runs by id."""
        ...

    def of_contact(self, contact_id: ContactId) -> list[Enrolment]:
        """Every run of a person, oldest first."""
        ...

    def next_due_at(self) -> datetime | None:
        """When the next run falls due."""
        ...


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A conditional write: applied only if the message is in one of `leaving`."""

    id: MessageId
    state: MessageState
    leaving: frozenset[MessageState]
    reason: str | None = None
    channel: Channel | None = None
    """Another channel than the one it was queued for."""
    not_before: datetime | None = None
    sent_at: datetime | None = None
    provider: str | None = None
    provider_id: str | None = None
    locale: str | None = None
    decision: Mapping[str, Any] | None = None
    attempts: int | None = None
    """How many tries it has behind it, where one turned out to be none."""

    def __post_init__(self) -> None:
        """A move that does not exist is a defect: refused before it can be written."""
        if not may_leave(self.leaving, self.state):
            raise ValueError(f"no message goes from {sorted(self.leaving)} to {self.state}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand a message to a provider. `outcome` is sent, failed, retry or unknown."""

    message_id: MessageId
    number: int
    provider: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What to list; everything is optional. `limit` None means all.

    `before` is the last message of the page before, in a listing of the newest first.
    """

    contact_id: ContactId | None = None
    flow: str | None = None
    states: frozenset[MessageState] = frozenset()
    since: datetime | None = None
    limit: int | None = None
    newest_first: bool = False
    before: MessageId | None = None


class Messages(Protocol):
    """The outbox and the record of what became of each message."""

    def insert(self, rows: Sequence[NewMessage], now: datetime) -> set[MessageId]:
        """Queue messages; one whose (run, step, channel) exists already is left out."""
        ...

    def claim_due(
        self,
        now: datetime,
        limit: int,
        lease: timedelta,
        token: str,
        channels: Collection[Channel] | None = None,
    ) -> list[Message]:
        """Lease queued and held messages whose time has come, by priority, then age.

        Of these channels alone, or of any.
        """
        ...

    def mark_sending(
        self,
        decisions: Mapping[MessageId, Mapping[str, Any]],
        token: str,
        now: datetime,
        lease: timedelta,
    ) -> set[MessageId]:
        """`sending` for those still leased to `token` whose run is live; returns which."""
        ...

    def apply(self, changes: Sequence[MessageChange], now: datetime) -> set[MessageId]:
        """Conditional writes; gives back leases. Returns the ids that changed."""
        ...

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Insert tries."""
        ...

    def cancel_waiting(
        self, ids: Iterable[EnrolmentId], reason: CancelledReason, now: datetime
    ) -> set[MessageId]:
        """Cancel the queued and held messages of runs."""
        ...

    def all_sending(self) -> list[Message]:
        """Every message that is `sending`, whatever its lease."""
        ...

    def release_leases(self) -> None:
        """Give back the leases of all waiting messages: for a daemon that is alone."""
        ...

    def expired_sending(self, now: datetime, limit: int) -> list[Message]:
        """Messages `sending` under an expired lease: nobody knows what became of them."""
        ...

    def of_enrolments(
        self, ids: Iterable[EnrolmentId], besides: Iterable[MessageId] = ()
    ) -> dict[EnrolmentId, list[Message]]:
        """The messages of runs, oldest first, but for those that are known already."""
        ...

    def load(self, ids: Iterable[MessageId]) -> dict[MessageId, Message]:
        """Messages by id."""
        ...

    def latest_to(self, ids: Iterable[ContactId], channel: Channel) -> Message | None:
        """The message on a channel that any of these contacts was sent last."""
        ...

    def marketing_since(
        self, ids: Iterable[ContactId], since: datetime
    ) -> dict[tuple[ContactId, Channel], list[datetime]]:
        """When each contact's marketing messages began to be sent after `since`, by channel.

        What failed, was cancelled or refused is not among them; what is in doubt is.
        """
        ...

    def due_marketing(
        self, ids: Iterable[ContactId], now: datetime, besides: Iterable[MessageId] = ()
    ) -> list[Message]:
        """The contacts' marketing messages that wait and are due, but for those known already."""
        ...

    def find(self, wanted: MessageFilter) -> list[Message]:
        """Messages for listings."""
        ...


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A published flows file with the templates it needs."""

    hash: VersionHash
    name: str
    source: str
    templates: Mapping[str, str]


class Versions(Protocol):
    """Content-addressed flows and templates, and which of them is live."""

    def save(self, version: StoredVersion, now: datetime) -> None:
        """Store a version; storing it again changes nothing."""
        ...

    def publish(self, version: VersionHash, expected: int, by: str, now: datetime) -> bool:
        """Make a version live if revision `expected` is still the newest (0: none yet)."""
        ...

    def live(self) -> tuple[int, VersionHash] | None:
        """The newest revision and its version."""
        ...

    def live_at(self, moment: datetime) -> VersionHash | None:
        """The version that was live at a moment; the first one for what was before it."""
        ...

    def load(self, version: VersionHash) -> StoredVersion | None:
        """A version by its hash."""
        ...


class Firings(Protocol):
    """Schedule firings and the watermarks of periodic work."""

    def fire(self, flow: str, scheduled_at: datetime, now: datetime) -> bool:
        """Record a firing; False if somebody did already."""
        ...

    def watermark(self, name: str) -> str | None:
        """How far a periodic task has come."""
        ...

    def set_watermark(self, name: str, value: str, now: datetime) -> None:
        """Remember how far it has come."""
        ...


class Coupons(Protocol):
    """Coupon codes and who holds them."""

    def assign(
        self,
        contact_id: ContactId,
        enrolment_id: EnrolmentId,
        step: str,
        code: str,
        pool: str,
        expires_at: datetime | None,
        now: datetime,
    ) -> None:
        """Record that a run's step gave a code; repeating it changes nothing."""
        ...
