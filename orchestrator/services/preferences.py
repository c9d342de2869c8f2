"""What a person decides on our pages: written to the ledger, and told to the journeys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from orchestrator.domain.consent import ConsentState, Method
from orchestrator.domain.contacts import Contact
from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import FlowBook
from orchestrator.domain.identifiers import ContactId, EventId
from orchestrator.ports import (
    Clock,
    Database,
    FlowLibrary,
    Ids,
    Lane,
    LinkClaims,
    NewEvent,
    UnitOfWork,
)
from orchestrator.services.consent import Visit, entries_for_unsubscribe
from orchestrator.services.ingest import OWN_SOURCE

UNSUBSCRIBE_PAGE: Final = "/u"


class Preferences:
    """Acts on signed links."""

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids

    async def unsubscribe(self, claims: LinkClaims) -> bool:
        """Withdraw what the link names (RFC 8058); True if that changed anything.

        It holds once this returns: the gate reads the ledger under the same contact's lock.
        A link of somebody who was erased has nothing left to withdraw.
        """
        return await self._database.run(
            Lane.INTAKE, lambda uow: self._unsubscribe(uow, claims, self._clock.now())
        )

    def _unsubscribe(self, uow: UnitOfWork, claims: LinkClaims, now: datetime) -> bool:
        person = _locked(uow, claims.contact_id)
        if person is None or claims.channel is None:
            return False
        visit = Visit(UNSUBSCRIBE_PAGE, Method.ONE_CLICK, claims.message_id)
        entries = entries_for_unsubscribe(
            person, claims.channel, claims.topic, visit, self._book(), now
        )
        changed = uow.consents.append(entries, now)
        if changed:
            uow.events.insert([self._event(person.id, claims, changed, now)])
        return bool(changed)

    def _event(
        self,
        contact_id: ContactId,
        claims: LinkClaims,
        changed: Sequence[ConsentState],
        now: datetime,
    ) -> NewEvent:
        """`contact.unsubscribed`, for journeys alone: the ledger has it already."""
        event_id = EventId(self._ids.new())
        topics = sorted({state.topic for state in changed})
        channel = claims.channel.value if claims.channel else ""
        event = IncomingEvent(
            source=OWN_SOURCE,
            source_id=f"contact.unsubscribed:{event_id}",
            type="contact.unsubscribed",
            occurred_at=now,
            contact=None,
            payload={"consent": {channel: "no"}, "data": {"topics": topics}},
        )
        return NewEvent(event_id, contact_id, now, event)

    def _book(self) -> FlowBook | None:
        try:
            return self._library.book(self._library.live())
        except NotFound:
            return None


def _locked(uow: UnitOfWork, contact_id: ContactId) -> Contact | None:
    """The contact of a link, locked; a merged one's link means whom it was merged into."""
    person = uow.contacts.lock([contact_id]).get(contact_id)
    while person is not None and person.merged_into is not None:
        contact_id = person.merged_into
        person = uow.contacts.lock([contact_id]).get(contact_id)
    return person
