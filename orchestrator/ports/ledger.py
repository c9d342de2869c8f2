"""Who vouches for the consent ledger."""

from __future__ import annotations

from typing import Protocol


class CheckpointSigner(Protocol):
    """Signs what the ledger looked like, so that a later change shows."""

    def sign(self, statement: bytes) -> tuple[str, str]:
        """(key id of 16 characters, signature of at most 128) with the newest key."""
        ...

    def verify(self, key_id: str, statement: bytes, signature: str) -> bool | None:
        """Whether a signature holds; None for a key that is not known any more."""
        ...
