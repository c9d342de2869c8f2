"""A channel's way out: its free connections, and whether its provider can be used."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from orchestrator.ports import Clock, Delivery, DeliveryOutcome, Provider

LET_IN: Final = 18.0
"""Seconds after which a message still under way has been let in: reaching a provider and
logging in have less (`docs/channels.md`), or the message is back."""


class Way:
    """Hands out a provider's connections.

    As long as nothing is known of the provider, and after it rested, one message goes alone and
    the others wait for what comes of it: sixteen logins with a wrong password lock an account.
    They do not wait for an answer that hangs, which may take ten minutes.
    """

    def __init__(self, provider: Provider, clock: Clock, let_in: float = LET_IN) -> None:
        self.provider = provider
        self.proven = False
        """Whether it has answered, or has let in what it has not answered yet."""
        self._clock = clock
        self._let_in = let_in
        self._free = asyncio.Semaphore(provider.connections)
        self._rests_until: datetime | None = None
        self._answered = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many messages may be under way at once."""
        return self.provider.connections

    @property
    def rests(self) -> bool:
        """Whether the provider is to be left in peace."""
        return self._rests_until is not None and self._clock.now() < self._rests_until

    async def take(self, most: int) -> int:
        """Wait for a free connection, and take up to `most` that are; returns how many."""
        await self._free.acquire()
        taken = 1
        while self.proven and taken < most and not self._free.locked():
            await self._free.acquire()
            taken += 1
        self._answered.clear()
        return taken

    def free(self, number: int) -> None:
        """Give connections back."""
        for _ in range(number):
            self._free.release()
        if number:  # even where no answer was learnt: whoever waits for it must not wait for ever
            self._answered.set()

    async def known(self) -> None:
        """Wait for the answer to the message that went alone, or until it must have been let in."""
        if self.proven:
            return
        try:
            await asyncio.wait_for(self._answered.wait(), self._let_in)
        except TimeoutError:
            self.proven = True

    def learn(self, delivery: Delivery) -> None:
        """What an answer tells about the provider."""
        if delivery.outcome is not DeliveryOutcome.POSTPONED:
            self.proven, self._rests_until = True, None
        elif rest := delivery.retry_after or timedelta():
            self.proven, self._rests_until = False, self._clock.now() + rest
        self._answered.set()
