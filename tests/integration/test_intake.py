"""Events are answered in time, whatever the database does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.errors import TransientError
from orchestrator.ports import Lane
from orchestrator.services import intake
from tests.integration.shop import Shop

pytestmark = pytest.mark.anyio


class Hanging:
    """A database that tells nothing until it is let go."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self.opened = asyncio.Event()

    async def run(self, lane: Lane, work: Callable[..., Any]) -> Any:
        await self.opened.wait()
        return await self._behind.run(lane, work)


async def test_while_the_database_hangs_senders_are_asked_to_come_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking, hanging = shop.app.intake, Hanging(shop.app.database)
    monkeypatch.setattr(taking, "_database", hanging)
    monkeypatch.setattr(intake, "AGAIN", 0)
    event = shop.event("checkout.started", "ada@example.com", checkout_id="c1")
    with pytest.raises(TransientError):
        await taking.submit_in_time(event, patience=0.05)
    assert taking.stuck
    hanging.opened.set()
    assert await taking.submit_in_time(event) is False, "it was stored after all"
    assert not taking.stuck
