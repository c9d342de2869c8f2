"""The life of a message: its states, its reasons, and which moves between states exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash


class MessageState(StrEnum):
    """Where a message is; past participles, `sending` and `unknown` apart."""

    QUEUED = "queued"  # waits for a worker
    HELD = "held"  # waits for a moment at which it is allowed
    SENDING = "sending"  # handed to a connection; cannot be recalled
    SENT = "sent"  # the provider took it
    DELIVERED = "delivered"  # the recipient's side took it
    BOUNCED = "bounced"  # the recipient's side refused it later
    COMPLAINED = "complained"  # the recipient called it spam
    FAILED = "failed"  # the provider refused it for good
    UNKNOWN = "unknown"  # in doubt: sent without an answer; never sent again blindly
    CANCELLED = "cancelled"  # its run ended before it was sent
    NOT_SENT = "not_sent"  # the gate refused it


class HeldReason(StrEnum):
    """Why a message waits."""

    QUIET_HOURS = "quiet_hours"
    CAP = "cap"
    RATE = "rate"


class NotSentReason(StrEnum):
    """Why the gate refused a message, in the order in which reasons are given.

    The last three come from outside the gate: a holdout is drawn, lint and rendering fail.
    """

    ERASED = "erased"
    UNREACHABLE = "unreachable"
    SUPPRESSED = "suppressed"
    OBJECTED = "objected"
    UNCONFIRMED = "unconfirmed"
    NO_CONSENT = "no_consent"
    SUNSET = "sunset"
    HOLDOUT = "holdout"
    EXPIRED = "expired"
    LATE = "late"
    CAP = "cap"
    LINT = "lint"
    RENDER_ERROR = "render_error"


class CancelledReason(StrEnum):
    """Why a message was withdrawn before it was sent."""

    EXITED = "exited"
    REPLACED = "replaced"
    MERGED = "merged"
    PAUSED = "paused"
    MOVED = "moved"


class FailedReason(StrEnum):
    """Why a message can never be delivered."""

    REJECTED = "rejected"
    INVALID_ADDRESS = "invalid_address"
    PROVIDER_ERROR = "provider_error"
    INTERNAL_ERROR = "internal_error"


FINAL_STATES = frozenset(
    {
        MessageState.SENT,
        MessageState.DELIVERED,
        MessageState.BOUNCED,
        MessageState.COMPLAINED,
        MessageState.FAILED,
        MessageState.CANCELLED,
        MessageState.NOT_SENT,
    }
)
"""States in which a run passes its send step."""

COUNTED_STATES = frozenset(
    {
        MessageState.SENDING,
        MessageState.SENT,
        MessageState.DELIVERED,
        MessageState.BOUNCED,
        MessageState.COMPLAINED,
        MessageState.UNKNOWN,
    }
)
"""States in which a message takes up a place under its cap."""

WAITING_STATES = frozenset({MessageState.QUEUED, MessageState.HELD})
"""States from which a message can still be cancelled."""

MOVES: Mapping[MessageState, frozenset[MessageState]] = {
    MessageState.QUEUED: frozenset(
        {
            MessageState.HELD,
            MessageState.SENDING,
            MessageState.FAILED,
            MessageState.CANCELLED,
            MessageState.NOT_SENT,
        }
    ),
    MessageState.HELD: frozenset(
        {
            MessageState.QUEUED,
            MessageState.SENDING,
            MessageState.FAILED,
            MessageState.CANCELLED,
            MessageState.NOT_SENT,
        }
    ),
    # Known not to have left: back to queued, to be tried again.
    MessageState.SENDING: frozenset(
        {
            MessageState.SENT,
            MessageState.FAILED,
            MessageState.UNKNOWN,
            MessageState.QUEUED,
            # the provider's report can be quicker than our own write
            MessageState.DELIVERED,
            MessageState.BOUNCED,
            MessageState.COMPLAINED,
        }
    ),
    MessageState.SENT: frozenset(
        {MessageState.DELIVERED, MessageState.BOUNCED, MessageState.COMPLAINED}
    ),
    # Some servers accept first and bounce afterwards.
    MessageState.DELIVERED: frozenset({MessageState.BOUNCED, MessageState.COMPLAINED}),
    MessageState.BOUNCED: frozenset({MessageState.COMPLAINED}),
    MessageState.COMPLAINED: frozenset(),
    MessageState.FAILED: frozenset({MessageState.DELIVERED, MessageState.COMPLAINED}),
    # Settled by a late result, a receipt, or an operator.
    MessageState.UNKNOWN: frozenset(
        {
            MessageState.SENT,
            MessageState.DELIVERED,
            MessageState.BOUNCED,
            MessageState.COMPLAINED,
            MessageState.FAILED,
            MessageState.QUEUED,
        }
    ),
    MessageState.CANCELLED: frozenset(),
    MessageState.NOT_SENT: frozenset(),
}
"""Every move that exists; conditional writes name the states they may leave."""

BY_HAND: Mapping[MessageState, frozenset[MessageState]] = {
    MessageState.FAILED: frozenset({MessageState.QUEUED}),
}
"""`retry`: a person's decision about what failed by an error of ours, before anybody had it."""


@cache
def may_leave(states: frozenset[MessageState], target: MessageState) -> bool:
    """Whether a message may come from each of these states to another, or stay where it is."""
    return all(
        target is state or target in MOVES[state] or target in BY_HAND.get(state, ())
        for state in states
    )


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as a step plans it: the outbox row to insert."""

    id: MessageId
    enrolment_id: EnrolmentId
    contact_id: ContactId
    flow: str
    version: VersionHash
    step: str
    channel: Channel
    template: str
    message_class: MessageClass
    topic: str | None
    priority: int
    not_before: datetime
    expires_at: datetime | None
    variant: str | None = None
    decision: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A message row as read back; `decision` is the gate's record."""

    id: MessageId
    enrolment_id: EnrolmentId
    contact_id: ContactId
    flow: str
    version: VersionHash
    step: str
    channel: Channel
    template: str
    locale: str | None
    variant: str | None
    message_class: MessageClass
    topic: str | None
    priority: int
    state: MessageState
    reason: str | None
    not_before: datetime
    expires_at: datetime | None
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    attempts: int
    provider: str | None
    provider_id: str | None
    decision: Mapping[str, Any]
