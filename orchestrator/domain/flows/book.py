"""Everything one flows.yaml says, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from orchestrator.domain.flows.brand import Brand, Channel, MessageClass, Topic
from orchestrator.domain.flows.policies import Policy
from orchestrator.domain.flows.steps import Step
from orchestrator.domain.flows.triggers import EventMatch, Goal, Reenter, Trigger

if TYPE_CHECKING:
    from orchestrator.domain.expressions import Expression


class Stage(StrEnum):
    """Where a journey stands in a customer's life; for maps and reports."""

    AWARENESS = "awareness"
    CONSIDERATION = "consideration"
    PURCHASE = "purchase"
    RETENTION = "retention"
    ADVOCACY = "advocacy"


class OnChange(StrEnum):
    """What a new version does with the people inside."""

    FINISH_OLD = "finish_old"
    MOVE_TO_NEW = "move_to_new"


class AttributeType(StrEnum):
    """What a declared attribute of a contact holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Flow:
    """One journey. `program` holds its steps by id, in the order of the file."""

    name: str
    title: str
    flow_class: MessageClass
    topic: str | None
    via: tuple[Channel, ...]
    triggers: tuple[Trigger, ...]
    program: Mapping[str, Step]
    first: str | None
    policy: Policy
    description: str = ""
    stage: Stage | None = None
    key: Expression | None = None
    reenter: Reenter = field(default_factory=Reenter)
    audience: Expression | None = None
    exits: tuple[EventMatch, ...] = ()
    goal: Goal | None = None
    holdout_percent: Decimal = Decimal(0)
    sunset: timedelta | None = None
    priority: int = 50
    spread: timedelta | None = None
    on_change: OnChange = OnChange.FINISH_OLD
    moved: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in the order of the file."""
        return tuple(self.program.values())


TableValue = Decimal | timedelta | str


@dataclass(frozen=True, slots=True)
class FlowBook:
    """A whole flows.yaml. `version_hash` is the SHA-256 of its content in hexadecimal.

    Comments, layout and the order of keys do not change the hash.
    """

    version_hash: str
    brand: Brand
    topics: Mapping[str, Topic]
    policies: Mapping[str, Policy]
    segments: Mapping[str, Expression]
    attributes: Mapping[str, AttributeType]
    tables: Mapping[str, Mapping[str, TableValue]]
    flows: Mapping[str, Flow]
