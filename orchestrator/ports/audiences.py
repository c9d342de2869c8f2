"""Stores of who is inside which segment, and of the versions of the privacy policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.domain.expressions import Expression, Value
from orchestrator.domain.identifiers import ContactId


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is meant: a condition that can be asked of everybody, and what it may name."""

    condition: Expression
    segments: Mapping[str, Expression]
    tables: Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class SegmentWatch:
    """How far the look at one flow's segment has come.

    `condition` is the fingerprint of what is looked for, `cursor` the last person looked at
    (None: the look begins). A baseline only records who is inside. `revision` counts the
    changes: whoever makes the next one does the work.
    """

    flow: str
    segment: str
    condition: str
    baseline: bool
    started_at: datetime
    revision: int = 0
    cursor: ContactId | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Who came and who went among the people after a cursor, up to `upto` (None: all of them)."""

    upto: ContactId | None
    joined: tuple[ContactId, ...]
    left: tuple[ContactId, ...]


@dataclass(frozen=True, slots=True)
class PrivacyVersion:
    """A version of the privacy policy that has been live, and how far people were told of it."""

    version: str
    published_at: datetime
    cursor: ContactId | None = None
    finished_at: datetime | None = None


class Audiences(Protocol):
    """Who is inside a segment, remembered from look to look."""

    def watches(self) -> list[SegmentWatch]:
        """Every watch, by flow and segment."""
        ...

    def advance(self, watch: SegmentWatch) -> bool:
        """Store a watch if its revision follows the stored one; False if somebody else did."""
        ...

    def compare(  # what is looked for, where it begins, how much at once
        self, audience: Audience, watch: SegmentWatch, now: datetime, window: int, most: int
    ) -> Difference:
        """Look at up to `window` people after the cursor, until `most` have joined."""
        ...

    def join(
        self, audience: Audience, watch: SegmentWatch, ids: Iterable[ContactId], now: datetime
    ) -> list[ContactId]:
        """Record those of whom the condition (still) holds; returns who was no member before."""
        ...

    def leave(
        self, audience: Audience, watch: SegmentWatch, ids: Iterable[ContactId], now: datetime
    ) -> None:
        """Remove the members of whom the condition does not hold (any more)."""
        ...

    def forget(self, flow: str, segment: str, limit: int) -> int:
        """Remove up to `limit` members; once there are none, the watch. Returns how many went."""
        ...

    def people(self, after: ContactId | None, created_by: datetime, limit: int) -> list[ContactId]:
        """The next people who existed at a moment; neither merged nor erased ones."""
        ...


class PrivacyVersions(Protocol):
    """Which versions of the privacy policy have been live."""

    def record(self, version: str, now: datetime) -> None:
        """Remember a version that goes live; a known one stays as it is.

        The first one ever is the baseline: nobody has to be told.
        """
        ...

    def lock(self, version: str) -> PrivacyVersion | None:
        """A version of which people are still being told, unless somebody else is at it."""
        ...

    def told(self, version: str, cursor: ContactId | None, finished_at: datetime | None) -> None:
        """Remember how far people were told."""
        ...

    def known(self) -> list[PrivacyVersion]:
        """Every version that has been live, oldest first."""
        ...
