"""Signed tokens and the links made of them.

A token is `version, key id, expiry, payload, MAC` in base64url: HMAC-SHA-256 cut to 16 bytes
(RFC 2104 section 5), under a key derived for its purpose by HKDF (RFC 5869), so that a token for
one purpose is worthless for another. It holds ids, never an address. Unsubscribe tokens do not
expire; the newest secret signs, older ones still verify.

Where every character costs, in a text message, there is a brief form: no expiry, one byte of key
id, a MAC of 10 bytes. To forge one takes 2^79 requests on average, and all it does is to stop mail.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from binascii import Error as DecodeError
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final, assert_never
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.ports import ClickTarget, Clock, LinkClaims, LinkPurpose

CONFIRM_WITHIN: Final = timedelta(days=7)

_VERSION: Final = b"\x01"
_BRIEF: Final = b"\x02"
_KEY_ID_BYTES: Final = 2
_EXPIRY_BYTES: Final = 5  # seconds since 1970, to the year 36812
_MAC_BYTES: Final = 16
_LENGTH_MIN: Final = len(_VERSION) + _KEY_ID_BYTES + _EXPIRY_BYTES + _MAC_BYTES
_BRIEF_HEAD: Final = 2  # the form, one byte of key id
_BRIEF_MAC: Final = 10
_LENGTH_MAX: Final = 2048
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_CHANNELS: Final = (None, Channel.EMAIL, Channel.SMS, Channel.WHATSAPP)
"""By the number a token carries; append only."""


class TokenPurpose(StrEnum):
    """What a token is good for; each has a key of its own."""

    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    CONFIRM = "confirm"
    CLICK = "click"
    VIEW = "view"


_PURPOSES: Final = {purpose: TokenPurpose[purpose.name] for purpose in LinkPurpose}
_BRIEFLY: Final = frozenset({TokenPurpose.UNSUBSCRIBE, TokenPurpose.PREFERENCES})
"""What a brief token may be good for."""


class TokenSigner:
    """Signs short payloads for a purpose and tells whether a token is one of ours."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        """Take the secrets of SECRET_KEY, newest first.

        Raises:
            ConfigurationError: there is none.
        """
        if not secret_keys:
            raise ConfigurationError("SECRET_KEY: at least one key is needed to sign links")
        self._keys: Mapping[TokenPurpose, Sequence[tuple[bytes, bytes]]] = {
            purpose: [_derived(secret, purpose) for secret in secret_keys]
            for purpose in TokenPurpose
        }
        # To copy one costs half of what it takes to begin with a key.
        self._begun = {
            purpose: hmac.new(keys[0][1], None, "sha256") for purpose, keys in self._keys.items()
        }

    def sign(
        self, purpose: TokenPurpose, payload: bytes, expires_at: datetime | None = None
    ) -> str:
        """A token of URL-safe characters; without `expires_at` it is valid for ever."""
        return self.signing(purpose, expires_at=expires_at)(payload)

    def signing(
        self, purpose: TokenPurpose, start: bytes = b"", expires_at: datetime | None = None
    ) -> Callable[[bytes], str]:
        """What makes tokens whose payloads begin alike, of the rest of each."""
        expiry = int(expires_at.timestamp()) if expires_at else 0
        head = _VERSION + self._keys[purpose][0][0] + expiry.to_bytes(_EXPIRY_BYTES, "big") + start
        begun = self._begun[purpose]

        def token(rest: bytes) -> str:
            signed = head + rest
            mac = begun.copy()
            mac.update(signed)
            return _written(signed + mac.digest()[:_MAC_BYTES])

        return token

    def sign_briefly(self, purpose: TokenPurpose, payload: bytes) -> str:
        """A token in the brief form; it is valid for ever."""
        key_id, key = self._keys[purpose][0]
        signed = _BRIEF + key_id[:1] + payload
        return _written(signed + _mac(key, signed)[:_BRIEF_MAC])

    def verify(self, purpose: TokenPurpose, token: str, now: datetime) -> bytes | None:
        """The payload, or None if the token is forged, damaged, of another purpose or expired."""
        raw = _decoded(token)
        if raw is not None and raw[:1] == _BRIEF and purpose in _BRIEFLY:
            return self._verify_brief(purpose, raw)
        if raw is None or raw[:1] != _VERSION or len(raw) < _LENGTH_MIN:
            return None
        signed, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        head = len(_VERSION) + _KEY_ID_BYTES
        key_id, body = signed[1:head], signed[head:]
        genuine = False
        for known_id, key in self._keys[purpose]:
            if known_id == key_id:
                genuine |= hmac.compare_digest(_mac(key, signed), mac)
        expiry = int.from_bytes(body[:_EXPIRY_BYTES], "big")
        if not genuine or (expiry and now.timestamp() >= expiry):
            return None
        return body[_EXPIRY_BYTES:]

    def _verify_brief(self, purpose: TokenPurpose, raw: bytes) -> bytes | None:
        signed, mac = raw[:-_BRIEF_MAC], raw[-_BRIEF_MAC:]
        genuine = False
        for known_id, key in self._keys[purpose]:
            if known_id[:1] == signed[1:_BRIEF_HEAD]:
                genuine |= hmac.compare_digest(_mac(key, signed)[:_BRIEF_MAC], mac)
        return signed[_BRIEF_HEAD:] if genuine else None


class SignedLinkTokens:
    """The `LinkTokens` port: claims of a link as a token."""

    def __init__(self, signer: TokenSigner, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def sign(
        self, purpose: LinkPurpose, claims: LinkClaims, expires_at: datetime | None = None
    ) -> str:
        """A token for a URL path."""
        return self._signer.sign(_purpose(purpose), _packed(claims), expires_at)

    def sign_briefly(self, purpose: LinkPurpose, claims: LinkClaims) -> str:
        """A token for a text message; it names no message and does not expire."""
        brief = replace(claims, message_id=None)
        return self._signer.sign_briefly(_purpose(purpose), _packed(brief))

    def verify(self, purpose: LinkPurpose, token: str) -> LinkClaims | None:
        """The claims, or None if the token is forged, damaged, expired or of another purpose."""
        payload = self._signer.verify(_purpose(purpose), token, self._clock.now())
        return None if payload is None else _unpacked(payload)

    def sign_click(self, target: ClickTarget) -> str:
        """A token for `/c/` that leads to one address and nowhere else; it does not expire."""
        return self.signing_clicks(target.contact_id, target.message_id)(target.url)

    def signing_clicks(self, contact_id: ContactId, message_id: MessageId) -> Callable[[str], str]:
        """`sign_click` for the addresses of one message."""
        people = _identity(contact_id) + _identity(message_id)
        token = self._signer.signing(TokenPurpose.CLICK, people)
        return lambda url: token(url.encode())

    def verify_click(self, token: str) -> ClickTarget | None:
        """Where a token leads, or None if it is forged, damaged or of another purpose."""
        payload = self._signer.verify(TokenPurpose.CLICK, token, self._clock.now())
        if payload is None:
            return None
        contact, message = UUID(bytes=payload[:16]), UUID(bytes=payload[16:32])
        url = payload[32:].decode()
        return ClickTarget(ContactId(str(contact)), MessageId(str(message)), url)


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses in one message, below PUBLIC_URL."""

    public_url: str
    tokens: SignedLinkTokens

    def of_message(
        self, claims: LinkClaims, *, created_at: datetime, privacy: str | None
    ) -> dict[str, str | None]:
        """What a template knows as `links`. A retry makes the same ones again."""
        ways = self._link if claims.channel is Channel.EMAIL else self._brief_link
        return {
            "unsubscribe": ways(LinkPurpose.UNSUBSCRIBE, claims),
            "preferences": ways(LinkPurpose.PREFERENCES, claims),
            "confirm": self._link(LinkPurpose.CONFIRM, claims, created_at + CONFIRM_WITHIN),
            "view": self._link(LinkPurpose.VIEW, claims),
            "privacy": privacy,
        }

    @property
    def own(self) -> str:
        """What all our addresses begin with."""
        return self.public_url.rstrip("/") + "/"

    def counting(self, contact_id: ContactId, message_id: MessageId) -> Callable[[str], str]:
        """What makes of an address the path, below `own`, that leads there and is counted."""
        start = f"{_path(LinkPurpose.CLICK)}/"
        token = self.tokens.signing_clicks(contact_id, message_id)
        return lambda url: start + token(url)

    def _brief_link(self, purpose: LinkPurpose, claims: LinkClaims) -> str:
        return f"{self.own}{_path(purpose)}/{self.tokens.sign_briefly(purpose, claims)}"

    def _link(
        self, purpose: LinkPurpose, claims: LinkClaims, expires_at: datetime | None = None
    ) -> str:
        token = self.tokens.sign(purpose, claims, expires_at)
        return f"{self.own}{_path(purpose)}/{token}"


