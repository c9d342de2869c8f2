"""People: found by what identifies them or by their names, and each one's whole story."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from orchestrator.domain.identifiers import ContactId
from orchestrator.services.listings import PeoplePage, people_page, story_of
from orchestrator.sources.phones import normalise_phone
from orchestrator.web.pages.frame import Frame, Visit
from orchestrator.web.pages.outbox import Outbox
from orchestrator.web.pages.story import consents_of, facts_of, name_of, timeline
from orchestrator.web.parts import WebParts


class PeoplePages:
    """`/people` and `/people/{contact}`."""

    def __init__(self, parts: WebParts, frame: Frame, outbox: Outbox) -> None:
        self._parts = parts
        self._frame = frame
        self._outbox = outbox

    async def people(self, visit: Visit) -> Response:
        """People, the newest first, or those that a search names; beyond doubt: their page."""
        text, before = visit.asked("q"), _uuid(visit.asked("before"))
        found = await self._parts.database.query(
            lambda uow: people_page(uow, text, before, normalise_phone, None)
        )
        if found.exact:
            return RedirectResponse(f"/people/{found.people[0].id}", 303)
        return await self._frame.page(
            visit,
            "people.html",
            here="people",
            text=text,
            people=[
                (person, name_of(person), visit.when(person.created_at)) for person in found.people
            ],
            older=_older(text, found),
            paged=before is not None,
        )

    async def person(self, visit: Visit) -> Response:
        """One person: consent first, then everything that happened, the newest first."""
        wanted = _uuid(visit.request.path_params["contact"])
        story = await self._parts.database.query(lambda uow: story_of(uow, wanted or ""))
        if story is None:
            return await self._frame.missing(visit, "Nobody is known under this id.", "people")
        if story.view.contact.id != wanted:
            return RedirectResponse(f"/people/{story.view.contact.id}", 303)
        return await self._frame.page(
            visit,
            "person.html",
            here="people",
            name=name_of(story.view.contact),
            person=story.view.contact,
            facts=facts_of(story.view.contact, visit),
            consents=consents_of(story.view, visit),
            days=timeline(story, visit, self._outbox),
            zone=str(visit.zone),
            cut=story.more_events,
        )


def _older(text: str, found: PeoplePage) -> str:
    """The address of the next page; empty on the last one."""
    if not found.more:
        return ""
    asked: Sequence[tuple[str, str]] = (("q", text), ("before", found.people[-1].id))
    return "/people?" + urlencode([pair for pair in asked if pair[1]])


def _uuid(text: str) -> ContactId | None:
    try:
        return ContactId(str(UUID(text)))
    except ValueError:
        return None
