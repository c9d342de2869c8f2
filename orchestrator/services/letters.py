"""A message made again as it was sent: for its recipient to see it in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes, policy

from orchestrator.domain.errors import NotFound, PermanentError
from orchestrator.domain.facts import output_names
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import VersionHash
from orchestrator.ports import (
    Database,
    FlowLibrary,
    LinkClaims,
    RenderedMessage,
    RenderRequest,
    UnitOfWork,
)
from orchestrator.services.people import followed, present
from orchestrator.services.runs import read_backdrop


@dataclass(frozen=True, slots=True)
class Letter:
    """What a message says: the HTML of a mail, the text of any other."""

    channel: Channel
    words: str


class Letters:
    """Makes sent messages again.

    Bodies are not kept: the templates that were live when a message was sent are, and the facts
    are read as they stand now. What was changed or erased since shows as it is today.
    """

    def __init__(self, database: Database, library: FlowLibrary) -> None:
        self._database = database
        self._library = library

    async def view(self, claims: LinkClaims) -> Letter | None:
        """The message of a link; None if it was not sent, or its person or template is gone.

        Raises TransientError if the database cannot be reached.
        """
        found = await self._database.query(lambda uow: self._request(uow, claims))
        if found is None:
            return None
        version, request = found
        try:
            return _letter(self._library.renderer(version).render(request))
        except (NotFound, PermanentError):
            return None

    def _request(
        self, uow: UnitOfWork, claims: LinkClaims
    ) -> tuple[VersionHash, RenderRequest] | None:
        asked = [claims.message_id] if claims.message_id else []
        message = next(iter(uow.messages.load(asked).values()), None)
        if message is None or message.sending_at is None:
            return None
        version = uow.versions.live_at(message.sending_at)
        person = present(followed(uow.contacts.load, message.contact_id))
        run = uow.enrolments.load([message.enrolment_id]).get(message.enrolment_id)
        if version is None or person is None or run is None:
            return None
        backdrop = read_backdrop(uow, [run], {person.id: person})
        event = backdrop.events.get(run.event_id) if run.event_id else None
        outputs = output_names(run.outputs, backdrop.messages.get(run.id, ()))
        book, sent_at = self._library.book(version), message.sending_at
        facts = {**outputs, **backdrop.names(book, person, event, sent_at)}
        return version, RenderRequest(message, person, facts, sent_at)


def _letter(made: RenderedMessage) -> Letter:
    if made.channel is not Channel.EMAIL:
        return Letter(made.channel, made.body.decode())
    mail = message_from_bytes(made.body, policy=policy.default)
    html = mail.get_body(("html",))
    return Letter(made.channel, html.get_content() if html else "")
