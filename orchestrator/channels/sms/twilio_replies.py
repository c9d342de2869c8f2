"""Text messages that Twilio passes on to us: believed by their signature, then read.

The signature (twilio.com/docs/usage/security) is the HMAC of the public address and all form
fields, sorted, under the account's auth token: SHA-1, or SHA-256 where the request says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from orchestrator.domain.errors import MalformedPayload, VerificationError
from orchestrator.domain.flows import Channel
from orchestrator.domain.replies import Intent, Reply

SIGNATURE: Final = "x-twilio-signature"
SETTINGS: Final = "x-twilio-webhooks-signature-settings"
MOST_FIELDS: Final = 500
LONGEST_TEXT: Final = 10_000
"""Characters that are kept of a text; ten segments are 1,530."""

_HASHES: Final[Mapping[str, Callable[[], Any]]] = {
    "HMAC_SHA1": hashlib.sha1,
    "HMAC_SHA256": hashlib.sha256,
}
_KEYWORDS: Final = {"STOP": Intent.STOP, "START": Intent.START, "HELP": Intent.HELP}
_SID: Final = re.compile(r"[A-Z]{2}[0-9A-Za-z]{1,64}")
_NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}")
_WHATSAPP: Final = "whatsapp:"
_PORTS: Final = {"https": 443, "http": 80}

Pairs = Sequence[tuple[bytes, bytes]]


class TwilioReplies:
    """Verifies and reads `POST /replies/twilio`. `secrets` are auth tokens, the newest first."""

    name = "twilio"

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def read(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The reply in a request to `url`, the address by which Twilio knows us.

        Raises VerificationError or MalformedPayload.
        """
        pairs = _pairs(body)
        self._verify(url, headers, pairs)
        try:
            fields = {name.decode(): value.decode() for name, value in pairs}
        except UnicodeDecodeError:
            raise MalformedPayload("the form is not UTF-8") from None
        return _reply(fields)

    def _verify(self, url: str, headers: Mapping[str, str], pairs: Pairs) -> None:
        given = headers.get(SIGNATURE, "").encode()
        chosen = _HASHES.get(_algorithm(headers.get(SETTINGS, "")))
        if not given or chosen is None:
            raise VerificationError("the signature is missing or of an unknown kind")
        matches = [
            hmac.compare_digest(_signature(secret, address, pairs, chosen), given)
            for secret in self._secrets
            for address in _spellings(url)
        ]
        if not any(matches):
            raise VerificationError("the signature does not match")


def _pairs(body: bytes) -> Pairs:
    """The fields as bytes: they are read as text only once they are believed."""
    try:
        found = parse_qsl(
            body.decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise VerificationError("this is no form that Twilio can have signed") from None
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found]


def _reply(fields: Mapping[str, str]) -> Reply:
    sid = fields.get("MessageSid") or fields.get("SmsMessageSid") or ""
    if not _SID.fullmatch(sid):
        raise MalformedPayload("MessageSid is missing")
    sender = fields.get("From", "")
    number = sender.removeprefix(_WHATSAPP)
    if not _NUMBER.fullmatch(number):
        raise MalformedPayload("From is no telephone number")
    return Reply(
        provider=TwilioReplies.name,
        provider_id=sid,
        channel=Channel.SMS if number == sender else Channel.WHATSAPP,
        number=number,
        text=fields.get("Body", "").replace("\0", "")[:LONGEST_TEXT],
        keyword=_KEYWORDS.get(fields.get("OptOutType", "").upper()),
    )


def _algorithm(settings: str) -> str:
    """What `key=…,algorithm=HMAC_SHA256` names; an auth token's signature comes without it."""
    parts = dict(part.strip().partition("=")[::2] for part in settings.split(","))
    return parts.get("algorithm", "HMAC_SHA1").upper()


def _signature(secret: bytes, url: str, pairs: Pairs, chosen: Callable[[], Any]) -> bytes:
    said = url.encode() + b"".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.digest(secret, said, chosen))


def _spellings(url: str) -> Iterable[str]:
    """The address with and without its default port: Twilio signs either."""
    parts = urlsplit(url)
    default = _PORTS.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if parts.port in (None, default):
        return {parts._replace(netloc=place).geturl() for place in (host, f"{host}:{default}")}
    return {url, parts._replace(netloc=host).geturl()}
