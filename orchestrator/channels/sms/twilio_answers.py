"""What Twilio's answers mean for a message: one table, `docs/channels.md` shows it.

Codes are those of Twilio's error dictionary (twilio.com/docs/api/errors). Twilio splits codes
further from time to time, so one that is not listed has a meaning, too: by its HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from orchestrator.channels.trouble import Trouble
from orchestrator.domain.messages import FailedReason
from orchestrator.observability.redaction import Redactor
from orchestrator.ports import Delivery, DeliveryOutcome

MEND_PAUSE: Final = timedelta(minutes=15)
"""Until the next try of a message, when a person has to mend something first."""
LONGEST_DETAIL: Final = 200

OPTED_OUT: Final = 21610
"""The recipient has sent STOP to this sender."""

INVALID_ADDRESS: Final = frozenset(
    {
        21211,  # "To" is no valid number
        21214,  # "To" cannot be reached
        21217,  # "To" is not in E.164 form
        21263,  # "To" cannot be read
        21265,  # "To" is a short code
        21421,  # the number is not valid
        21614,  # "To" is not a mobile number
        21635,  # "To" is a landline
        30005,  # unknown destination
        30006,  # landline, or a carrier that cannot be reached
    }
)
REJECTED: Final = frozenset(
    {
        21408,  # this region is not permitted to the account
        21602,  # the body is missing
        21605,  # the body is too long
        21612,  # this sender cannot reach this recipient
        21617,  # the body has more than 1,600 characters
        21619,  # body or media are missing
        30003,  # the handset cannot be reached
        30004,  # blocked by the recipient or its carrier
        30007,  # filtered as spam
        30008,  # not delivered, nobody knows why
        30034,  # the sender is not registered for this country (10DLC)
        30036,  # it waited in the queue for longer than it was to be of use
    }
)
SENDER: Final = frozenset(
    {
        21212,  # "From" is no valid number
        21267,  # "From" is no name that may be used
        21601,  # "From" cannot send text messages
        21603,  # "From" is missing
        21606,  # "From" is not a number of this account
        21608,  # a trial account sends to verified numbers alone
        21659,  # "From" is no number of Twilio's
        21660,  # "From" belongs to another account
        21661,  # "From" cannot send text messages
        21701,  # there is no such messaging service
        21703,  # the messaging service has no senders
        21705,  # the messaging service's name is not valid
        21712,  # "From" is not in the messaging service
        30032,  # the toll-free number has not been verified
    }
)
"""A person has to mend the sender; messages of other countries may have another one."""
ACCOUNT: Final = frozenset(
    {
        10001,  # the account is not active
        20003,  # the login is wrong
        20005,  # the account is not active
        20006,  # access denied
        20008,  # test credentials
        20404,  # there is no such account
        30002,  # the account is suspended
    }
)
"""A person has to mend the account: no message fares better."""
LATER: Final = frozenset(
    {
        20429,  # too many requests at once
        20500,  # an error at Twilio
        20503,  # Twilio is not available
        21611,  # this sender's queue is full
        30001,  # the same, found out later
    }
)

_DIGITS: Final = 10
_NO_SENDER: Final = "sender"
_DEAD: Final = frozenset({"failed", "undelivered", "canceled"})
_CREATED: Final = range(200, 300)
_SERVER_ERRORS: Final = range(500, 600)
_TIMED_OUT: Final = 408  # Request Timeout: it did not arrive whole (RFC 9110 section 15.5.9)
_TOO_MANY: Final = 429
_NOT_OURS: Final = frozenset({*range(300, 400), 401, 403, 404, 405, 407})
"""Statuses which say that the address or the account is wrong, whatever the message."""
_REDACTOR: Final = Redactor()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came; header names in lower case."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


def delivery_of(answer: Answer) -> Delivery:
    """What an answer means for the message it is about."""
    told = _document(answer.text)
    if answer.status in _CREATED:
        return _created(told)
    known = _number(told.get("code"))
    detail = _detail(answer.status, known, told.get("message") or told.get("title"))
    if answer.status in _SERVER_ERRORS and known is None and "retry-after" not in answer.headers:
        # Not Twilio's own words: something in between does not know what became of it.
        return Delivery(DeliveryOutcome.UNKNOWN, code=str(answer.status), detail=detail)
    return _refused(answer, known, detail)


def to_mend(detail: str) -> Delivery:
    """A person has to mend the account or its setting: it is never the recipient's fault."""
    code = Trouble.CONFIGURATION.value
    return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=MEND_PAUSE)


