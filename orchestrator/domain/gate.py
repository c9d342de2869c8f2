"""The gate: whether a message may go to this person now, asked last before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never

from orchestrator.domain.consent import Permission, Standing
from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import Channel, IfLate, Lateness, MessageClass
from orchestrator.domain.messages import CancelledReason, HeldReason, Message, NotSentReason

PUNCTUAL: Final = timedelta(minutes=15)
"""How long after it was due a message is still on time."""


@dataclass(frozen=True, slots=True)
class Allow:
    """It may go; `proof` is the ledger record (subject, number) that allows it.

    Only marketing needs one.
    """

    proof: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """It may go later."""

    until: datetime
    reason: HeldReason


@dataclass(frozen=True, slots=True)
class Block:
    """It must not go."""

    reason: NotSentReason


@dataclass(frozen=True, slots=True)
class Cancel:
    """Its run is over."""

    reason: CancelledReason


Verdict = Allow | Hold | Block | Cancel


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gate reads under the contact's lock.

    `suppressed` is None where the address is free, True where it is hard-suppressed.
    """

    message: Message
    contact: Contact
    permission: Permission
    suppressed: bool | None
    exited: bool
    now: datetime
    replaced: bool = False
    """Whether it tells of something that is no longer so: a newer notice goes in its place."""
    channel: Channel | None = None
    """The channel asked about; the message's own where it is None."""
    room_at: datetime | None = None
    """When there is room under the caps again; None where there is room now."""
    if_late: IfLate = field(default_factory=IfLate)


def gate(facts: GateFacts) -> Verdict:
    """The verdict; where several reasons hold, the first in the order of NotSentReason.

    Whoever is erased is told apart even from those whose run is over.
    """
    message, contact = facts.message, facts.contact
    channel = facts.channel or message.channel
    if contact.erased_at is not None:
        return Block(NotSentReason.ERASED)
    if facts.exited:
        return Cancel(CancelledReason.EXITED)
    if facts.replaced:
        return Cancel(CancelledReason.REPLACED)
    if contact.address(channel) is None:
        return Block(NotSentReason.UNREACHABLE)
    if facts.suppressed is not None and _heeds(message.message_class, hard=facts.suppressed):
        return Block(NotSentReason.SUPPRESSED)
    refusal = _refusal(message, facts.permission)
    if refusal is not None:
        return Block(refusal)
    skips = facts.if_late.lateness is Lateness.SKIP
    if message.expires_at is not None and facts.now > message.expires_at:
        return Block(NotSentReason.LATE if skips else NotSentReason.EXPIRED)
    if facts.room_at is not None:
        gone = message.expires_at is not None and facts.room_at > message.expires_at
        return Block(NotSentReason.CAP) if skips or gone else Hold(facts.room_at, HeldReason.CAP)
    return Allow(facts.permission.proof if _needs_consent(message) else None)


def _needs_consent(message: Message) -> bool:
    return message.message_class is MessageClass.MARKETING


def _heeds(message_class: MessageClass, *, hard: bool) -> bool:
    """A hard suppression stops everything; a soft one what is not owed to the person."""
    return hard or message_class in (MessageClass.MARKETING, MessageClass.SERVICE)


def _refusal(message: Message, permission: Permission) -> NotSentReason | None:
    match message.message_class:
        case MessageClass.TRANSACTIONAL | MessageClass.LEGAL:
            return None
        case MessageClass.SERVICE:
            return _SERVICE_REFUSALS.get(permission.standing)
        case MessageClass.MARKETING:
            return _MARKETING_REFUSALS[permission.standing]
        case _:
            assert_never(message.message_class)


# Service messages need no consent, but an opt-out or an objection stops them.
_SERVICE_REFUSALS = {
    Standing.OBJECTED: NotSentReason.OBJECTED,
    Standing.WITHDRAWN: NotSentReason.NO_CONSENT,
}
_MARKETING_REFUSALS = {
    Standing.ALLOWED: None,
    Standing.OBJECTED: NotSentReason.OBJECTED,
    Standing.UNCONFIRMED: NotSentReason.UNCONFIRMED,
    Standing.WITHDRAWN: NotSentReason.NO_CONSENT,
    Standing.EXPIRED: NotSentReason.NO_CONSENT,
    Standing.UNKNOWN: NotSentReason.NO_CONSENT,
}
