"""Where people stand in the versions of the flows: what publishing has to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, EnrolmentId, VersionHash


@dataclass(frozen=True, slots=True)
class Standing:
    """How many live runs stand at a step of a version; None is before the first."""

    flow: str
    version: VersionHash
    step: str | None
    runs: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages of a template wait to be sent."""

    flow: str
    step: str
    channel: Channel
    template: str
    messages: int


@dataclass(frozen=True, slots=True)
class Move:
    """A run's place in another version."""

    id: EnrolmentId
    version: VersionHash
    step: str | None


class Standings(Protocol):
    """Live runs and waiting messages, counted; and runs taken to another version."""

    def runs(self) -> list[Standing]:
        """Every place where somebody stands."""
        ...

    def waiting(self) -> list[Waiting]:
        """Every template of which a message is queued or held."""
        ...

    def outside(
        self, flow: str, version: VersionHash, after: ContactId | None, limit: int
    ) -> list[ContactId]:
        """The next people with a live run of a flow in another version than this."""
        ...

    def move(self, moves: Sequence[Move], now: datetime) -> None:
        """Take live runs to their new places; they are due at once."""
        ...
