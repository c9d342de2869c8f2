"""From records to the state they lead to, and from the state to a permission.

Records are taken in the order of `occurred_at`, then `recorded_at`, number and subject. A
record for `ALL_TOPICS` counts for every topic, named or not. What a record does to where a
topic stands:

| record    | nothing   | granted   | requested | withdrawn  | objected | expired   |
|-----------|-----------|-----------|-----------|------------|----------|-----------|
| requested | requested | kept (1)  | kept      | requested  | kept (1) | requested |
| granted   | granted   | (2)       | granted   | if newer (3) | (4)    | granted   |
| confirmed | –         | (1)       | granted   | –          | (1)      | –         |
| denied    | –         | –         | (5)       | –          | –        | –         |
| withdrawn | withdrawn | withdrawn | withdrawn | –          | –        | withdrawn |
| expired   | –         | expired   | (5)       | –          | –        | –         |
| objected  | objected  | objected  | objected  | objected   | –        | objected  |

1. A request stays open beside a grant or an objection: the confirmation completes it. Without
   an open request a confirmation does nothing; a withdrawal and an objection close it.
2. The basis that lasts longer stays; of equals the earlier.
3. A grant counts only if it happened after the last withdrawal: not before, not at once with it.
4. An objection (GDPR article 21(3)) yields only to what the person does itself, afterwards: a
   page, a confirmation, a keyword. No event, import or other basis lifts it.
5. The request is closed; what stood before it stands again.

A grant whose `expires_at` has passed counts as expired from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from orchestrator.domain.consent.records import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentState,
    ConsentStatus,
    LedgerRecord,
)
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

States = dict[tuple[Channel, str], ConsentState]


def fold(records: Iterable[LedgerRecord], contact_id: ContactId) -> States:
    """The state of every channel and topic that the records speak of (the table above)."""
    ordered = sorted(records, key=_order)
    keys = {(record.channel, record.topic) for record in ordered}
    states: States = {}
    for channel, topic in sorted(keys):
        tally = _Tally()
        for record in ordered:
            if record.channel == channel and record.topic in (topic, ALL_TOPICS):
                tally.take(record)
        state = tally.state(contact_id, channel, topic)
        if state is not None:
            states[channel, topic] = state
    return states


def _order(record: LedgerRecord) -> tuple[datetime, datetime, int, str]:
    return record.occurred_at, record.recorded_at, record.seq, record.subject_id


def expiry(record: LedgerRecord) -> datetime | None:
    """When the basis of a record lapses (its detail `expires_at`, ISO 8601 with zone)."""
    text = record.details.get("expires_at")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


@dataclass(slots=True)
class _Tally:
    """Where one topic stands while its records are read."""

    status: ConsentStatus | None = None
    proof: LedgerRecord | None = None
    expires_at: datetime | None = None
    request: LedgerRecord | None = None
    refused_at: datetime | None = None

    def take(self, record: LedgerRecord) -> None:
        """Apply one record."""
        if self.expires_at is not None and self.expires_at <= record.occurred_at:
            self.status, self.expires_at = ConsentStatus.EXPIRED, None
        match record.action:
            case ConsentAction.REQUESTED:
                self._request(record)
            case ConsentAction.GRANTED:
                self._grant(record)
            case ConsentAction.CONFIRMED:
                self._confirm(record)
            case ConsentAction.DENIED:
                self.request = None
            case ConsentAction.WITHDRAWN:
                self._refuse(record, ConsentStatus.WITHDRAWN)
            case ConsentAction.EXPIRED:
                self._expire(record)
            case ConsentAction.OBJECTED:
                self._refuse(record, ConsentStatus.OBJECTED)
            case _:
                assert_never(record.action)

    def state(self, contact_id: ContactId, channel: Channel, topic: str) -> ConsentState | None:
        """What came of it; an open request shows unless a grant or an objection stands."""
        status, proof, expires_at = self.status, self.proof, self.expires_at
        if self.request and status not in (ConsentStatus.GRANTED, ConsentStatus.OBJECTED):
            status, proof, expires_at = ConsentStatus.REQUESTED, self.request, None
        if status is None or proof is None:
            return None
        return ConsentState(
            contact_id=contact_id,
            channel=channel,
            topic=topic,
            status=status,
            legal_basis=proof.legal_basis,
            subject_id=proof.subject_id,
            seq=proof.seq,
            changed_at=proof.occurred_at,
            expires_at=expires_at,
        )

    def _set(
        self, record: LedgerRecord, status: ConsentStatus, expires_at: datetime | None
    ) -> None:
        self.status, self.proof, self.expires_at = status, record, expires_at

    def _after_refusal(self, record: LedgerRecord) -> bool:
        return self.refused_at is None or record.occurred_at > self.refused_at

    def _request(self, record: LedgerRecord) -> None:
        if self.request is None and self._after_refusal(record):
            self.request = record

    def _grant(self, record: LedgerRecord) -> None:
        by_person = record.details.get("actor") == Actor.PERSON
        if self.status is ConsentStatus.OBJECTED and not by_person:
            return
        if not self._after_refusal(record):
            return
        ends = expiry(record)
        if ends is not None and ends <= record.occurred_at:
            return
        if self.status is not ConsentStatus.GRANTED or _outlasts(ends, self.expires_at):
            self._set(record, ConsentStatus.GRANTED, ends)

    def _confirm(self, record: LedgerRecord) -> None:
        if self.request is None:
            return
        self.request = None
        if self.status is not ConsentStatus.GRANTED or self.expires_at is not None:
            self._set(record, ConsentStatus.GRANTED, None)

    def _refuse(self, record: LedgerRecord, status: ConsentStatus) -> None:
        self.request = None
        self.refused_at = record.occurred_at
        if self.status not in (status, ConsentStatus.OBJECTED):
            self._set(record, status, None)

    def _expire(self, record: LedgerRecord) -> None:
        self.request = None
        if self.status is ConsentStatus.GRANTED:
            self._set(record, ConsentStatus.EXPIRED, None)


def _outlasts(ends: datetime | None, standing: datetime | None) -> bool:
    return standing is not None and (ends is None or ends > standing)


def is_known(entry: ConsentEntry, state: ConsentState | None) -> bool:
    """Whether a grant or request says no more than the state of its own topic does."""
    if state is None or state.expires_at is not None:
        return False
    match entry.action:
        case ConsentAction.GRANTED:
            return state.status is ConsentStatus.GRANTED
        case ConsentAction.REQUESTED:
            return state.status in (ConsentStatus.GRANTED, ConsentStatus.REQUESTED)
        case _:
            return False


def is_stopped(states: Iterable[ConsentState], channel: Channel) -> bool:
    """Whether everything is refused on a channel, topics that come later included."""
    found = {state.topic: state.status for state in states if state.channel is channel}
    return found.get(ALL_TOPICS) in _REFUSED and not _OPEN & {*found.values()}


_OPEN = frozenset({ConsentStatus.GRANTED, ConsentStatus.REQUESTED})
_REFUSED = frozenset({ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED})


class Standing(StrEnum):
    """Whether marketing is allowed, and if not, why."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"  # nobody ever asked, or the answer was no
    UNCONFIRMED = "unconfirmed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


