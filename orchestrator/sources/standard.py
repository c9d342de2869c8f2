"""Events by Standard Webhooks (standardwebhooks.com, specification 1.0).

The body is `{type, timestamp, data}`; the `webhook-id` header is the event's identity.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from standardwebhooks import Webhook
from standardwebhooks.webhooks import hmac_data

from orchestrator.domain.errors import ConfigurationError, MalformedPayload, VerificationError
from orchestrator.domain.events import IncomingEvent
from orchestrator.sources.fields import LONGEST_ID, NormalisePhone, read_fields
from orchestrator.sources.json_values import read_json, read_time

TOLERANCE: Final = timedelta(minutes=5)
"""How far the sender's clock may be off, either way."""
LONGEST_TYPE: Final = 128
"""Characters; a longer one is cut."""

_PREFIX: Final = "whsec_"
_SECONDS: Final = re.compile(r"[1-9][0-9]{0,11}")


class StandardSource:
    """Implements `ports.Source`. `secrets` are `whsec_...`, the newest first.

    Raises ConfigurationError if a secret is not base64.
    """

    name = "standard"

    def __init__(self, secrets: Sequence[str], normalise_phone: NormalisePhone) -> None:
        self._keys = tuple(map(_key, secrets))
        self._normalise_phone = normalise_phone

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> IncomingEvent:
        """Verify and parse. Raises VerificationError or MalformedPayload."""
        event_id, sent_at = self._verified(headers, body, now)
        return self._event(_identity(event_id), sent_at, read_json(body), now)

    def _verified(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> tuple[str, datetime]:
        """The id and the time of an authentic request.

        The library's own `verify` looks at the system clock, takes fractions of a second, and
        raises ValueError for headers and bodies a stranger can make; its signature is used.
        """
        event_id = headers.get("webhook-id", "")
        seconds = headers.get("webhook-timestamp", "")
        given = headers.get("webhook-signature", "")
        if not event_id or not given or not _SECONDS.fullmatch(seconds):
            raise VerificationError("a webhook-* header is missing or unreadable")
        if abs(int(seconds) - now.timestamp()) > TOLERANCE.total_seconds():
            raise VerificationError("webhook-timestamp is more than 5 minutes away")
        try:
            signed = f"{event_id}.{seconds}.".encode() + body
            wanted = [hmac_data(key, signed) for key in self._keys]
            genuine = any(
                hmac.compare_digest(one, signature)
                for signature in _signatures(given)
                for one in wanted
            )
        except Exception as error:  # any failure of the library is a refusal
            raise VerificationError("the signature cannot be checked") from error
        if not genuine:
            raise VerificationError("no signature matches")
        return event_id, datetime.fromtimestamp(int(seconds), UTC)

    def _event(self, event_id: str, sent_at: datetime, body: Any, now: datetime) -> IncomingEvent:
        if not isinstance(body, dict):
            raise MalformedPayload("the body is not an object with type, timestamp and data")
        kind = body.get("type")
        if not isinstance(kind, str) or not kind:
            raise MalformedPayload("type is not a text")
        timestamp, data = body.get("timestamp"), body.get("data")
        occurred_at = read_time(timestamp)
        unread = {}
        if len(kind) > LONGEST_TYPE:
            unread["type"] = (kind, f"has {len(kind)} characters; {LONGEST_TYPE - 1} are kept")
        if occurred_at is None and timestamp is not None:
            unread["timestamp"] = (timestamp, "is not an ISO 8601 time")
        fields = read_fields(
            data if isinstance(data, dict) else {"data": data}, self._normalise_phone, unread
        )
        return IncomingEvent(
            source=self.name,
            source_id=event_id,
            type=_short_type(kind),
            # A time to come would outrank every later word on consent.
            occurred_at=min(occurred_at or sent_at, now),
            contact=fields.contact,
            payload=fields.payload,
            consent=fields.consent,
        )


def sign(secret: str, event_id: str, at: datetime, body: str) -> dict[str, str]:
    """The headers of a signed request, as a shop would send them.

    Raises ConfigurationError if the secret is not base64.
    """
    _key(secret)
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, at.astimezone(UTC), body),
    }


def _identity(event_id: str) -> str:
    """The same for the same id, however long it is, so that duplicates are recognised."""
    if len(event_id) <= LONGEST_ID:
        return event_id
    return f"sha256:{hashlib.sha256(event_id.encode()).hexdigest()}"


def _short_type(kind: str) -> str:
    """A type that is too long, cut; its last character makes sure that no journey awaits it."""
    return kind if len(kind) <= LONGEST_TYPE else f"{kind[: LONGEST_TYPE - 1]}…"


def _key(secret: str) -> bytes:
    try:
        text = secret.removeprefix(_PREFIX).rstrip("=")  # padded or not, as the library takes it
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigurationError(
            "ORCHESTRATOR_WEBHOOK_SECRETS: a secret of standard is not whsec_ and base64"
        )
    return key


def _signatures(header: str) -> Iterator[bytes]:
    """The v1 signatures of a header; other versions and damaged ones are passed over."""
    for part in header.split(" "):
        version, _, text = part.partition(",")
        if version != "v1":
            continue
        try:
            yield base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
