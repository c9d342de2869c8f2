"""The chain: canonical bytes, salted commitments, links, and the root of a checkpoint.

A link is the SHA-256 of the canonical JSON of a record's fields that are not personal, its
number, its commitment and the link before. The commitment is the HMAC-SHA-256 of the personal
fields under a random salt: with fields and salt erased nobody can guess them back, and the
chain still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.domain.consent.evidence import plain
from orchestrator.domain.consent.records import ConsentEntry, LedgerRecord

SALT_BYTES: Final = 16
GENESIS: Final = ""
"""The link before the first record of a chain."""

_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical(value: object) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: the same bytes for the same value."""
    return _ENCODER.encode(value).encode()


def commitment_of(personal: Mapping[str, Any], salt: str) -> str:
    """The commitment to personal fields under a salt (hexadecimal)."""
    return hmac.new(bytes.fromhex(salt), canonical(personal), hashlib.sha256).hexdigest()


def link_of(record: LedgerRecord) -> str:
    """The hash a record must carry."""
    fields = {
        "format": 1,
        "subject": record.subject_id,
        "seq": record.seq,
        "channel": record.channel,
        "topic": record.topic,
        "action": record.action,
        "legal_basis": record.legal_basis,
        "method": record.method,
        "occurred_at": _moment(record.occurred_at),
        "recorded_at": _moment(record.recorded_at),
        "details": record.details,
        "commitment": record.commitment,
        "previous": record.previous,
    }
    return hashlib.sha256(canonical(fields)).hexdigest()


def record_after(
    entry: ConsentEntry, subject_id: str, seq: int, previous: str, salt: str, now: datetime
) -> LedgerRecord:
    """The record that extends a chain by an entry.

    Nothing can have happened after it was recorded: a time in the future becomes `now`, and
    the detail `stated_at` keeps what the source said. Otherwise a sender's wrong clock could
    make a consent that no later withdrawal would end.
    """
    details = plain(entry.details)
    occurred_at = entry.occurred_at
    if occurred_at > now:
        details["stated_at"] = _moment(occurred_at)
        occurred_at = now
    personal = plain(entry.personal)
    record = LedgerRecord(
        subject_id=subject_id,
        seq=seq,
        channel=entry.channel,
        topic=entry.topic,
        action=entry.action,
        legal_basis=entry.legal_basis,
        method=entry.method,
        occurred_at=occurred_at,
        recorded_at=now,
        details=details,
        personal=personal,
        salt=salt,
        commitment=commitment_of(personal, salt),
        previous=previous,
    )
    return replace(record, hash=link_of(record))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement of which chain heads existed; `root` covers all the rest."""

    number: int
    made_at: datetime
    heads: int
    previous: str
    root: str
    key_id: str = ""
    signature: str = ""


def checkpoint_root(
    number: int,
    made_at: datetime,
    previous: str,
    heads: Iterable[tuple[str, int, str]],
) -> tuple[str, int]:
    """(root, number of heads) over (subject, seq, link), which must come sorted by subject."""
    digest = hashlib.sha256(canonical([1, number, _moment(made_at), previous]))
    count = 0
    for subject_id, seq, head in heads:
        digest.update(b"\n" + canonical([subject_id, seq, head]))
        count += 1
    digest.update(b"\n%d" % count)
    return digest.hexdigest(), count