@dataclass(frozen=True, slots=True)
class Permission:
    """A standing and the ledger record (subject, number) that proves it."""

    standing: Standing
    proof: tuple[str, int] | None = None

    @property
    def allowed(self) -> bool:
        """Whether marketing may be sent."""
        return self.standing is Standing.ALLOWED


def permission(
    states: Iterable[ConsentState] | Mapping[tuple[Channel, str], ConsentState],
    channel: Channel,
    topic: str,
    now: datetime,
) -> Permission:
    """What a contact's states allow on a channel and topic; without a state nothing is."""
    rows = states.values() if isinstance(states, Mapping) else states
    found = {row.topic: row for row in rows if row.channel is channel}
    state = found.get(topic) or found.get(ALL_TOPICS)
    if state is None:
        return Permission(Standing.UNKNOWN)
    return Permission(_standing(state, now), (state.subject_id, state.seq))


def _standing(state: ConsentState, now: datetime) -> Standing:
    match state.status:
        case ConsentStatus.GRANTED:
            lapsed = state.expires_at is not None and state.expires_at <= now
            return Standing.EXPIRED if lapsed else Standing.ALLOWED
        case ConsentStatus.REQUESTED:
            return Standing.UNCONFIRMED
        case ConsentStatus.WITHDRAWN:
            return Standing.WITHDRAWN
        case ConsentStatus.OBJECTED:
            return Standing.OBJECTED
        case ConsentStatus.EXPIRED:
            return Standing.EXPIRED
        case _:
            assert_never(state.status)
