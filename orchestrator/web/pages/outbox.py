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

from orchestrator.web.pages.words import shortened

MOST_LISTED: Final = 200

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """What the listing shows."""

    id: str
    subject: str
    to: str
    channel: str
    written_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """One message with its content."""

    summary: OutboxMessage
    headers: tuple[tuple[str, str], ...]
    html: str | None
    text: str


class Outbox:
    """The folders into which messages are written instead of being sent."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(dict.fromkeys(folders))

    def newest(self, limit: int = MOST_LISTED) -> list[OutboxMessage]:
        """The newest messages; a file that cannot be read is passed over.

        Ids are ordered by time, so names alone decide which are the newest.
        """
        names = heapq.nlargest(limit, self._descriptions(), key=lambda path: path.stem)
        found = [_summary(path) for path in names]
        return [summary for summary in found if summary is not None]

    def opened(self, message_id: str) -> OpenedMessage | None:
        """A message by its id; None if there is none."""
        path = self._path(message_id)
        summary = _summary(path) if path else None
        return _opened(path, summary) if path and summary else None

    def address(self, message_id: str) -> str:
        """Where a message's content is shown; empty if it is not here."""
        return f"/outbox/{message_id}" if self._path(message_id) else ""

    def _path(self, message_id: str) -> Path | None:
        if not _ID.fullmatch(message_id):
            return None
        paths = (folder / f"{message_id}.json" for folder in self._folders)
        return next((path for path in paths if path.is_file()), None)

    def _descriptions(self) -> Iterator[Path]:
        for folder in self._folders:
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
    return OutboxMessage(
        id=path.stem,
        subject=str(described.get("subject") or shortened(_text(path)) or "Text message"),
        to=str(described.get("to", "")),
        channel=str(described.get("channel", "")),
        written_at=_moment(str(described.get("written_at", ""))),
    )


def _text(path: Path) -> str:
    sms = path.with_suffix(".txt")
    return sms.read_text("utf-8", errors="replace") if sms.is_file() else ""


def _opened(path: Path, summary: OutboxMessage) -> OpenedMessage:
    mail = path.with_suffix(".eml")
    if not mail.is_file():
        return OpenedMessage(summary, (("To", summary.to),), None, _text(path))
    message = message_from_bytes(mail.read_bytes(), policy=policy.default)
    headers = tuple((name, str(value)) for name, value in message.items())
    return OpenedMessage(summary, headers, _part(message, "html"), _part(message, "plain") or "")


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    return None if body is None else str(body.get_content())


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
