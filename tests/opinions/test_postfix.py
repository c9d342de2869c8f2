"""The shipped mails through a Postfix, as providers and shops run one."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestrator.channels.email.smtp import smtp_provider
from orchestrator.channels.email.smtp_wire import wire_form
from orchestrator.channels.urls import read_provider_url
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import DeliveryOutcome
from tests.integration.smtp_server import make_certificates
from tests.opinions.postfix import running_postfix
from tests.opinions.shipped import shipped

pytestmark = pytest.mark.slow


class Sink:
    """Takes every mail that Postfix hands on."""

    def __init__(self, taken: asyncio.Queue[bytes]) -> None:
        self._taken = taken

    async def handle_DATA(  # noqa: N802  # aiosmtpd's word
        self,
        server: SMTP,  # noqa: ARG002  # told by position
        session: Session,  # noqa: ARG002
        envelope: Envelope,
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self._taken.put_nowait(envelope.content)
        return "250 OK"


async def test_every_shipped_mail_passes_through_postfix_unchanged(tmp_path: Path) -> None:
    """Encrypted, and pipelined as Postfix offers it; it hands on its trace and our bytes, all.

    So a signature (DKIM) made before would hold, and nothing had to be mended on the way.
    """
    mails = [one.message for one in shipped()]
    certificates = make_certificates(tmp_path)
    taken: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    sink = await loop.create_server(lambda: SMTP(Sink(taken), loop=loop), "127.0.0.1", 0)
    async with sink:
        with running_postfix(
            sink.sockets[0].getsockname()[1], tmp_path / "localhost.pem"
        ) as postfix:
            url = f"smtp://localhost:{postfix.port}?tls=require&ca={certificates.ca_file}"
            provider = smtp_provider(read_provider_url(url, "ORCHESTRATOR_EMAIL_URL"))
            deliveries = await asyncio.gather(
                *(provider.send(MessageId(f"m{number}"), mail) for number, mail in enumerate(mails))
            )
            await provider.close()
            assert {one.outcome for one in deliveries} == {DeliveryOutcome.SENT}, deliveries[:3]
            async with asyncio.timeout(60):
                arrived = [await taken.get() for _ in mails]
    traces, bodies = zip(*(one.split(b"\r\nFrom: ", 1) for one in arrived), strict=True)
    assert all(one.count(b"Received: ") == 1 and b"with ESMTPS id" in one for one in traces)
    sent = Counter(wire_form(mail.body) for mail in mails)
    assert Counter(b"From: " + one for one in bodies) == sent
