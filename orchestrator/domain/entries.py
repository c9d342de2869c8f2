"""Who enters which flow, and whether somebody may enter again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import assert_never

from orchestrator.domain.enrolments import LastEntry
from orchestrator.domain.expressions import Facts, holds
from orchestrator.domain.flows import Again, EventTrigger, Flow, FlowBook, Reenter
from orchestrator.domain.timing import after


@dataclass(frozen=True, slots=True)
class FlowIndex:
    """The flows of a version by the type of event that lets people in."""

    by_event: Mapping[str, tuple[tuple[Flow, EventTrigger], ...]]


def index_of(book: FlowBook) -> FlowIndex:
    """Build the index: one look-up per event, however many flows there are."""
    found: dict[str, list[tuple[Flow, EventTrigger]]] = defaultdict(list)
    for flow in book.flows.values():
        for trigger in flow.triggers:
            if isinstance(trigger, EventTrigger):
                found[trigger.event].append((flow, trigger))
    return FlowIndex({event: tuple(pairs) for event, pairs in found.items()})


def lets_in(flow: Flow, trigger: EventTrigger, scope: Facts) -> bool:
    """Whether the trigger's condition and the flow's audience hold."""
    wanted = trigger.where is None or holds(trigger.where, scope)
    return wanted and (flow.audience is None or holds(flow.audience, scope))


class Admission(StrEnum):
    """What a new entry does."""

    ENTER = "enter"
    REFUSE = "refuse"
    RESTART = "restart"  # ends the live run and takes its place


def admission(rule: Reenter, last: LastEntry | None, now: datetime, zone: tzinfo) -> Admission:
    """Whether somebody may enter (again) under the same key. Two runs never overlap."""
    if last is None:
        return Admission.ENTER
    if last.live:
        return Admission.RESTART if rule.again is Again.RESTART else Admission.REFUSE
    match rule.again:
        case Again.NEVER:
            return Admission.REFUSE
        case Again.ALWAYS | Again.RESTART:
            return Admission.ENTER
        case Again.AFTER:
            over = rule.after is None or after(rule.after, last.entered_at, zone) <= now
            return Admission.ENTER if over else Admission.REFUSE
        case _:
            assert_never(rule.again)
