"""A template as somebody would get it: a made-up person, or one the shop knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

from orchestrator.domain.contacts import Contact
from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import Event
from orchestrator.domain.flows import (
    Channel,
    EventTrigger,
    Flow,
    FlowBook,
    MessageClass,
    SendStep,
)
from orchestrator.domain.identifiers import VersionHash
from orchestrator.ports import Renderer, UnitOfWork
from orchestrator.services.runs import read_backdrop
from orchestrator.services.samples import Scene, sample_scene

_LOOK_BACK = 200
"""A person's newest events among which one is looked for that a journey begins with."""


@dataclass(frozen=True, slots=True)
class FilesLibrary:
    """The `FlowLibrary` of files that are not published: one version, and it is live."""

    flows: FlowBook
    rendered_by: Renderer

    def live(self) -> VersionHash:
        """The only version there is."""
        return VersionHash(self.flows.version_hash)

    def book(self, version: VersionHash) -> FlowBook:
        """Its flows."""
        del version
        return self.flows

    def renderer(self, version: VersionHash) -> Renderer:
        """Its templates."""
        del version
        return self.rendered_by


def sending_step(book: FlowBook, template: str, channel: Channel) -> tuple[Flow, SendStep]:
    """The step that sends a template; for one that no step names yet, what a new one would be.

    Raises NotFound if the flows send nothing at all.
    """
    sends = [
        (flow, step)
        for flow in book.flows.values()
        for step in flow.steps
        if isinstance(step, SendStep)
    ]
    if not sends:
        raise NotFound("no journey sends anything yet; add a step `- send: group/name`")
    for flow, step in sends:
        if step.template == template and channel in step.via:
            return flow, step
    for flow, step in sends:
        if step.template == template:
            return flow, replace(step, via=(channel,))
    marketing = [pair for pair in sends if pair[1].flow_class is MessageClass.MARKETING]
    flow, step = (marketing or sends)[0]
    return flow, replace(step, template=template, via=(channel,), subject=None)


def named_like(template: str, known: list[str]) -> str:
    """What to say to a name that is no template's."""
    near = get_close_matches(template, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def scene_of(
    uow: UnitOfWork,
    book: FlowBook,
    flow: Flow,
    person: Contact,
    now: datetime,
    locale: str | None = None,
) -> Scene:
    """A real person with what they did last that this journey begins with.

    Where nothing of the kind is known, the basket is a sample's.
    """
    shown = replace(person, locale=locale or person.locale)
    types = {trigger.event for trigger in flow.triggers if isinstance(trigger, EventTrigger)}
    newest = next(
        (event for event in uow.events.of_contact(person.id, _LOOK_BACK) if event.type in types),
        None,
    )
    names = _names(uow, book, shown, newest, now)
    if newest is None:
        names = {**sample_scene(book, now).names, "contact": names["contact"]}
    return Scene(shown, names)


def _names(
    uow: UnitOfWork, book: FlowBook, person: Contact, event: Event | None, now: datetime
) -> dict[str, object]:
    backdrop = read_backdrop(uow, [], {person.id: person}, [event] if event else [])
    return backdrop.names(book, person, event, now)
