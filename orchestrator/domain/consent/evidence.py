"""The proof of a record: who said what, when, where, how, and what they had been told.

GDPR article 7(1) and the regulators' guidance on keeping records; CASL section 13; for SMS in the
United States 47 CFR 64.1200(f)(9).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

from orchestrator.domain.consent.records import Actor

PERSONAL_FIELDS: Final = frozenset(
    {"address_given", "address", "ip", "user_agent", "agent", "person_key"}
)
"""Fields that erasure removes; every other field of the evidence stays in the chain."""


@dataclass(frozen=True, slots=True)
class ConsentEvidence:
    """What proves a record. A field nobody knows is None and is not stored."""

    actor: Actor
    collection_point: str
    """A page's URL, a form, an app's version, a keyword, an import's source."""
    controller: str | None = None
    jurisdiction: str | None = None
    """ISO 3166 country code."""
    jurisdiction_from: str | None = None
    """How it was inferred: `country`, `phone` or `unknown`."""
    wording: str | None = None
    """The exact text that was shown."""
    wording_locale: str | None = None
    privacy_version: str | None = None
    evidence: str | None = None
    """Where the original lies: an event, a file with its line, a message."""
    message_id: str | None = None
    """The message that asked for confirmation."""
    confirmed_at: datetime | None = None
    expires_at: datetime | None = None
    """When the basis lapses; None: only by withdrawal."""
    reason: str | None = None
    stated_at: datetime | None = None
    """The time the source gave, where it lay in the future."""
    person_key: str | None = None
    """The shop's own id of the person."""
    address_given: str | None = None
    address: str | None = None
    """The same, normalised."""
    ip: str | None = None
    user_agent: str | None = None
    agent: str | None = None
    """Who recorded a spoken consent."""

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(details, personal), as JSON values; the wording comes with its SHA-256."""
        known = {name: value for name in _names() if (value := getattr(self, name)) is not None}
        if self.wording is not None:
            known["wording_hash"] = hashlib.sha256(self.wording.encode()).hexdigest()
        details = {name: value for name, value in known.items() if name not in PERSONAL_FIELDS}
        personal = {name: value for name, value in known.items() if name in PERSONAL_FIELDS}
        return plain(details), plain(personal)


@cache
def _names() -> tuple[str, ...]:
    return tuple(item.name for item in fields(ConsentEvidence))


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping that every database gives back as it was: text, whole numbers, truth, null."""
    return {clean(str(name)): _plain(item) for name, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return clean(str(value))


def clean(text: str) -> str:
    """Text without what a database refuses: NUL characters and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode(errors="replace").decode()
