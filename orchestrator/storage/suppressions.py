"""Addresses that must not be written to, kept as keyed hashes that survive erasure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, or_, select

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import shard_of
from orchestrator.storage.batches import insert_into, recorded, recording
from orchestrator.storage.tables import suppression

S: Final = suppression.c
_ADDRESS: Final = (S.channel, S.address_hash)


class SqlSuppressions:
    """`ports.Suppressions` on one connection; addresses are normalised by the caller."""

    def __init__(self, connection: Connection, key: bytes) -> None:
        self._connection = connection
        self._key = key

    def find(self, addresses: Iterable[tuple[Channel, str]]) -> dict[tuple[Channel, str], bool]:
        """Suppressed addresses; True where the suppression is hard (stops every class)."""
        asked = {(one[0].value, self._hash(*one)): one for one in addresses}
        dialect = self._connection.dialect.name
        wanted = [{"channel": channel, "address_hash": digest} for channel, digest in asked]
        found = self._connection.execute(
            _among_addresses(dialect), {"rows": recording(dialect, _ADDRESS, wanted)}
        )
        return {asked[row.channel, row.address_hash]: row.hard for row in found}

    def add(
        self, channel: Channel, address: str, *, reason: str, hard: bool, source: str, now: datetime
    ) -> None:
        """Suppress an address; a hard suppression is never softened."""
        digest = self._hash(channel, address)
        new = insert_into(self._connection, suppression).values(
            channel=channel.value,
            address_hash=digest,
            shard=shard_of(digest),
            reason=reason,
            hard=hard,
            source=source,
            created_at=now,
        )
        told = ("reason", "hard", "source", "created_at")
        self._connection.execute(
            new.on_conflict_do_update(
                index_elements=["channel", "address_hash", "shard"],
                set_={name: new.excluded[name] for name in told},
                where=or_(~S.hard, new.excluded.hard),
            )
        )

    def _hash(self, channel: Channel, address: str) -> str:
        """HMAC-SHA-256 (RFC 2104) of channel and address: without the key it tells nothing."""
        message = f"{channel.value}:{address}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()


@cache
def _among_addresses(dialect: str) -> Select[Any]:
    wanted = recorded(dialect, _ADDRESS)
    return select(*_ADDRESS, S.hard).join(
        wanted, (S.channel == wanted.c.channel) & (S.address_hash == wanted.c.address_hash)
    )
