"""What a mail server's answers mean for a message: one table, `docs/channels.md` shows it.

The first digit decides unless the place in the dialogue or the enhanced status code knows better
(RFC 5321 sections 4.2 and 4.3.2; RFC 3463 section 3; RFC 4954 section 6 for logins; RFC 1870 for
sizes; RFC 7504 and 7505 for domains that take no mail).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final

from orchestrator.channels.trouble import Trouble
from orchestrator.domain.messages import FailedReason
from orchestrator.observability.redaction import Redactor
from orchestrator.ports import Delivery, DeliveryOutcome

MEND_PAUSE: Final = timedelta(minutes=15)
"""Until the next try of a message, when a person has to mend something first."""
FULL_PAUSE: Final = timedelta(hours=1)
"""The same when a mailbox is full: its owner has to make room."""
LONGEST_DETAIL: Final = 200
LONGEST_ID: Final = 128

_COMPLETED: Final = 2
_LOGIN_WANTED: Final = frozenset({530, 534, 535, 538})
_UNKNOWN_ADDRESS: Final = frozenset({501, 550, 551, 553, 556})
_STORAGE_EXCEEDED: Final = 552

_FULL: Final = frozenset({(2, 2), (3, 1)})
_UNDEFINED: Final = frozenset({(0, 0), (5, 0)})
_ABOUT_SENDER: Final = frozenset({(1, 7), (1, 8)})
_DISABLED: Final = (2, 1)
_ADDRESS_SUBJECT: Final = 1

_ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?:\s|$)")
_ROOM_WANTED: Final = re.compile(r"quota|\bfull\b|storage alloc", re.IGNORECASE)
_RELAYING: Final = re.compile(r"\brelay(ing)?\b|rcpthosts", re.IGNORECASE)
_QUEUE_IDS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bqueued as ([\w.+/=-]+)",  # Postfix and many that followed it
        r"\bid=([\w.+/=-]+)",  # Exim; Exchange's InternalId
        r"\binternalid=(\d+)",
        r"\bqueued \(([\w.-]+)\)",  # Haraka
        r"^(?:2\.\d\.\d )?([\w.-]+) message accepted for delivery",  # Sendmail, OpenSMTPD
        r"^(?:2\.\d\.\d )?ok:?\s+(\d+ qp \d+)",  # qmail
        r"^(?:2\.\d\.\d )?ok\s+(\d+ [\w.-]+) - gsmtp",  # Google
        r"^(?:2\.\d\.\d )?ok:?\s+([\w.-]{16,})$",  # Amazon SES
    )
)
_REDACTOR: Final = Redactor()


class Stage(IntEnum):
    """How far a dialogue had come; each begins when its bytes may be out."""

    CONNECT = 0  # until the greeting has come
    HELLO = 1
    TLS = 2
    AUTH = 3
    MAIL = 4
    RCPT = 5
    DATA = 6  # the command alone
    BODY = 7
    DOT = 8  # the final dot may be out: from here on silence is doubt


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer; `text` without the code, its lines parted by line feeds."""

    code: int
    text: str = ""

    @property
    def status(self) -> tuple[int, int] | None:
        """Subject and detail of the enhanced status code (RFC 2034), if one stands there.

        One of another class than the reply's is a contradiction and not believed, and one
        that says "undefined" says nothing.
        """
        found = _ENHANCED.match(self.text)
        if found is None or int(found[1]) != self.code // 100:
            return None
        status = int(found[2]), int(found[3])
        return None if status in _UNDEFINED else status


def delivery_of(stage: Stage, reply: Reply, recipient: str = "") -> Delivery:
    """What an answer that ends a dialogue means.

    `recipient` is taken out of what is kept of the answer.
    """
    code = str(reply.code)
    if stage is Stage.DOT and reply.code // 100 == _COMPLETED:
        return Delivery(DeliveryOutcome.SENT, queue_id(reply), code)
    detail = _detail(stage, reply, recipient)
    match reply.code // 100:
        case 4:
            pause = FULL_PAUSE if _is_full(stage, reply) else None
            return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=pause)
        case 5:
            return _refusal(stage, reply, detail)
        case _:
            return interrupted(stage, Trouble.PROTOCOL, detail)


