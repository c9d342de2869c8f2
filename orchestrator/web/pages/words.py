"""What the pages call things: states, reasons, events, and how long ago something was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from orchestrator.domain.consent import ConsentAction
from orchestrator.domain.enrolments import EndReason
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.messages import (
    CancelledReason,
    FailedReason,
    HeldReason,
    Message,
    MessageState,
    NotSentReason,
)

CHANNELS: Final = {Channel.EMAIL: "email", Channel.SMS: "SMS", Channel.WHATSAPP: "WhatsApp"}
CLASSES: Final = {
    MessageClass.MARKETING: "Marketing",
    MessageClass.SERVICE: "Service",
    MessageClass.TRANSACTIONAL: "About an order",
    MessageClass.LEGAL: "Legal notice",
}

STATES: Final = {
    MessageState.QUEUED: "queued",
    MessageState.HELD: "held",
    MessageState.SENDING: "sending",
    MessageState.SENT: "sent",
    MessageState.DELIVERED: "delivered",
    MessageState.BOUNCED: "bounced",
    MessageState.COMPLAINED: "complained",
    MessageState.FAILED: "failed",
    MessageState.UNKNOWN: "in doubt",
    MessageState.CANCELLED: "cancelled",
    MessageState.NOT_SENT: "not sent",
}
TONES: Final = {
    MessageState.QUEUED: "calm",
    MessageState.HELD: "wait",
    MessageState.SENDING: "calm",
    MessageState.SENT: "good",
    MessageState.DELIVERED: "good",
    MessageState.BOUNCED: "bad",
    MessageState.COMPLAINED: "bad",
    MessageState.FAILED: "bad",
    MessageState.UNKNOWN: "wait",
    MessageState.CANCELLED: "none",
    MessageState.NOT_SENT: "none",
}
"""The colour beside the word of a state; the word alone says it all."""

REASONS: Final[dict[str, str]] = {
    HeldReason.QUIET_HOURS: "quiet hours",
    HeldReason.RATE: "the provider asked for a pause",
    NotSentReason.ERASED: "the person's data have been erased",
    NotSentReason.UNREACHABLE: "no address to send it to",
    NotSentReason.SUPPRESSED: "the address bounced or complained before",
    NotSentReason.OBJECTED: "they object to marketing",
    NotSentReason.UNCONFIRMED: "they have not confirmed their sign-up",
    NotSentReason.NO_CONSENT: "they have not agreed to this",
    NotSentReason.SUNSET: "no interest shown for too long",
    NotSentReason.HOLDOUT: "in the group that gets nothing, for comparison",
    NotSentReason.EXPIRED: "it could not go out while it was worth sending",
    NotSentReason.LATE: "it could not go out on time",
    NotSentReason.CAP: "enough was sent to them already",
    NotSentReason.LINT: "the message broke a rule",
    NotSentReason.RENDER_ERROR: "the template and the data do not fit together",
    CancelledReason.EXITED: "an exit event came",
    CancelledReason.REPLACED: "they began the journey anew",
    CancelledReason.MERGED: "two people turned out to be one",
    CancelledReason.PAUSED: "the journey was paused",
    CancelledReason.MOVED: "the step is gone in the new version",
    FailedReason.REJECTED: "the provider refused it",
    FailedReason.INVALID_ADDRESS: "the address is not valid",
    FailedReason.PROVIDER_ERROR: "the provider would not take it for a day",
    FailedReason.INTERNAL_ERROR: "an error of ours; `orchestrator retry` tries again",
}

ENDS: Final = {
    EndReason.COMPLETED: "came to the end",
    EndReason.EXITED: "left, as an exit event came",
    EndReason.LEFT: "ended early",
    EndReason.RESTARTED: "began anew",
    EndReason.MERGED: "went on as another person's run",
    EndReason.ERASED: "ended with the erasure",
}

EVENTS: Final = {
    "contact.created": "Became known",
    "contact.updated": "Details changed",
    "contact.subscribed": "Signed up",
    "contact.confirmed": "Confirmed the sign-up",
    "contact.unsubscribed": "Unsubscribed",
    "contact.erased": "Data erased",
    "product.viewed": "Looked at a product",
    "product.restocked": "A product is back in stock",
    "product.price_changed": "A price changed",
    "stock.requested": "Asked to hear of a product",
    "cart.updated": "Changed the cart",
    "checkout.started": "Started a checkout",
    "checkout.updated": "Changed the checkout",
    "checkout.expired": "The checkout expired",
    "order.placed": "Placed an order",
    "order.paid": "Paid an order",
    "order.fulfilled": "An order went out",
    "order.delivered": "An order arrived",
    "order.cancelled": "An order was cancelled",
    "order.refunded": "An order was refunded",
    "review.submitted": "Wrote a review",
    "survey.answered": "Answered a survey",
    "support.opened": "Asked support for help",
    "support.closed": "Support has helped",
    "webinar.registered": "Registered for a webinar",
    "loyalty.tier_reached": "Reached a loyalty tier",
    "message.sent": "A message was sent",
    "message.delivered": "A message arrived",
    "message.opened": "Opened a message",
    "message.clicked": "Clicked in a message",
    "message.bounced": "A message bounced",
    "message.complained": "Reported a message as spam",
    "message.replied": "Replied to a message",
}

CONSENTS: Final = {
    ConsentAction.REQUESTED: "asked for, to be confirmed",
    ConsentAction.GRANTED: "agreed",
    ConsentAction.CONFIRMED: "confirmed",
    ConsentAction.DENIED: "declined",
    ConsentAction.WITHDRAWN: "withdrawn",
    ConsentAction.EXPIRED: "lapsed",
    ConsentAction.OBJECTED: "objected to marketing",
}

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_MONTH: Final = timedelta(days=30)
_SNIPPET: Final = 70
"""How many characters of a text message stand for its subject."""


@dataclass(frozen=True, slots=True)
class When:
    """A moment as a page shows it: told from now, and exactly."""

    iso: str
    exact: str
    words: str
    day: str
    clock: str


def when(at: datetime, now: datetime, zone: tzinfo) -> When:
    """A moment, told in the time zone of the shop."""
    local = at.astimezone(zone)
    return When(
        iso=at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        exact=f"{local:%A}, {local.day} {local:%B %Y, %H:%M:%S %Z}",
        words=_from_now(at, now, local),
        day=f"{local.day} {local:%B %Y}",
        clock=f"{local:%H:%M}",
    )


def _from_now(at: datetime, now: datetime, local: datetime) -> str:
    span = abs(now - at)
    if span < _MINUTE:
        return "just now" if at <= now else "in a moment"
    if span >= _MONTH:
        return f"{local.day} {local:%b %Y}"
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        number = span // unit
        if number:
            told = f"{number} {name}{'' if number == 1 else 's'}"
            return f"{told} ago" if at <= now else f"in {told}"
    return "just now"


def event_words(kind: str) -> str:
    """What happened; an event of the shop's own by its name."""
    return EVENTS.get(kind, f"Event {kind}")


def end_words(reason: str | None) -> str:
    """Why a run is over."""
    return ENDS[EndReason(reason)] if reason in set(EndReason) else (reason or "ended")


def reason_words(state: MessageState, reason: str | None) -> str:
    """Why a message is in its state; empty where that needs no reason."""
    if state is MessageState.HELD and reason == HeldReason.CAP:
        return "until there is room under the cap"
    if state is MessageState.UNKNOWN and not reason:
        return "sent, but no answer came"
    return REASONS.get(reason or "", (reason or "").replace("_", " "))


def message_reason(message: Message) -> str:
    """Why this message is in its state, with what its record adds."""
    told = reason_words(message.state, message.reason)
    problem = message.decision.get("problem")
    return f"{told}: {problem}" if told and isinstance(problem, str) else told


def spaced(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def shortened(text: str) -> str:
    """How a text message begins; it has no subject."""
    words = " ".join(text.split())
    return words if len(words) <= _SNIPPET else words[: _SNIPPET - 1] + "…"
