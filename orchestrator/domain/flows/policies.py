"""When and how often messages may go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Final

from orchestrator.domain.flows.brand import Channel, MessageClass


@dataclass(frozen=True, slots=True)
class ClockWindow:
    """From one clock time to another, over midnight when it ends before it starts."""

    start: time
    end: time

    def __str__(self) -> str:
        """`20:00-09:00`."""
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` messages in a rolling `period`, or in one local day."""

    limit: int
    period: timedelta
    calendar: bool = False


class Lateness(StrEnum):
    """What becomes of a message that could not go out on time."""

    SEND = "send"
    SKIP = "skip"
    SEND_WITHIN = "send within"
    NEXT_WINDOW = "next window"


@dataclass(frozen=True, slots=True)
class IfLate:
    """The rule for late messages; `within` is set for SEND_WITHIN alone."""

    lateness: Lateness = Lateness.SEND
    within: timedelta | None = None


class NotAllowed(StrEnum):
    """What a run does when the gate refuses its message."""

    SKIP = "skip"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Policy:
    """Hours and caps per channel. A key left out falls back to the policy below it."""

    quiet_hours: Mapping[Channel, tuple[ClockWindow, ...]] = field(default_factory=dict)
    caps: Mapping[Channel, tuple[Cap, ...]] = field(default_factory=dict)
    if_late: IfLate | None = None

    def over(self, below: Policy) -> Policy:
        """This policy with its gaps, channel by channel, filled from another."""
        return Policy(
            quiet_hours={**below.quiet_hours, **self.quiet_hours},
            caps={**below.caps, **self.caps},
            if_late=self.if_late or below.if_late,
        )


BUILT_IN: Final = Policy(
    caps={channel: (Cap(3, timedelta(days=1)),) for channel in Channel},
    if_late=IfLate(),
)
"""Without any words about it: three marketing messages per channel and day."""


def effective_policy(
    message_class: MessageClass, *, default: Policy, own: tuple[Policy, ...]
) -> Policy:
    """What holds for one send: its own policies (nearest first) over the file's default.

    Caps bind marketing alone. A transactional message keeps quiet hours only when its own
    policy asks for them.
    """
    asked = Policy()
    for policy in reversed(own):
        asked = policy.over(asked)
    full = asked.over(default.over(BUILT_IN))
    hours = asked if message_class is MessageClass.TRANSACTIONAL else full
    return Policy(
        quiet_hours=hours.quiet_hours,
        caps=full.caps if message_class is MessageClass.MARKETING else {},
        if_late=full.if_late,
    )
