"""People as journeys see them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId

IDENTITY_KINDS: Final = ("id", "email", "phone")
"""Ways to recognise a person, strongest first; `id` is the shop's own."""

_LONGEST_EMAIL: Final = 254  # RFC 5321 section 4.5.3.1.3, without its angle brackets
_BARRED: Final = r"\x00-\x20\x7f-\xa0\s@<>(),;:\"\[\]\\"
_LABEL: Final = rf"[^{_BARRED}.]"
_EMAIL: Final = re.compile(rf"[^{_BARRED}]{{1,64}}@(?:{_LABEL}{{1,63}}\.)+{_LABEL}{{2,63}}")


def normalise_email(text: str) -> str | None:
    """The address in the form in which addresses are compared, or None if it is none.

    The whole address is in lower case: RFC 5321 section 2.4 lets the local part differ by
    case, but no mailbox provider makes use of it, and shops spell one person both ways. It is
    not case-folded, which would turn one domain into another (straße, strasse).
    """
    address = unicodedata.normalize("NFC", text.strip().lower())
    if len(address.encode("utf-8", "replace")) > _LONGEST_EMAIL or not _EMAIL.fullmatch(address):
        return None
    return address


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """What a person has bought; money is in the brand's currency."""

    count: int = 0
    total: Decimal = Decimal(0)
    first_at: datetime | None = None
    last_at: datetime | None = None
    skus: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """A person; a missing field is one nobody has told us."""

    id: ContactId
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    locale: str | None
    timezone: str | None
    country: str | None
    tracking: bool
    tags: tuple[str, ...]
    attributes: Mapping[str, Any]
    source: Mapping[str, Any]
    orders: OrderHistory
    created_at: datetime
    last_seen_at: datetime | None
    erased_at: datetime | None = None
    merged_into: ContactId | None = None
    external_id: str | None = field(default=None)

    def address(self, channel: Channel) -> str | None:
        """Where the person is reached on a channel."""
        return self.email if channel is Channel.EMAIL else self.phone

    @property
    def label(self) -> str:
        """How listings name the person: email address, else phone, else id."""
        return self.email or self.phone or self.id


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which contact an identity led to; `merged` are contacts absorbed on the way."""

    contact_id: ContactId
    created: bool = False
    merged: tuple[ContactId, ...] = ()
