"""The surroundings: time, identities, metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time: aware UTC."""

    def now(self) -> datetime:
        """The present moment."""
        ...


class Ids(Protocol):
    """New identities, ordered by time."""

    def new(self) -> str:
        """A UUIDv7 (RFC 9562 section 5.7) in its canonical text form."""
        ...


class Metrics(Protocol):
    """Counters and durations for whoever watches."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one measurement; durations are in seconds."""
        ...
