"""What lets a person into a journey, and what takes them out of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.domain.durations import Duration

if TYPE_CHECKING:
    from orchestrator.domain.expressions import Expression


@dataclass(frozen=True, slots=True)
class EventMatch:
    """An event by type, and a condition on it (`event` is the event that arrives)."""

    event: str
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Enter when an event arrives; with `each`, once per element of that list (`item`)."""

    event: str
    where: Expression | None = None
    each: Expression | None = None


class Current(StrEnum):
    """What happens to people already in a segment when the flow is first loaded."""

    ENTER = "enter"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class SegmentTrigger:
    """Enter on joining a segment."""

    segment: str
    current: Current = Current.SKIP


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """Enter an audience by cron, or once at `moment`; both in the brand's time zone."""

    cron: str | None = None
    moment: datetime | None = None
    """Naive on purpose: local time in the brand's time zone."""


class Repeat(StrEnum):
    """How often a date counts."""

    YEARLY = "yearly"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class DateTrigger:
    """Enter near a date of the contact; `offset` is negative before it."""

    date: Expression
    offset_days: int = 0
    at: time = time(9, 0)
    repeat: Repeat = Repeat.YEARLY


@dataclass(frozen=True, slots=True)
class PolicyChangeTrigger:
    """Enter everybody once when a document gets a new version."""

    document: str = "privacy"


@dataclass(frozen=True, slots=True)
class ManualTrigger:
    """Enter only by hand."""


Trigger = (
    EventTrigger
    | SegmentTrigger
    | ScheduleTrigger
    | DateTrigger
    | PolicyChangeTrigger
    | ManualTrigger
)


class Again(StrEnum):
    """Whether somebody who was in a journey may enter it again under the same key."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER = "after"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Reenter:
    """The re-entry rule; `after` counts from the last entry and is set for AFTER alone."""

    again: Again = Again.NEVER
    after: Duration | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What the journey is for: measured within a window, never ends a run."""

    events: tuple[EventMatch, ...]
    within: timedelta
