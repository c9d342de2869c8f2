"""What an event means to a live run: an exit, something awaited, or news of its own message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.events import CANONICAL_TYPES, Event
from orchestrator.domain.expressions import (
    Facts,
    holds,
)
from orchestrator.domain.facts import event_names
from orchestrator.domain.flows import (
    EventMatch,
    Flow,
    Since,
    Step,
    WaitForStep,
)
from orchestrator.domain.journey import HEARD, Situation, standing
from orchestrator.domain.purchases import completes
from orchestrator.domain.timing import after

_PERSONAL_TYPES: Final = CANONICAL_TYPES - {"product.restocked", "product.price_changed"}
"""Events that are about one person, whether or not they say who it is."""

ENGAGEMENT: Final = {
    "message.clicked": "clicked",
    "message.opened": "opened",
    "message.replied": "replied",
}
"""What a person does with a message, and the word for it in the step's output."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event means to a live run."""

    exits: bool = False
    wakes: bool = False
    outputs: Mapping[str, Any] | None = None


def hear(situation: Situation, event: Event) -> Heard:
    """Whether an event ends a run, or wakes it from what it waits for."""
    if _precedes(situation, event):
        return Heard()
    flow = situation.flow
    current, began = standing(situation, event.received_at)
    on_condition = isinstance(current, WaitForStep) and current.condition is not None
    if exits_on(situation, event):
        return Heard(exits=True)
    outputs = _note_engagement(situation, event)
    if event.type in awaited_types(flow):
        known = replace(situation.enrolment, outputs=outputs or situation.enrolment.outputs)
        knowing = replace(situation, enrolment=known)
        outputs = _note_awaited(knowing, event, current, began) or outputs
    awaited = outputs is not None and isinstance(current, WaitForStep)
    return Heard(wakes=on_condition or awaited, outputs=outputs)


def _precedes(situation: Situation, event: Event) -> bool:
    """Whether an event that names nobody came before the run did.

    A person's own events are heard in their order, so that no clock needs to be trusted.
    """
    return event.contact_id is None and event.received_at < situation.enrolment.entered_at


def _note_engagement(situation: Situation, event: Event) -> dict[str, Any] | None:
    """The run's outputs with a click, opening or reply of one of its messages, if it is news.

    The event names the step, and the message too where the person has several runs.
    """
    word = ENGAGEMENT.get(event.type)
    data = event.payload.get("data")
    told = {**(data if isinstance(data, Mapping) else {}), **event.payload}
    step, message_id = told.get("step"), told.get("message_id")
    mine = [message for message in situation.messages if message.step == step]
    if message_id is not None:
        mine = [message for message in mine if message.id == message_id]
    if word is None or not mine:
        return None
    outputs = situation.enrolment.outputs
    before = outputs.get(str(step))
    known = dict(before) if isinstance(before, Mapping) else {}
    return None if known.get(word) is True else {**outputs, str(step): {**known, word: True}}


def awaited_types(flow: Flow) -> frozenset[str]:
    """The types of events that can end a run of this flow, or that one may wait for."""
    waits = (step for step in flow.program.values() if isinstance(step, WaitForStep))
    awaited = {match.event for step in waits for match in step.events}
    return frozenset(awaited | {match.event for match in flow.exits})


def exits_on(situation: Situation, event: Event) -> bool:
    """Whether an event ends a run: what the gate asks of events nobody has processed yet.

    That a checkout is completed is as good as its order, for the runs which it began.
    """
    if _precedes(situation, event):
        return False
    types = {event.type}
    if completes(event.type, event.payload, situation.names.get("event")):
        types.add("order.placed")
    exits = [replace(one, event=event.type) for one in situation.flow.exits if one.event in types]
    scope = with_event(situation, event) if exits else None
    return scope is not None and any(matches(match, event, scope) for match in exits)


def with_event(situation: Situation, event: Event) -> Facts:
    """The run's scope in which `event` is the event that has just arrived."""
    scope = situation.scope(situation.enrolment.outputs)
    return replace(scope, names={**scope.names, "event": event_names(event)})


def matches(match: EventMatch, event: Event, scope: Facts) -> bool:
    """Whether an event is the one meant.

    A person's event that names nobody (a guest's order) could be anybody's: only a condition
    can tell whose.
    """
    if match.event != event.type:
        return False
    if match.where is None:
        return event.contact_id is not None or event.type not in _PERSONAL_TYPES
    return holds(match.where, scope)


def _note_awaited(
    situation: Situation, event: Event, current: Step | None, began: datetime
) -> dict[str, Any] | None:
    """The run's outputs with the awaited event noted, or None if it is of no interest.

    `current` is where the run stood when the event came, since `began`. That an event which
    names nobody came after this has to be asked; a person's own are heard in turn.
    """
    outputs = situation.enrolment.outputs
    scope = with_event(situation, event)
    known = outputs.get(HEARD, {})
    new = {
        step.id: event.id
        for step in situation.flow.program.values()
        if isinstance(step, WaitForStep)
        and step.id not in known
        and (
            (event.contact_id is not None or began <= event.received_at)
            and event.received_at <= after(step.within, began, situation.zone)
            if step is current
            else step.since is Since.ENTRY
        )
        and any(matches(match, event, scope) for match in step.events)
    }
    return {**outputs, HEARD: {**known, **new}} if new else None
