"""What the marketers' pages show of everybody at once: figures, and people found by a few words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.domain.contacts import Contact
from orchestrator.domain.identifiers import ContactId, VersionHash
from orchestrator.domain.messages import MessageState
from orchestrator.domain.passages import Place


@dataclass(frozen=True, slots=True)
class FlowTotals:
    """A flow in figures: runs now, and what has happened since a moment."""

    inside: int = 0
    entered: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class SendCount:
    """Messages of a step that came to the same end."""

    step: str
    state: MessageState
    reason: str | None
    messages: int


class Overview(Protocol):
    """Reads for pages; each figure is one statement over many rows."""

    def totals(self, since: datetime) -> dict[str, FlowTotals]:
        """Of each flow that has any: live runs, and those entered and messages sent since."""
        ...

    def places(
        self, flow: str, since: datetime, *, with_sends: bool
    ) -> list[tuple[VersionHash, Place]]:
        """Where the runs of a flow that entered since then stand or ended.

        What each has sent is dear to ask, and of no use where a flow has no branches.
        """
        ...

    def sends(self, flow: str, since: datetime) -> list[SendCount]:
        """What became of a flow's messages made since then, by step."""
        ...

    def people(self, words: Sequence[str], before: ContactId | None, limit: int) -> list[Contact]:
        """People, the newest first, neither merged nor erased ones.

        Each word must begin their first or last name, or their email address. Only the newest
        people are looked through: see the implementation.
        """
        ...
