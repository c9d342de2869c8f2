"""Enrolments: one contact's way through one flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from orchestrator.domain.identifiers import ContactId, EnrolmentId, EventId, VersionHash


class EndReason(StrEnum):
    """Why a run is over."""

    COMPLETED = "completed"  # past its last step
    EXITED = "exited"  # an exit event came
    LEFT = "left"  # an exit step, or a refused message with `if_not_allowed: exit`
    RESTARTED = "restarted"  # a new entry under `reenter: restart` took its place
    MERGED = "merged"  # its contact was merged into another with the same run
    ERASED = "erased"  # its contact was erased


FINISHED: Final = frozenset({EndReason.COMPLETED, EndReason.LEFT})
"""Ends a run came to by itself: a message that somebody releases afterwards may still go."""


@dataclass(frozen=True, slots=True)
class NewEnrolment:
    """A run to insert. Its waits count from `entered_at`: when what let it in was received."""

    id: EnrolmentId
    flow: str
    version: VersionHash
    contact_id: ContactId
    key: str
    entry: int
    event_id: EventId | None
    step: str | None
    entered_at: datetime
    due_at: datetime | None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    step_started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A run as stored. `step` is where it stands; None before the first and after the last."""

    id: EnrolmentId
    flow: str
    version: VersionHash
    contact_id: ContactId
    key: str
    entry: int
    event_id: EventId | None
    step: str | None
    step_started_at: datetime | None
    due_at: datetime | None
    outputs: Mapping[str, Any]
    entered_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    attempts: int
    lease_token: str | None = None


@dataclass(frozen=True, slots=True)
class LastEntry:
    """The newest run of a person, flow and key, for the re-entry rule."""

    id: EnrolmentId
    entry: int
    entered_at: datetime
    live: bool
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EnrolmentUpdate:
    """Where a run stands after a decision; `due_at` None means only an event can wake it."""

    id: EnrolmentId
    step: str | None
    step_started_at: datetime | None
    due_at: datetime | None
    outputs: Mapping[str, Any]
    ended_at: datetime | None = None
    end_reason: str | None = None
