"""Stopping: what is being sent is finished or broken off, and recorded either way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Delivery, DeliveryOutcome, RenderedMessage
from tests.integration.shop import RecordingProvider, Shop, checkout

ADA = "ada@example.com"


class Endless(RecordingProvider):
    """Never answers, and says when it is broken off that the message may have left."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        self.reached.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return Delivery(DeliveryOutcome.UNKNOWN, code="cancelled")
        raise AssertionError(message_id, message.envelope_to)


async def test_what_is_broken_off_is_recorded_as_doubt(shop: Shop) -> None:
    endless = Endless()
    shop.provider.send = endless.send  # type: ignore[method-assign]
    await shop.receive("checkout.started", ADA, **checkout())
    await shop.app.enrolling.run_once()
    await shop.app.advancing.run_once()
    shop.clock.moment += timedelta(hours=1)
    await shop.app.advancing.run_once()
    working = asyncio.create_task(shop.app.dispatching.run_once())
    await asyncio.wait_for(endless.reached.wait(), 20)
    assert shop.outcomes() == [("first", "sending", None)]
    shop.app.dispatching.stop()
    await shop.app.dispatching.cut_short()
    await working
    assert shop.outcomes() == [("first", "unknown", None)]
