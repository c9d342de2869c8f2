"""Who may see the inside: the admin token, login links, sessions and their forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

LOGIN_LINK_LIFE: Final = timedelta(minutes=15)
SESSION_LIFE: Final = timedelta(hours=12)

_NONCE_BYTES: Final = 16


class Access:
    """Checks what callers bring and makes what they may bring next.

    `secret_keys` are `SECRET_KEY`, the newest first: old ones are still believed.
    """

    def __init__(self, secret_keys: Sequence[str], admin_token: str | None) -> None:
        self._login = _Seals(secret_keys, "login")
        self._session = _Seals(secret_keys, "session")
        self._form = _Seals(secret_keys, "form")
        self._admin_token = admin_token

    @property
    def has_admin_token(self) -> bool:
        """Whether anybody can have the token at all."""
        return self._admin_token is not None

    def is_admin_token(self, given: str) -> bool:
        """Whether this is `ADMIN_TOKEN`; takes the same time for every wrong one."""
        if self._admin_token is None:
            return False
        return hmac.compare_digest(_digest(given), _digest(self._admin_token))

    def is_bearer(self, authorization: str) -> bool:
        """Whether an Authorization header brings `ADMIN_TOKEN` (RFC 6750 section 2.1)."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.is_admin_token(token.strip())

    def login_token(self, now: datetime) -> str:
        """A token for `/login/{token}`, to be used once within 15 minutes."""
        return self._login.sealed(now + LOGIN_LINK_LIFE)

    def login_expiry(self, token: str, now: datetime) -> datetime | None:
        """When a login token ends; None if it is forged or over. Its single use is not checked."""
        return self._login.expiry(token, now)

    def session(self, now: datetime) -> str:
        """The value of a new session's cookie."""
        return self._session.sealed(now + SESSION_LIFE)

    def is_session(self, cookie: str, now: datetime) -> bool:
        """Whether a cookie is that of a session that is not over."""
        return self._session.expiry(cookie, now) is not None

    def form_token(self, session: str) -> str:
        """The token that a session's forms carry, against forged requests."""
        return self._form.mark(session)

    def is_form_token(self, given: str, session: str) -> bool:
        """Whether a form of this session was sent."""
        return self._form.marks(session, given)


class _Seals:
    """Tokens `expiry.nonce.mark` that only we can have made, for one purpose."""

    def __init__(self, secret_keys: Sequence[str], purpose: str) -> None:
        self._keys = [
            hmac.digest(key.encode(), f"orchestrator/web/{purpose}".encode(), "sha256")
            for key in secret_keys
        ]

    def sealed(self, expires_at: datetime) -> str:
        said = f"{int(expires_at.timestamp())}.{secrets.token_urlsafe(_NONCE_BYTES)}"
        return f"{said}.{self.mark(said)}"

    def expiry(self, token: str, now: datetime) -> datetime | None:
        said, _, mark = token.rpartition(".")
        if not self.marks(said, mark):
            return None
        expires_at = datetime.fromtimestamp(int(said.partition(".")[0]), now.tzinfo)
        return expires_at if now < expires_at else None

    def mark(self, said: str) -> str:
        return _mark(self._keys[0], said)

    def marks(self, said: str, given: str) -> bool:
        found = [
            hmac.compare_digest(_mark(key, said).encode(), given.encode()) for key in self._keys
        ]
        return any(found)


def _mark(key: bytes, said: str) -> str:
    mark = hmac.digest(key, said.encode(), "sha256")
    return base64.urlsafe_b64encode(mark).decode().rstrip("=")


def _digest(text: str) -> bytes:
    """Of equal length for texts of any length."""
    return hashlib.sha256(text.encode()).digest()
