"""Several providers of a channel, in order: the next one only where nothing can have left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.channels.trouble import AILING, FRESH, Trouble
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import (
    Clock,
    Delivery,
    DeliveryOutcome,
    Metrics,
    Provider,
    RenderedMessage,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long a provider is left in peace: twice as long after each probe that failed."""

    first: timedelta
    longest: timedelta

    def after(self, failures: int) -> timedelta:
        """The pause after so many failures in a row, from 1."""
        return min(self.first * (1 << min(failures - 1, 16)), self.longest)


REST: Final = Pauses(timedelta(seconds=5), timedelta(minutes=1))
"""For one that cannot be reached: it may be back in a moment."""
LONG_REST: Final = Pauses(timedelta(seconds=30), timedelta(minutes=5))
"""For one whose settings or account a person has to mend: logins that fail lock accounts."""
PROBE: Final = timedelta(seconds=30)
"""How long the others wait for the one message that tries a rested provider."""

_OURS: Final = frozenset({Trouble.LATE.value, Trouble.CANCELLED.value})
"""Codes of tries that were broken off on our side: they say nothing about the provider."""
_NO_TRY: Final = _OURS | {Trouble.CONNECT.value, Trouble.CONFIGURATION.value}
"""Codes after which nothing was asked about the message: its tries are not used up."""


class Resting:
    """One provider, and whether it is being left in peace.

    When its rest is over, one message tries it, and the others wait for what comes of that.
    `setting` is the variable that the log tells to look at.
    """

    def __init__(
        self, provider: Provider, clock: Clock, setting: str = "", metrics: Metrics | None = None
    ) -> None:
        self.provider = provider
        self._clock = clock
        self._setting = setting
        self._metrics = metrics
        self._until: datetime | None = None
        self._failures = 0

    def left(self) -> timedelta:
        """How much rest is left; zero when it may be tried."""
        if self._until is None:
            return timedelta()
        return max(self._until - self._clock.now(), timedelta())

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Try it, and remember how it fared."""
        probing = self._until is not None
        if probing:
            self._until = self._clock.now() + PROBE
        delivery = await self.provider.send(message_id, message)
        failed = delivery.outcome is DeliveryOutcome.RETRY
        if failed and delivery.code in AILING:
            if probing or self._until is None:  # not one more that was under way with the first
                self._rest(delivery)
        elif not (failed and delivery.code in _OURS):
            self._recover()
        elif probing:
            self._until = self._clock.now()
        return replace(delivery, provider=self.provider.name)

    def _rest(self, delivery: Delivery) -> None:
        self._failures += 1
        code = delivery.code or ""
        pauses = LONG_REST if code == Trouble.CONFIGURATION else REST
        self._until = self._clock.now() + pauses.after(self._failures)
        if self._metrics is not None:
            self._metrics.count("provider_rests", provider=self.provider.name, code=code)
        if self._failures == 1:
            log.error(
                "a provider cannot be used and rests: check %s (%s)",
                self._setting,
                delivery.detail,
                extra={"provider": self.provider.name, "code": code},
            )

    def _recover(self) -> None:
        if self._failures:
            told = {"provider": self.provider.name, "rests": self._failures}
            log.warning("a provider can be used again", extra=told)
        self._until = None
        self._failures = 0


class FailoverProvider:
    """Asks providers in order until one has an answer that settles the message.

    A message that may have left is never given to the next one, and one that was refused is
    refused. `connections` is the least of theirs, so that whichever is asked has one free.
    Where none could be asked the message is postponed: that is no try.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        clock: Clock,
        setting: str = "",
        metrics: Metrics | None = None,
    ) -> None:
        self.name = "+".join(dict.fromkeys(provider.name for provider in providers))
        self.providers = tuple(providers)
        self.connections = min(provider.connections for provider in providers)
        self._clock = clock
        self._resting = [Resting(provider, clock, setting, metrics) for provider in providers]

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
            if delivery.outcome is not DeliveryOutcome.RETRY:
                return delivery
            if delivery.code in _OURS:
                return _postponed(delivery, timedelta())
            failures.append(delivery)
        tried = [failure for failure in failures if failure.code not in _NO_TRY]
        return _soonest(tried) if tried else self._all_rest(failures)

    async def close(self) -> None:
        """Close every provider's connections."""
        for provider in self.providers:
            await provider.close()

    def _all_rest(self, failures: Sequence[Delivery]) -> Delivery:
        resting = Delivery(
            DeliveryOutcome.POSTPONED,
            code=Trouble.RESTING.value,
            detail="after a failure a provider is left in peace for a while",
        )
        last = failures[-1] if failures else resting
        return _postponed(last, min(one.left() for one in self._resting))


def _postponed(delivery: Delivery, rest: timedelta) -> Delivery:
    return replace(delivery, outcome=DeliveryOutcome.POSTPONED, retry_after=rest)


def _gated_again(failure: Delivery) -> Delivery:
    """Too late for the next provider: at once, if the one that cost the time now rests."""
    if failure.code in _NO_TRY:
        return _postponed(failure, timedelta())
    return replace(failure, retry_after=timedelta()) if failure.code in AILING else failure


def _soonest(failures: Sequence[Delivery]) -> Delivery:
    """The last failure, to be tried again when the first of the providers may be."""
    pauses = [failure.retry_after for failure in failures]
    known = [pause for pause in pauses if pause is not None]
    return replace(failures[-1], retry_after=min(known) if len(known) == len(pauses) else None)
