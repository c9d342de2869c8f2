"""How many marketing messages a person may get on a channel, and when there is room again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from orchestrator.domain.flows import Cap


def room_at(caps: Sequence[Cap], sent: Sequence[datetime], now: datetime) -> datetime | None:
    """When the next message fits under every cap; None where it fits now.

    `sent` are the moments at which messages that count began to be sent. A rolling period is
    over `period` after the message that filled it.
    """
    waits = [moment for cap in caps if (moment := _room(cap, sent, now)) is not None]
    return max(waits, default=None)


def _room(cap: Cap, sent: Sequence[datetime], now: datetime) -> datetime | None:
    within = sorted(moment for moment in sent if moment > now - cap.period)
    if len(within) < cap.limit:
        return None
    if cap.limit == 0:
        return now + cap.period
    return within[-cap.limit] + cap.period


def longest(caps: Sequence[Cap]) -> timedelta:
    """How far back the caps look."""
    return max((cap.period for cap in caps), default=timedelta())
