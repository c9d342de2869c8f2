"""Single-use tokens that have been used, known by their hash."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection

from orchestrator.domain.identifiers import shard_of
from orchestrator.storage.batches import insert_new
from orchestrator.storage.tables import used_token


class SqlUsedTokens:
    """`ports.UsedTokens` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def use(self, token: str, now: datetime, expires_at: datetime | None) -> bool:
        """Spend a token; False if it was spent before."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        row = {
            "token_hash": digest,
            "shard": shard_of(digest),
            "used_at": now,
            "expires_at": expires_at,
        }
        return bool(insert_new(self._connection, used_token, [row], used_token.c.token_hash))
