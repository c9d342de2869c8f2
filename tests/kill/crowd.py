"""Customers of a shop whose webhooks are repeated until they are answered 200."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from orchestrator.sources.standard import sign
from tests.e2e.running import SECRET

AT_ONCE = 8
"""How many webhooks are under way at a time."""
AGAIN = 0.2
"""Seconds before a webhook without a 200 is repeated."""


@dataclass
class Customer:
    """Leaves a checkout; some did not agree to mail, some buy or unsubscribe soon after."""

    number: str
    consents: bool
    leaves: str | None = None
    leaves_after: float = 0.0  # seconds
    left_at: datetime | None = None
    """When the shop had its 200 for what made this person leave."""

    @property
    def email(self) -> str:
        return f"ada.{self.number}@example.com"

    @property
    def orders(self) -> bool:
        return self.leaves == "order.placed"

    @property
    def checkout(self) -> dict[str, Any]:
        return {
            "checkout_id": f"c-{self.number}",
            "contact": {"email": self.email, "country": "FI"},
            "total": "40.00",
            "currency": "EUR",
            "items": [{"name": "The Summer Book", "quantity": 1, "price": "40.00"}],
            "consent": {"email": "yes" if self.consents else "unknown"},
        }

    @property
    def departure(self) -> dict[str, Any]:
        more = {"order_id": f"o-{self.number}", "total": "40.00"} if self.orders else {}
        return {"checkout_id": f"c-{self.number}", "contact": {"email": self.email}, **more}


def crowd(draw: random.Random, name: str, size: int) -> list[Customer]:
    """People of every kind."""
    found = []
    for number in range(size):
        kind = draw.random()
        leaves = "order.placed" if kind < 0.1 else "contact.unsubscribed" if kind < 0.2 else None
        found.append(
            Customer(
                number=f"{name}-{number}",
                consents=draw.random() > 0.1,
                leaves=leaves,
                leaves_after=draw.uniform(0, 4),
            )
        )
    return found


@dataclass
class Shopfront:
    """Posts what customers do."""

    url: str
    acknowledged: dict[str, datetime] = field(default_factory=dict)
    """When each webhook was answered 200, by its id."""
    refused: list[int] = field(default_factory=list)
    """Answers that were neither 200 nor 503."""
    repeated: int = 0

    async def serve(self, people: Sequence[Customer]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            await asyncio.gather(*(self._visit(client, slots, one) for one in people))

    async def _visit(
        self, client: httpx.AsyncClient, slots: asyncio.Semaphore, person: Customer
    ) -> None:
        await self._post(client, slots, f"in-{person.number}", "checkout.started", person.checkout)
        if person.leaves is not None:
            await asyncio.sleep(person.leaves_after)
            event_id = f"out-{person.number}"
            await self._post(client, slots, event_id, person.leaves, person.departure)
            person.left_at = self.acknowledged[event_id]

    async def _post(
        self,
        client: httpx.AsyncClient,
        slots: asyncio.Semaphore,
        event_id: str,
        kind: str,
        fields: dict[str, Any],
    ) -> None:
        body = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": fields}
        text = json.dumps(body)
        while event_id not in self.acknowledged:
            status = await self._try(client, slots, event_id, text)
            if status == 200:
                self.acknowledged[event_id] = datetime.now(UTC)
                return
            if status not in (None, 503):
                self.refused.append(status)
            self.repeated += 1
            await asyncio.sleep(AGAIN)

    async def _try(
        self, client: httpx.AsyncClient, slots: asyncio.Semaphore, event_id: str, text: str
    ) -> int | None:
        headers = sign(SECRET, event_id, datetime.now(UTC), text)
        async with slots:
            try:
                answer = await client.post(
                    f"{self.url}/webhooks/standard", content=text.encode(), headers=headers
                )
            except httpx.TransportError:
                return None
        return answer.status_code
