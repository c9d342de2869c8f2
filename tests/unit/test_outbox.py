from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.channels.outbox import OutboxProvider
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Delivery, DeliveryOutcome, RenderedMessage

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
MAIL = MessageId("0190-mail")
BODY = b"Subject: Hello\r\n\r\nHyv\xc3\xa4\xc3\xa4 p\xc3\xa4iv\xc3\xa4\xc3\xa4\r\n"


class StoppedClock:
    def now(self) -> datetime:
        return NOW


def rendered(channel: Channel = Channel.EMAIL, **details: Any) -> RenderedMessage:
    return RenderedMessage(
        channel=channel,
        sender="Northwind <news@northwind.example>",
        envelope_to="ada@example.com",
        body=BODY,
        locale="fi",
        details=details,
    )


def outbox(folder: Path) -> OutboxProvider:
    return OutboxProvider(folder, StoppedClock())


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("channel", "name"),
    [
        (Channel.EMAIL, "0190-mail.eml"),
        (Channel.SMS, "0190-mail.txt"),
        (Channel.WHATSAPP, "0190-mail.txt"),
    ],
)
async def test_a_message_becomes_a_file_and_its_description(
    tmp_path: Path, channel: Channel, name: str
) -> None:
    folder = tmp_path / "var" / "outbox"
    delivery = await outbox(folder).send(MAIL, rendered(channel, subject="Päivää"))
    assert delivery == Delivery(DeliveryOutcome.SENT, provider_id=MAIL)
    assert files_in(folder) == sorted([name, "0190-mail.json"])
    assert (folder / name).read_bytes() == BODY
    assert json.loads((folder / "0190-mail.json").read_text(encoding="utf-8")) == {
        "id": "0190-mail",
        "channel": channel.value,
        "from": "Northwind <news@northwind.example>",
        "to": "ada@example.com",
        "locale": "fi",
        "file": name,
        "written_at": "2026-11-20T08:00:00+00:00",
        "subject": "Päivää",
    }


@pytest.mark.anyio
async def test_details_never_hide_what_the_outbox_says_itself(tmp_path: Path) -> None:
    await outbox(tmp_path).send(MAIL, rendered(to="somebody else", id="another"))
    told = json.loads((tmp_path / "0190-mail.json").read_text(encoding="utf-8"))
    assert (told["to"], told["id"]) == ("ada@example.com", "0190-mail")


@pytest.mark.anyio
async def test_sending_again_writes_the_same_files_again(tmp_path: Path) -> None:
    for _ in range(2):
        await outbox(tmp_path).send(MAIL, rendered())
    assert files_in(tmp_path) == ["0190-mail.eml", "0190-mail.json"]


@pytest.mark.anyio
async def test_channels_may_share_a_folder(tmp_path: Path) -> None:
    mails, texts = outbox(tmp_path), outbox(tmp_path)
    await asyncio.gather(
        mails.send(MAIL, rendered()),
        texts.send(MessageId("0190-text"), rendered(Channel.SMS)),
    )
    assert files_in(tmp_path) == [
        "0190-mail.eml",
        "0190-mail.json",
        "0190-text.json",
        "0190-text.txt",
    ]


@pytest.mark.anyio
async def test_a_reader_never_sees_half_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    rename = Path.replace

    def watched(aside: Path, target: Path) -> Path:
        seen.append([name for name in files_in(tmp_path) if name[0] != "."])
        return rename(aside, target)

    monkeypatch.setattr(Path, "replace", watched)
    await outbox(tmp_path).send(MAIL, rendered())
    assert seen == [[], ["0190-mail.eml"]]


@pytest.mark.anyio
async def test_a_folder_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    taken = tmp_path / "outbox"
    taken.write_text("a file where the folder should be", encoding="utf-8")
    delivery = await outbox(taken).send(MAIL, rendered())
    assert delivery.outcome is DeliveryOutcome.RETRY
    assert delivery.detail
    assert "ada@example.com" not in f"{delivery.code} {delivery.detail}"
    assert str(tmp_path) not in f"{delivery.code} {delivery.detail}"
    taken.unlink()
    again = await outbox(taken).send(MAIL, rendered())
    assert again.outcome is DeliveryOutcome.SENT
