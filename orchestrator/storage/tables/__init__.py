"""Every table, declared once with SQLModel.

Hot paths use the Core tables (`contact`, `event`, ...); the row classes declare the schema.
There are no foreign keys: on PostgreSQL each would lock the contact's row on every insert and
tie tables together that are to be placed by shard. The contract suite holds the references.
Primary keys are `(id, shard)`: found by id alone, yet every unique key includes its shard.
"""

from __future__ import annotations

from orchestrator.storage.tables.audiences import privacy_version, segment_member, segment_watch
from orchestrator.storage.tables.base import metadata
from orchestrator.storage.tables.clicks import click
from orchestrator.storage.tables.journeys import (
    attempt,
    coupon,
    enrolment,
    flow_version,
    live_version,
    message,
    schedule_firing,
    watermark,
)
from orchestrator.storage.tables.ledger import (
    consent_checkpoint,
    consent_checkpoint_head,
    consent_record,
    consent_state,
    consent_subject,
    suppression,
)
from orchestrator.storage.tables.people import (
    checkout,
    contact,
    contact_identity,
    contact_merge,
    event,
    event_key,
    shop_order,
    used_token,
)

__all__ = [
    "attempt",
    "checkout",
    "click",
    "consent_checkpoint",
    "consent_checkpoint_head",
    "consent_record",
    "consent_state",
    "consent_subject",
    "contact",
    "contact_identity",
    "contact_merge",
    "coupon",
    "enrolment",
    "event",
    "event_key",
    "flow_version",
    "live_version",
    "message",
    "metadata",
    "privacy_version",
    "schedule_firing",
    "segment_member",
    "segment_watch",
    "shop_order",
    "suppression",
    "used_token",
    "watermark",
]
