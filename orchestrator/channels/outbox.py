"""The local outbox: messages as files, until a real provider is configured."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Clock, Delivery, DeliveryOutcome, RenderedMessage

CONNECTIONS: Final = 16
PRIVATE: Final = 0o700
"""The folder holds people's mail: it is made for its owner alone."""


class OutboxProvider:
    """Writes each message as `ID.eml` or `ID.txt` with an `ID.json` that describes it.

    A file is written aside and renamed, so a reader never sees half of one; the description
    comes last. Sending a message again writes the same files again.
    """

    name = "outbox"

    def __init__(self, folder: Path, clock: Clock, connections: int = CONNECTIONS) -> None:
        self.folder = folder
        self.connections = connections
        self._clock = clock

    def prepare(self) -> None:
        """Make the folder and see that it can be written. Raises OSError."""
        self.folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        probe = self.folder / ".probe"
        probe.touch()
        probe.unlink()

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Write the files; a full or unwritable disk is worth another try."""
        try:
            await asyncio.to_thread(self._write, message_id, message)
        except OSError as error:
            detail = error.strerror or type(error).__name__
            return Delivery(DeliveryOutcome.RETRY, code=str(error.errno), detail=detail)
        return Delivery(DeliveryOutcome.SENT, provider_id=message_id)

    async def close(self) -> None:
        """Nothing is held open."""

    def _write(self, message_id: MessageId, message: RenderedMessage) -> None:
        self.folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        suffix = "eml" if message.channel is Channel.EMAIL else "txt"
        body = self.folder / f"{message_id}.{suffix}"
        description = {
            **message.details,
            "id": message_id,
            "channel": message.channel.value,
            "from": message.sender,
            "to": message.envelope_to,
            "locale": message.locale,
            "file": body.name,
            "written_at": self._clock.now().isoformat(),
        }
        _replace(body, message.body)
        text = json.dumps(description, ensure_ascii=False, indent=2, sort_keys=True)
        _replace(self.folder / f"{message_id}.json", text.encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
    """Write durably aside, then rename."""
    aside = path.with_name(f".{path.name}.part")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