def interrupted(stage: Stage, trouble: Trouble, detail: str | None = None) -> Delivery:
    """What a dialogue that ended without an answer means: doubt, once the final dot may be out."""
    if stage is Stage.DOT:
        return Delivery(DeliveryOutcome.UNKNOWN, code=trouble.value, detail=detail)
    if stage < Stage.MAIL and trouble in {Trouble.DROPPED, Trouble.TIMEOUT}:
        trouble = Trouble.CONNECT
    return Delivery(DeliveryOutcome.RETRY, code=trouble.value, detail=detail)


def to_mend(detail: str) -> Delivery:
    """A person has to mend the setting: it is never the recipient's fault."""
    code = Trouble.CONFIGURATION.value
    return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=MEND_PAUSE)


def rejected(reason: FailedReason, detail: str, code: str | None = None) -> Delivery:
    """Refused for good."""
    return Delivery(DeliveryOutcome.REJECTED, code=code, detail=detail, reason=reason.value)


def queue_id(reply: Reply) -> str | None:
    """The name a server gave the message it took, if it can be read."""
    for pattern in _QUEUE_IDS:
        if found := pattern.search(reply.text):
            return found[1].rstrip(".")[:LONGEST_ID] or None
    return None


def cleaned(text: str, private: Iterable[str] = ()) -> str:
    """One printable line without addresses, tokens and the texts that are `private`."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    plain = line.lower() if line.isascii() else None
    for secret in private:
        if plain is not None and secret.isascii() and secret.lower() not in plain:
            continue  # a pattern for each recipient would have to be compiled
        line = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "[…]", line, flags=re.IGNORECASE)
    line = "".join(letter for letter in _REDACTOR.text(line) if letter.isprintable())
    return line[:LONGEST_DETAIL]


def _refusal(stage: Stage, reply: Reply, detail: str) -> Delivery:
    """A permanent answer: whose fault it is decides whether trying again makes sense."""
    if stage < Stage.MAIL or reply.code in _LOGIN_WANTED:
        return to_mend(detail)
    code = str(reply.code)
    if _is_full(stage, reply):
        return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=FULL_PAUSE)
    if stage is Stage.RCPT and _RELAYING.search(reply.text):
        # Some other recipient may be welcome, so this is not `configuration`, which rests all.
        return Delivery(DeliveryOutcome.RETRY, code=code, detail=detail, retry_after=MEND_PAUSE)
    if _is_address_wrong(stage, reply):
        return rejected(FailedReason.INVALID_ADDRESS, detail, code)
    return rejected(FailedReason.REJECTED, detail, code)


def _is_full(stage: Stage, reply: Reply) -> bool:
    """A full mailbox or disk passes: RFC 3463 has X.2.2 and X.3.1 as persistent but transient."""
    if reply.status is not None:
        return reply.status in _FULL
    beyond = reply.code == _STORAGE_EXCEEDED and stage is not Stage.MAIL
    return beyond and bool(_ROOM_WANTED.search(reply.text))


def _is_address_wrong(stage: Stage, reply: Reply) -> bool:
    if stage is Stage.MAIL:  # it is about the sender
        return False
    if (status := reply.status) is not None:
        about_address = status[0] == _ADDRESS_SUBJECT and status not in _ABOUT_SENDER
        return about_address or status == _DISABLED
    return stage is Stage.RCPT and reply.code in _UNKNOWN_ADDRESS


def _detail(stage: Stage, reply: Reply, recipient: str) -> str:
    if stage is Stage.AUTH:  # a server may repeat what it was told
        found = _ENHANCED.match(reply.text)
        return "login refused: " + (
            f"{reply.code} {found[0].strip()}" if found else f"{reply.code}"
        )
    private = (recipient, recipient.rpartition("@")[0]) if recipient else ()
    return cleaned(f"{reply.code} {reply.text}", (text for text in private if text))
