"""No more messages are in doubt at any moment than connections are open."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from orchestrator.domain.errors import TransientError
from orchestrator.domain.messages import MessageState
from orchestrator.ports import MessageFilter
from orchestrator.services import results
from tests.integration.shop import Shop, checkout

PEOPLE = 10


def sending(shop: Shop) -> int:
    states = frozenset({MessageState.SENDING})
    with shop.app.database.read() as uow:
        return len(uow.messages.find(MessageFilter(states=states)))


async def test_a_connection_is_free_again_only_when_its_result_is_stored(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken, failed = results.write_results, True, threading.Event()

    def write(*given: Any) -> None:
        if broken:
            failed.set()
            raise TransientError("the disk is full")
        real(*given)

    monkeypatch.setattr(results, "write_results", write)
    monkeypatch.setattr(results, "AGAIN", 0.01)
    for number in range(PEOPLE):
        await shop.receive("checkout.started", f"ada{number}@example.com", **checkout(f"c{number}"))
    while await shop.app.enrolling.run_once() + await shop.app.advancing.run_once():
        pass
    shop.clock.moment = shop.runs("ada0@example.com")[0].due_at or shop.clock.moment
    await shop.app.advancing.run_once()

    dispatching = asyncio.create_task(shop.app.dispatching.run_once())
    assert await asyncio.to_thread(failed.wait, 10)
    await asyncio.sleep(0.1)
    assert len(shop.provider.sent) == sending(shop) == shop.provider.connections
    assert shop.app.standing.reasons() != []
    assert await shop.app.dispatching.run_once() == 0

    broken = False
    await dispatching
    await shop.app.dispatching.drain()
    assert len(shop.provider.sent) == PEOPLE
    assert {state for _, state, _ in shop.outcomes()} == {"sent"}
    assert sending(shop) == 0
