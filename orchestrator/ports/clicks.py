"""Followed links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from orchestrator.domain.clicks import Click
from orchestrator.domain.identifiers import ClickId, MessageId


class Clicks(Protocol):
    """Links that were followed, and by whom."""

    def insert(self, one: Click) -> None:
        """Store a click, to be settled later."""
        ...

    def unsettled(self, before: datetime, limit: int) -> list[Click]:
        """The oldest clicks before a moment that nobody has settled, locked against others."""
        ...

    def of_messages(self, ids: Iterable[MessageId]) -> list[Click]:
        """Every click on links of these messages."""
        ...

    def settle(self, machines: Mapping[ClickId, bool]) -> None:
        """Write down of each click whether it was a machine's."""
        ...
