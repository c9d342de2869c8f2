"""Messages in the local outbox, as its provider wrote them: `ID.json` beside the message."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

MOST_LISTED: Final = 200

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_HEADERS: Final = (
    "From",
    "To",
    "Date",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Message-ID",
)


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """What the listing shows."""

    id: str
    subject: str
    to: str
    channel: str
    written_at: str
    written: str


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """One message with its content."""

    summary: OutboxMessage
    headers: tuple[tuple[str, str], ...]
    html: str | None
    text: str


def newest(folders: Sequence[Path], limit: int = MOST_LISTED) -> list[OutboxMessage]:
    """The newest messages of the folders; a file that cannot be read is passed over.

    Ids are ordered by time, so names alone decide which are the newest.
    """
    names = heapq.nlargest(limit, _descriptions(folders), key=lambda path: path.stem)
    found = [_summary(path) for path in names]
    return [summary for summary in found if summary is not None]


def opened(folders: Sequence[Path], message_id: str) -> OpenedMessage | None:
    """A message by its id; None if there is none."""
    if not _ID.fullmatch(message_id):
        return None
    for folder in dict.fromkeys(folders):
        path = folder / f"{message_id}.json"
        summary = _summary(path)
        if summary is not None:
            return _opened(path, summary)
    return None


def _descriptions(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in dict.fromkeys(folders):
        if folder.is_dir():
            yield from (path for path in folder.glob("*.json") if _ID.fullmatch(path.stem))


def _described(path: Path) -> dict[str, Any] | None:
    try:
        described = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return described if isinstance(described, dict) else None


def _summary(path: Path) -> OutboxMessage | None:
    described = _described(path)
    if described is None:
        return None
    written_at = str(described.get("written_at", ""))
    return OutboxMessage(
        id=path.stem,
        subject=str(described.get("subject") or "Text message"),
        to=str(described.get("to", "")),
        channel=str(described.get("channel", "")),
        written_at=written_at,
        written=_short_time(written_at),
    )


def _opened(path: Path, summary: OutboxMessage) -> OpenedMessage:
    mail = path.with_suffix(".eml")
    if not mail.is_file():
        sms = path.with_suffix(".txt")
        text = sms.read_text("utf-8", errors="replace") if sms.is_file() else ""
        return OpenedMessage(summary, (("To", summary.to),), None, text)
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    headers = tuple((name, str(message[name])) for name in _SHOWN_HEADERS if name in message)
    return OpenedMessage(summary, headers, _part(message, "html"), _part(message, "plain") or "")


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    return None if body is None else str(body.get_content())


def _short_time(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text
