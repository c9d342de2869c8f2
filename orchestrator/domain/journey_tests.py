"""Tests of journeys: who somebody is, what happens to them, and what they are to receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from difflib import SequenceMatcher
from typing import Any, Final

from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.flows import Channel

TOLERANCE: Final = timedelta(minutes=1)
"""How far from its time a message may be."""
SENT: Final = "sent"
"""What became of a message, where it is no reason of `not_sent`."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a test is about, as they are when it starts.

    `fields` are those of a contact in an event: email, names, attributes and so on.
    """

    fields: Mapping[str, Any]
    created_at: datetime
    last_seen_at: datetime | None = None
    tracking: bool = False
    tags: tuple[str, ...] = ()
    orders: OrderHistory = field(default_factory=OrderHistory)
    consent: Mapping[Channel, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventComes:
    """An event of the shop, or of a message (`message.clicked`)."""

    at: datetime
    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """A new version of the privacy policy is published."""

    at: datetime


@dataclass(frozen=True, slots=True)
class EnteredByHand:
    """Somebody of the staff enters the person into a flow."""

    at: datetime
    flow: str
    fields: Mapping[str, Any]


Happening = EventComes | PolicyChanges | EnteredByHand


@dataclass(frozen=True, slots=True)
class Told:
    """A message that is wanted or was got; `outcome` is `sent` or the reason why not.

    A wanted one without flow or step may be of any.
    """

    at: datetime
    channel: Channel
    template: str
    outcome: str = SENT
    flow: str | None = None
    step: str | None = None
    problem: str = ""
    """What kept a message from being rendered."""

    def is_met_by(self, got: Told) -> bool:
        """Whether what was got is what is wanted here."""
        return (
            self.looks_like(got)
            and abs(got.at - self.at) <= TOLERANCE
            and self.flow in (None, got.flow)
            and self.step in (None, got.step)
        )

    def looks_like(self, got: Told) -> bool:
        """The same, but for its time and place."""
        mine = (self.channel, self.template, self.outcome)
        return mine == (got.channel, got.template, got.outcome)


@dataclass(frozen=True, slots=True)
class JourneyTest:
    """One test; `line` and `column` are where it begins in its file."""

    name: str
    person: Person
    start: datetime
    zone: tzinfo
    happenings: tuple[Happening, ...]
    expect: tuple[Told, ...]
    flow: str | None = None
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """What was wanted beside what was got; None where there is nothing on that side."""

    wanted: Told | None
    got: Told | None

    @property
    def met(self) -> bool:
        """Whether the two agree."""
        return bool(self.wanted and self.got and self.wanted.is_met_by(self.got))


def compared(wanted: Sequence[Told], got: Sequence[Told]) -> list[Pair]:
    """Both lists side by side; messages that look alike stand in one row."""
    pairs: list[Pair] = []
    matcher = SequenceMatcher(a=_looks(wanted), b=_looks(got), autojunk=False)
    for _, a, b, c, d in matcher.get_opcodes():
        left, right = wanted[a:b], got[c:d]
        pairs += [
            Pair(
                left[place] if place < len(left) else None,
                right[place] if place < len(right) else None,
            )
            for place in range(max(len(left), len(right)))
        ]
    return pairs


def _looks(side: Sequence[Told]) -> list[tuple[Channel, str, str]]:
    return [(one.channel, one.template, one.outcome) for one in side]
