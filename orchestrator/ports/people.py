"""Stores of people, their events and their consent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from orchestrator.domain.consent import (
    Checkpoint,
    ConsentEntry,
    ConsentState,
    LedgerRecord,
    VerifyReport,
)
from orchestrator.domain.contacts import Contact, Resolution
from orchestrator.domain.events import ContactFields, Event, IncomingEvent
from orchestrator.domain.expressions import Value
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import (
    ContactId,
    EventId,
)
from orchestrator.domain.purchases import CheckoutState, OrderState
from orchestrator.ports.ledger import CheckpointSigner


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An incoming event with the identities ingest gave it."""

    id: EventId
    contact_id: ContactId | None
    received_at: datetime
    event: IncomingEvent
    processed: bool = False
    """Stored for the record only: journeys do not hear it."""


class Contacts(Protocol):
    """People and what identifies them."""

    def resolve(self, people: Sequence[ContactFields], now: datetime) -> list[Resolution]:
        """Find or create the contact of each, in the order given; identities are normalised.

        Takes identities in sorted order, so that two batches cannot deadlock. Where a
        person's identities lead to several contacts the oldest stays and the merge is
        recorded; identities and ledger subjects then point at it.
        """
        ...

    def find(self, kind: str, value: str) -> ContactId | None:
        """The contact an identity leads to."""
        ...

    def at_phone(self, number: str) -> list[ContactId]:
        """Everybody who is reached at a telephone number, or was recognised by it; by id.

        Several people may share one. Merged and erased contacts are not among them.
        """
        ...

    def load(self, ids: Iterable[ContactId]) -> dict[ContactId, Contact]:
        """Contacts by id; ids that do not exist are left out."""
        ...

    def page(self, after: ContactId | None, limit: int) -> list[Contact]:
        """Up to `limit` contacts in the order of their ids, beyond `after`."""
        ...

    def lock(self, ids: Iterable[ContactId]) -> dict[ContactId, Contact]:
        """Like `load`, holding each row's lock until the transaction ends; in order of id."""
        ...

    def update(self, changes: Mapping[ContactId, Mapping[str, Any]], now: datetime) -> None:
        """Write columns of contacts: `email`, `orders_count`, `tags` and so on."""
        ...


class Events(Protocol):
    """The journal of events."""

    def known(self, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which (source, source id) pairs are stored already."""
        ...

    def insert(self, events: Sequence[NewEvent]) -> set[EventId]:
        """Store events not stored yet; returns the ids of the new ones."""
        ...

    def lock_waiting_contacts(self, limit: int) -> list[ContactId]:
        """Lock up to `limit` contacts that have unprocessed events, skipping locked ones."""
        ...

    def unprocessed(self, ids: Iterable[ContactId]) -> dict[ContactId, list[Event]]:
        """Their unprocessed events in the order received, parked ones left out.

        A person's list ends before the first event that waits for its `retry_at`; contacts
        whose first event waits are not among `lock_waiting_contacts`.
        """
        ...

    def unheard(self, ids: Iterable[ContactId], *, parked: bool) -> dict[ContactId, list[Event]]:
        """Every event of theirs that journeys have not heard yet, in the order received.

        Unlike `unprocessed` it holds those behind one that waits for another try, and, if
        asked, those that were given up: an exit acts from the moment its event was stored.
        """
        ...

    def unheard_nameless(self, types: Iterable[str]) -> list[Event]:
        """Every event of these types that names nobody and that journeys have not heard yet."""
        ...

    def lock_without_contact(self, limit: int) -> list[Event]:
        """Lock unprocessed events that name nobody, skipping locked ones.

        Only those before which no event of somebody is left to hear.
        """
        ...

    def load(self, ids: Iterable[EventId]) -> dict[EventId, Event]:
        """Events by id."""
        ...

    def count(
        self,
        contact_id: ContactId,
        event_type: str,
        window: timedelta,
        where: Mapping[str, Value],
        now: datetime,
    ) -> int:
        """A person's events of a type in `(now - window, now]` whose fields equal `where`."""
        ...

    def of_contact(
        self, contact_id: ContactId, limit: int, before: EventId | None = None
    ) -> list[Event]:
        """A person's events, the newest first; `before` is the last of the page before."""
        ...

    def mark_processed(self, ids: Iterable[EventId], now: datetime) -> None:
        """Journeys have heard these."""
        ...

    def unpark(self, event_id: EventId) -> bool:
        """Let journeys hear a parked event, with no tries behind it; False if it is not parked."""
        ...

    def fail(self, ids: Iterable[EventId], now: datetime, retry_at: datetime, tries: int) -> None:
        """Count a failed try: the event waits until `retry_at`, and after `tries` is parked."""
        ...


class Purchases(Protocol):
    """Checkouts and orders: the current state of what events name."""

    def checkouts(self, ids: Iterable[str]) -> dict[str, CheckoutState]:
        """Checkouts by id, locked until the transaction ends."""
        ...

    def orders(self, ids: Iterable[str]) -> dict[str, OrderState]:
        """Orders by id, locked until the transaction ends."""
        ...

    def ordered_checkouts(self, ids: Iterable[str]) -> set[str]:
        """Which checkouts an order is stored for."""
        ...

    def save_checkouts(self, states: Sequence[CheckoutState]) -> None:
        """Insert or replace."""
        ...

    def save_orders(self, states: Sequence[OrderState]) -> None:
        """Insert or replace."""
        ...


class Consents(Protocol):
    """The consent ledger and its fold."""

    def append(self, entries: Sequence[ConsentEntry], now: datetime) -> list[ConsentState]:
        """Extend the subjects' chains, in order; returns the states that changed."""
        ...

    def states(self, ids: Iterable[ContactId]) -> dict[ContactId, list[ConsentState]]:
        """The current state of each contact; a contact without records has an empty list."""
        ...

    def records(self, contact_id: ContactId) -> list[LedgerRecord]:
        """Every record of a contact, oldest first; erased ones without personal fields."""
        ...

    def refold(self, ids: Iterable[ContactId], now: datetime) -> list[ConsentState]:
        """Compute the states anew; obligatory for the kept contact of a merge.

        Call it in the merge's transaction, once the subjects point at the kept contact and
        while the state rows of the merged one still stand: where one of the two had said no,
        the other's yes does not survive. Removes the merged one's state rows.
        """
        ...

    def erase(self, contact_id: ContactId, now: datetime) -> int:
        """Erase what is personal in a contact's records; returns how many lost it."""
        ...

    def checkpoint(
        self, now: datetime, signer: CheckpointSigner, limit: int = 2000
    ) -> Checkpoint | None:
        """Sign the heads of up to `limit` chains that have grown; None if none has."""
        ...

    def verify(self, signer: CheckpointSigner) -> VerifyReport:
        """Walk every chain and every checkpoint; needs one unchanging view of the database."""
        ...


class Suppressions(Protocol):
    """Addresses that must not be written to, known by keyed hash alone."""

    def find(self, addresses: Iterable[tuple[Channel, str]]) -> dict[tuple[Channel, str], bool]:
        """Suppressed addresses; True where the suppression is hard (stops every class)."""
        ...

    def add(
        self, channel: Channel, address: str, *, reason: str, hard: bool, source: str, now: datetime
    ) -> None:
        """Suppress an address; a hard suppression is never softened."""
        ...


class UsedTokens(Protocol):
    """Single-use tokens."""

    def use(self, token: str, now: datetime, expires_at: datetime | None) -> bool:
        """Spend a token; False if it was spent before."""
        ...
