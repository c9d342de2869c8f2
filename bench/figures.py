"""What a measurement of the engine, or of a baseline, found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Figures:
    """CPU in seconds over all messages, lateness in seconds, sorted."""

    name: str
    messages: int
    events_per_second: float = 0.0
    cpu_in: float = 0.0
    """From the first request until every run waited: daemon and database."""
    cpu_daemon: float = 0.0
    """From the due moment until the last message was settled, as the two below."""
    cpu_database: float = 0.0
    cpu_sink: float = 0.0
    seconds_out: float = 0.0
    """From the due moment to the last message accepted."""
    lateness: list[float] = field(default_factory=list)
    lateness_paced: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    bytes_each: int = 0
    arrived: int = 0
    twice: int = 0
    states: dict[str, int] = field(default_factory=dict)
    agrees: bool = False
    all_waited: bool = True
    """Whether every run stood in its wait before the due moment."""

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds_out if self.seconds_out > 0 else 0.0

    @property
    def cpu_per_thousand(self) -> float:
        """CPU seconds of daemon and database for 1,000 messages out."""
        return (self.cpu_daemon + self.cpu_database) * 1000 / self.messages

    def per_thousand(self, cpu: float) -> float:
        return cpu * 1000 / self.messages


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
