"""People, their consent, their events, and whom not to write to."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from orchestrator.domain.contacts import Contact, normalise_email
from orchestrator.domain.errors import NotFound
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.ports import UnitOfWork
from orchestrator.web.api.models import ConsentOut, ContactOut, EventOut, SuppressionOut
from orchestrator.web.parts import WebParts

Id = Annotated[str, Path(max_length=64)]
Text = Annotated[str | None, Query(max_length=255)]
Limit = Annotated[int, Query(ge=1, le=500)]
"""Rows at once."""


def people_routes(parts: WebParts) -> APIRouter:
    """Routes about people."""
    router = APIRouter(tags=["people"])
    _add_contacts(router, parts)
    _add_consents(router, parts)
    _add_events(router, parts)
    _add_suppressions(router, parts)
    return router


def _add_contacts(router: APIRouter, parts: WebParts) -> None:
    @router.get("/contacts")
    async def contacts(
        email: Text = None,
        phone: Text = None,
        external_id: Text = None,
        after: Text = None,
        limit: Limit = 100,
    ) -> list[ContactOut]:
        """The people whom an address, a number (E.164) or the shop's own id leads to.

        Without any of them everybody, by id; for the next page give `after` the last id.
        """
        last = ContactId(uuid_of(after)) if after else None
        identities = identities_of(email, phone, external_id)
        everybody = not (email or phone or external_id)

        def work(uow: UnitOfWork) -> list[ContactOut]:
            found = uow.contacts.page(last, limit) if everybody else people_by(uow, identities)
            return [ContactOut.model_validate(contact) for contact in found]

        return await parts.database.query(work)

    @router.get("/contacts/{contact_id}")
    async def contact(contact_id: Id) -> ContactOut:
        """A person."""
        return ContactOut.model_validate(
            await parts.database.query(lambda uow: person(uow, contact_id))
        )


def _add_consents(router: APIRouter, parts: WebParts) -> None:
    @router.get("/contacts/{contact_id}/consents")
    async def consents_of(contact_id: Id) -> list[ConsentOut]:
        """Where a person stands on each channel and topic."""
        return await parts.database.query(lambda uow: _consents(uow, contact_id))

    @router.get("/consents")
    async def consents(email: Text = None, phone: Text = None) -> list[ConsentOut]:
        """Where the people behind an address or a number stand."""
        identities = identities_of(email, phone, None)

        def work(uow: UnitOfWork) -> list[ConsentOut]:
            people = people_by(uow, identities)
            return [state for contact in people for state in _consents(uow, contact.id)]

        return await parts.database.query(work)


def _add_events(router: APIRouter, parts: WebParts) -> None:
    @router.get("/events")
    async def events(
        contact_id: Annotated[str, Query(max_length=64)], before: Text = None, limit: Limit = 100
    ) -> list[EventOut]:
        """A person's events, the newest first; for the next page give `before` the last id."""
        last = EventId(uuid_of(before)) if before else None

        def work(uow: UnitOfWork) -> list[EventOut]:
            found = uow.events.of_contact(person(uow, contact_id).id, limit, last)
            return [EventOut.model_validate(one) for one in found]

        return await parts.database.query(work)

    @router.get("/events/{event_id}")
    async def event(event_id: Id) -> EventOut:
        """A stored event."""
        wanted = EventId(uuid_of(event_id))

        def work(uow: UnitOfWork) -> EventOut:
            found = uow.events.load([wanted]).get(wanted)
            if found is None:
                raise NotFound(f"there is no event {event_id}")
            return EventOut.model_validate(found)

        return await parts.database.query(work)


def _add_suppressions(router: APIRouter, parts: WebParts) -> None:
    @router.get("/suppressions")
    async def suppressions(
        address: Annotated[str, Query(max_length=255)], channel: Channel | None = None
    ) -> list[SuppressionOut]:
        """Whether an address is suppressed; only keyed hashes are stored, so none are listed."""
        wanted = [(one, address) for one in ([channel] if channel else Channel)]
        found = await parts.database.query(lambda uow: uow.suppressions.find(wanted))
        return [
            SuppressionOut(channel=one, address=given, hard=hard)
            for (one, given), hard in found.items()
        ]


def uuid_of(text: str) -> str:
    """An id in its canonical form; what is no UUID names nothing. Raises NotFound."""
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFound(f"{text} is not an id") from None


def identities_of(
    email: str | None, phone: str | None, external_id: str | None
) -> list[tuple[str, str]]:
    """(kind, value) of what was asked for, normalised."""
    address = normalise_email(email) if email else None
    given = [("id", external_id), ("email", address), ("phone", phone)]
    return [(kind, value) for kind, value in given if value]


def people_by(uow: UnitOfWork, identities: list[tuple[str, str]]) -> list[Contact]:
    """The people whom identities lead to, each once."""
    ids = [uow.contacts.find(kind, value) for kind, value in identities]
    wanted = list(dict.fromkeys(one for one in ids if one is not None))
    found = uow.contacts.load(wanted)
    return [found[one] for one in wanted if one in found]


def person(uow: UnitOfWork, contact_id: str) -> Contact:
    """A contact by id. Raises NotFound."""
    wanted = ContactId(uuid_of(contact_id))
    found = uow.contacts.load([wanted]).get(wanted)
    if found is None:
        raise NotFound(f"there is no contact {contact_id}")
    return found


def _consents(uow: UnitOfWork, contact_id: str) -> list[ConsentOut]:
    states = uow.consents.states([person(uow, contact_id).id])
    return [ConsentOut.model_validate(one) for found in states.values() for one in found]