def _path(purpose: LinkPurpose) -> str:
    match purpose:
        case LinkPurpose.UNSUBSCRIBE:
            return "u"
        case LinkPurpose.PREFERENCES:
            return "preferences"
        case LinkPurpose.CONFIRM:
            return "confirm"
        case LinkPurpose.CLICK:
            return "c"
        case LinkPurpose.VIEW:
            return "view"
    assert_never(purpose)


def _purpose(purpose: LinkPurpose) -> TokenPurpose:
    return _PURPOSES[purpose]


def _derived(secret: str, purpose: TokenPurpose) -> tuple[bytes, bytes]:
    info = f"orchestrator token {purpose.value}".encode()
    key = HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode())
    return sha256(b"key id" + key).digest()[:_KEY_ID_BYTES], key


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")[:_MAC_BYTES]


def _decoded(token: str) -> bytes | None:
    if len(token) > _LENGTH_MAX or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (DecodeError, ValueError):
        return None
    return raw if _written(raw) == token else None


def _written(raw: bytes) -> str:
    """As base64url (RFC 4648 section 5) without padding."""
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode()


def _packed(claims: LinkClaims) -> bytes:
    flags = _CHANNELS.index(claims.channel) | (8 if claims.message_id else 0)
    message = _identity(claims.message_id) if claims.message_id else b""
    return bytes([flags]) + _identity(claims.contact_id) + message + (claims.topic or "").encode()


@lru_cache(maxsize=64)
def _identity(name: str) -> bytes:
    """The 16 bytes of a UUID; those of one message are asked for by each of its links."""
    return UUID(name).bytes


def _unpacked(payload: bytes) -> LinkClaims:
    flags, contact, rest = payload[0], payload[1:17], payload[17:]
    message = None
    if flags & 8:
        message, rest = MessageId(str(UUID(bytes=rest[:16]))), rest[16:]
    return LinkClaims(
        contact_id=ContactId(str(UUID(bytes=contact))),
        message_id=message,
        channel=_CHANNELS[flags & 7],
        topic=rest.decode() or None,
    )
