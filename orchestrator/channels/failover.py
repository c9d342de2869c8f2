"""Several providers of a channel, in order: the next one only where nothing can have left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.channels.trouble import AILING, FRESH, Trouble
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Clock, Delivery, DeliveryOutcome, Provider, RenderedMessage

REST: Final = timedelta(seconds=30)
"""For which a provider that cannot be reached is left in peace."""
LONG_REST: Final = timedelta(minutes=5)
"""The same for one whose settings a person has to mend: logins that fail lock accounts."""

_FOR_NO_OTHER: Final = frozenset({Trouble.LATE.value, Trouble.CANCELLED.value})
"""Codes of tries that were broken off on our side."""


class Resting:
    """One provider, and whether it is being left in peace.

    When its rest is over, one message tries it, and the others wait for what comes of that.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.provider = provider
        self._clock = clock
        self._until: datetime | None = None

    def left(self) -> timedelta:
        """How much rest is left; zero when it may be tried."""
        if self._until is None:
            return timedelta()
        return max(self._until - self._clock.now(), timedelta())

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Try it, and remember how it fared."""
        if self._until is not None:
            self._until = self._clock.now() + REST
        delivery = await self.provider.send(message_id, message)
        if delivery.outcome is not DeliveryOutcome.RETRY or delivery.code not in AILING:
            self._until = None
        else:
            mend = delivery.code == Trouble.CONFIGURATION
            self._until = self._clock.now() + (LONG_REST if mend else REST)
        return replace(delivery, provider=self.provider.name)


class FailoverProvider:
    """Asks providers in order until one has an answer that settles the message.

    A message that may have left is never given to the next one, and one that was refused is
    refused. `connections` is the least of theirs, so that whichever is asked has one free.
    """

    def __init__(self, providers: Sequence[Provider], clock: Clock) -> None:
        self.name = "+".join(dict.fromkeys(provider.name for provider in providers))
        self.providers = tuple(providers)
        self.connections = min(provider.connections for provider in providers)
        self._clock = clock
        self._resting = [Resting(provider, clock) for provider in providers]

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Hand a message over to the first provider that takes it."""
        began = self._clock.now()
        failures: list[Delivery] = []
        for one in self._resting:
            if one.left():
                continue
            if failures and self._clock.now() - began > FRESH:
                return _gated_again(failures[-1])
            delivery = await one.send(message_id, message)
            if delivery.outcome is not DeliveryOutcome.RETRY or delivery.code in _FOR_NO_OTHER:
                return delivery
            failures.append(delivery)
        return _soonest(failures) if failures else self._all_rest()

    async def close(self) -> None:
        """Close every provider's connections."""
        for provider in self.providers:
            await provider.close()

    def _all_rest(self) -> Delivery:
        return Delivery(
            DeliveryOutcome.RETRY,
            code=Trouble.RESTING.value,
            detail="after a failure a provider is left in peace for a while",
            retry_after=min(one.left() for one in self._resting),
        )


def _gated_again(failure: Delivery) -> Delivery:
    """Too late for the next provider: at once, if the one that cost the time now rests."""
    return replace(failure, retry_after=timedelta()) if failure.code in AILING else failure


def _soonest(failures: Sequence[Delivery]) -> Delivery:
    """The last failure, to be tried again when the first of the providers may be."""
    pauses = [failure.retry_after for failure in failures]
    known = [pause for pause in pauses if pause is not None]
    return replace(failures[-1], retry_after=min(known) if len(known) == len(pauses) else None)
