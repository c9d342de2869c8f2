"""What the ledger holds: entries to append, records as stored, and the state they lead to."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

ALL_TOPICS: Final = "*"
"""A record about every topic of its channel, present and future."""


class ConsentAction(StrEnum):
    """What happened."""

    REQUESTED = "requested"  # asked for, to be confirmed by double opt-in
    GRANTED = "granted"
    CONFIRMED = "confirmed"  # the double opt-in was completed
    DENIED = "denied"  # asked, and the answer was no
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"  # the basis has lapsed
    OBJECTED = "objected"  # to direct marketing as such: GDPR article 21(2)


class ConsentStatus(StrEnum):
    """Where a contact stands on a channel and topic."""

    GRANTED = "granted"
    REQUESTED = "requested"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    EXPIRED = "expired"


class LegalBasis(StrEnum):
    """What a record rests on."""

    CONSENT = "consent"  # GDPR article 6(1)(a), CASL express consent
    IMPLIED_PURCHASE = "implied_purchase"  # CASL section 10(10): lapses after two years
    IMPLIED_INQUIRY = "implied_inquiry"  # the same: lapses after six months
    SOFT_OPT_IN = "soft_opt_in"  # ePrivacy article 13(2): an earlier sale
    OBJECTION = "objection"  # GDPR article 21(2)


LAPSING: Final = {
    LegalBasis.IMPLIED_PURCHASE: 24,
    LegalBasis.IMPLIED_INQUIRY: 6,
}
"""Months after which implied consent lapses: CASL section 10(10) and (13)."""


def lapses_at(basis: LegalBasis, given_at: datetime) -> datetime | None:
    """When a basis that began at `given_at` lapses; None if only a withdrawal ends it.

    The same day of a later month, or its last day where that month is shorter.
    """
    if basis not in LAPSING:
        return None
    months = given_at.year * 12 + given_at.month - 1 + LAPSING[basis]
    year, month = months // 12, months % 12 + 1
    return given_at.replace(
        year=year, month=month, day=min(given_at.day, monthrange(year, month)[1])
    )


class Actor(StrEnum):
    """Who did what a record tells."""

    PERSON = "person"  # on our pages, by our links, or by a reply
    SHOP = "shop"  # the shop says so, in an authentic event
    IMPORT = "import"  # a file says so
    STAFF = "staff"
    SYSTEM = "system"


class Method(StrEnum):
    """How it was done, where this product saw it; an import states its own words."""

    CHECKOUT_EVENT = "checkout_event"
    UNSUBSCRIBE_EVENT = "unsubscribe_event"
    ONE_CLICK = "one_click"  # RFC 8058
    UNSUBSCRIBE_PAGE = "unsubscribe_page"
    PREFERENCE_PAGE = "preference_page"
    CONFIRM_LINK = "double_opt_in"
    KEYWORD = "keyword"
    FLOW_STEP = "flow_step"
    MERGE = "merge"  # two contacts turned out to be one
    OBJECTION = "objection"


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """A record to append. `details` is not personal; `personal` is erased on request.

    With `unless_known` it is left out where the state says so already: a checkout that is
    updated ten times repeats one answer, it does not give ten.
    """

    contact_id: ContactId
    channel: Channel
    topic: str
    action: ConsentAction
    legal_basis: str
    method: str
    occurred_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] = field(default_factory=dict)
    unless_known: bool = False


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """A record as stored; `personal` and `salt` are None once erased (`redacted_at`)."""

    subject_id: str
    seq: int
    channel: Channel
    topic: str
    action: ConsentAction
    legal_basis: str
    method: str
    occurred_at: datetime
    recorded_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] | None = None
    salt: str | None = None
    commitment: str = ""
    previous: str = ""
    hash: str = ""
    redacted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConsentState:
    """The fold for one channel and topic, and the record that decided it."""

    contact_id: ContactId
    channel: Channel
    topic: str
    status: ConsentStatus
    legal_basis: str
    subject_id: str
    seq: int
    changed_at: datetime
    expires_at: datetime | None = None