def nobody_to_send_from() -> Delivery:
    """A country without a sender; others may have one, so the provider is not rested."""
    detail = "nobody to send from: name a sender in brand.sms, or with ?from="
    return Delivery(DeliveryOutcome.RETRY, code=_NO_SENDER, detail=detail, retry_after=MEND_PAUSE)


def wants_a_person(delivery: Delivery) -> bool:
    """Whether somebody has to mend a sender, or look at a code that nobody has met before."""
    if delivery.reason == FailedReason.PROVIDER_ERROR:
        return True
    return delivery.code in {_NO_SENDER, *map(str, SENDER)}


def _created(told: Mapping[str, Any]) -> Delivery:
    """A message that Twilio has made: mostly queued, sometimes known to be lost at once."""
    sid, status = told.get("sid"), told.get("status")
    name = sid.strip() if isinstance(sid, str) else ""
    if not name:
        detail = "accepted, but the answer names no message"
        return Delivery(DeliveryOutcome.UNKNOWN, code=Trouble.PROTOCOL.value, detail=detail)
    if status not in _DEAD:
        return Delivery(DeliveryOutcome.SENT, name, code=str(status) if status else None)
    known = _number(told.get("error_code"))
    detail = _detail(None, known, f"{status} {told.get('error_message') or ''}")
    return _by_code(known, detail, None) or _rejected(FailedReason.REJECTED, detail, known)


def _refused(answer: Answer, code: int | None, detail: str) -> Delivery:
    pause = _pause(answer.headers)
    settled = _by_code(code, detail, pause)
    if settled is not None:
        return settled
    if answer.status in _NOT_OURS:
        return to_mend(detail)
    if answer.status in {_TIMED_OUT, _TOO_MANY} or answer.status in _SERVER_ERRORS:
        return _later(code or answer.status, detail, pause)
    return _rejected(FailedReason.PROVIDER_ERROR, detail, code or answer.status)


def _by_code(code: int | None, detail: str, pause: timedelta | None) -> Delivery | None:
    """What a listed code means, or None for one that is not."""
    if code == OPTED_OUT:
        return _rejected(FailedReason.REJECTED, detail, code, opted_out=True)
    if code in INVALID_ADDRESS:
        return _rejected(FailedReason.INVALID_ADDRESS, detail, code)
    if code in REJECTED:
        return _rejected(FailedReason.REJECTED, detail, code)
    if code in SENDER:
        return _later(code, detail, MEND_PAUSE)
    if code in ACCOUNT:
        return to_mend(detail)
    if code in LATER:
        return _later(code, detail, pause)
    return None


def _rejected(
    reason: FailedReason, detail: str, code: int | None, *, opted_out: bool = False
) -> Delivery:
    return Delivery(
        DeliveryOutcome.REJECTED,
        code=str(code) if code else None,
        detail=detail,
        reason=reason.value,
        opted_out=opted_out,
    )


def _later(code: int | None, detail: str, pause: timedelta | None) -> Delivery:
    return Delivery(DeliveryOutcome.RETRY, code=str(code), detail=detail, retry_after=pause)


def _document(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


def _pause(headers: Mapping[str, str]) -> timedelta | None:
    """`Retry-After` (RFC 9110 section 10.2.3): seconds, or a date against the answer's own."""
    text = headers.get("retry-after", "")
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text), 86_400))
    try:
        pause = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return max(pause, timedelta())


def _detail(status: int | None, code: int | None, words: object) -> str:
    """One printable line without numbers of people."""
    parts = [str(part) for part in (status, code, words) if part]
    line = _REDACTOR.text(" ".join(" ".join(parts).split()))
    return "".join(letter for letter in line if letter.isprintable())[:LONGEST_DETAIL]
