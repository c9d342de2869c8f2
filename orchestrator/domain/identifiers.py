"""Identities and the shard they live in."""

from __future__ import annotations

from typing import NewType
from zlib import crc32

ContactId = NewType("ContactId", str)
EventId = NewType("EventId", str)
EnrolmentId = NewType("EnrolmentId", str)
MessageId = NewType("MessageId", str)
ClickId = NewType("ClickId", str)
VersionHash = NewType("VersionHash", str)

SHARDS = 256


def shard_of(key: str) -> int:
    """The shard (0 to 255) of a contact id, or of a lookup table's own key.

    Stable for ever: rows are stored under it.
    """
    return crc32(key.encode()) % SHARDS
