"""Signatures of checkpoints: HMAC-SHA-256 with keys derived from the secret key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_PURPOSE: Final = b"consent ledger checkpoint"


class HmacCheckpointSigner:
    """`ports.CheckpointSigner` over the values of SECRET_KEY, newest first.

    A key that has left the list leaves its checkpoints unverifiable; `verify` then says so,
    rather than that they are forged.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("a signer needs a key")
        derived = [hmac.new(text.encode(), _PURPOSE, hashlib.sha256).digest() for text in secrets]
        self._keys = {_key_id(key): key for key in derived}
        self._newest = derived[0]

    def sign(self, statement: bytes) -> tuple[str, str]:
        """(key id, signature in hexadecimal)."""
        return _key_id(self._newest), _signature(self._newest, statement)

    def verify(self, key_id: str, statement: bytes, signature: str) -> bool | None:
        """Whether the signature holds; None for an unknown key."""
        key = self._keys.get(key_id)
        if key is None:
            return None
        return hmac.compare_digest(_signature(key, statement).encode(), signature.encode())


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"id " + key).hexdigest()[:16]


def _signature(key: bytes, statement: bytes) -> str:
    return hmac.new(key, statement, hashlib.sha256).hexdigest()
