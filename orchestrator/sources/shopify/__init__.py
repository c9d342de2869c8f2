"""Events from Shopify's webhooks (shopify.dev, "About webhooks"; API versions 2023-01 to 2026-10).

`X-Shopify-Hmac-Sha256` signs the body and nothing else: no header, and no time. What decides
about order and consent is therefore read from the body; the headers name the topic and make
the identity.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from orchestrator.domain.errors import ConfigurationError, MalformedPayload, VerificationError
from orchestrator.domain.events import IncomingEvent
from orchestrator.sources.fields import LONGEST_ID, NormalisePhone, read_fields
from orchestrator.sources.json_values import read_json, read_time
from orchestrator.sources.shopify.bodies import Body, first, part, without_nothing
from orchestrator.sources.shopify.topics import Told, Webhook, reader_of

_TOPIC: Final = re.compile(r"[a-z0-9_]{1,60}([/.][a-z0-9_]{1,60})?")
_NO_TOPIC: Final = "unknown"
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_OBJECT_KEYS: Final = ("token", "id", "customer_id", "order_id")


class ShopifySource:
    """Implements `ports.Source`. `secrets` are the app's client secrets, the newest first.

    A webhook made by hand in the shop's settings is signed with the shop's own secret, which
    may stand beside them. Raises ConfigurationError for an empty secret: anybody could sign.
    """

    name = "shopify"

    def __init__(self, secrets: Sequence[str], normalise_phone: NormalisePhone) -> None:
        if not all(secret.strip() for secret in secrets):
            raise ConfigurationError(
                "ORCHESTRATOR_WEBHOOK_SECRETS: a secret of shopify is empty; copy the app's"
                " client secret"
            )
        self._keys = tuple(secret.strip().encode() for secret in secrets)
        self._normalise_phone = normalise_phone

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> IncomingEvent:
        """Verify and parse. Raises VerificationError or MalformedPayload."""
        self._verify(_header(headers, "hmac-sha256"), body)
        payload = read_json(body)
        if not isinstance(payload, dict):
            raise MalformedPayload("the body is not an object, as all of Shopify's are")
        topic = _header(headers, "topic").strip().lower()
        if not _TOPIC.fullmatch(topic):
            topic = _NO_TOPIC
        # One number is asked about in several places, and each answer takes 0.1 ms.
        normalise_phone = cache(self._normalise_phone)
        told = reader_of(topic)(Webhook(payload, normalise_phone, now))
        fields = read_fields(self._fields(told, headers), normalise_phone)
        return IncomingEvent(
            source=self.name,
            source_id=_identity(topic, headers, payload, body),
            type=told.type,
            occurred_at=_time(told, now),
            contact=fields.contact,
            payload=fields.payload,
            consent=fields.consent,
        )

    def _verify(self, signature: str, body: bytes) -> None:
        try:
            given = base64.b64decode(signature.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error, ValueError) as error:
            raise VerificationError("X-Shopify-Hmac-Sha256 is not base64") from error
        wanted = [hmac.digest(key, body, "sha256") for key in self._keys]
        # Each is compared, so that the time taken does not tell which secret was used.
        if not any([hmac.compare_digest(given, one) for one in wanted]):  # noqa: C419
            raise VerificationError("no signature matches")

    def _fields(self, told: Told, headers: Mapping[str, str]) -> dict[str, Any]:
        shop = _header(headers, "shop-domain")[:LONGEST_ID]
        test = _header(headers, "test").strip().lower() == "true"
        about = {"shop": shop if _PLAIN.fullmatch(shop) else None, "test": test or None}
        data = {**told.fields.get("data", {}), **about}
        return {**told.fields, "data": without_nothing(data)}


def sign(secret: str, body: bytes) -> str:
    """What `X-Shopify-Hmac-Sha256` says of a body."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def _header(headers: Mapping[str, str], name: str) -> str:
    """A header of a webhook, or of the newer Events API, which drops the `X-`."""
    return headers.get(f"x-shopify-{name}") or headers.get(f"shopify-{name}") or ""


def _identity(topic: str, headers: Mapping[str, str], payload: Body, body: bytes) -> str:
    """What stays the same when an event is delivered again, or to a second subscription.

    An event id is shared by all webhooks of one action in the shop, on several topics and
    perhaps about several objects: both are part of the identity. Without any id the body is.
    """
    given = _header(headers, "event-id") or _header(headers, "webhook-id")
    named = first(
        *(payload.get(key) for key in _OBJECT_KEYS),
        part(payload, "customer").get("id"),
        payload.get("shop_id"),
    )
    if given:
        identity = f"{topic}:{named if isinstance(named, str | int) else ''}:{given}"
        if len(identity) <= LONGEST_ID and _PLAIN.fullmatch(identity):
            return identity
        digest = hashlib.sha256(identity.encode(errors="replace"))
    else:
        digest = hashlib.sha256(body)
    return f"{topic}:{digest.hexdigest()}"


def _time(told: Told, now: datetime) -> datetime:
    """The first time that can be read; a time to come would outrank every later word."""
    times = (read_time(text) for text in told.times)
    return min(next((one for one in times if one is not None), now), now)
