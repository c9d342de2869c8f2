"""Journeys, their versions, the runs in them and the messages they sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from orchestrator.domain.errors import NotFound
from orchestrator.domain.flows import Flow, FlowBook
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, VersionHash
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import MessageFilter, StoredVersion, UnitOfWork
from orchestrator.web.api.models import EnrolmentOut, FlowOut, MessageOut, VersionOut
from orchestrator.web.api.people import Id, Limit, Text, identities_of, people_by, person, uuid_of
from orchestrator.web.parts import WebParts


def journey_routes(parts: WebParts) -> APIRouter:
    """Routes about journeys."""
    router = APIRouter(tags=["journeys"])
    _add_flows(router, parts)
    _add_versions(router, parts)
    _add_enrolments(router, parts)
    _add_messages(router, parts)
    return router


def _add_flows(router: APIRouter, parts: WebParts) -> None:
    @router.get("/flows")
    async def flows() -> list[FlowOut]:
        """The journeys of the live version."""
        book = _book(parts)
        return [_flow_out(parts, book, flow) for flow in book.flows.values()]

    @router.get("/flows/{name}")
    async def flow(name: Id) -> FlowOut:
        """A journey of the live version."""
        book = _book(parts)
        if name not in book.flows:
            raise NotFound(f"there is no journey {name}")
        return _flow_out(parts, book, book.flows[name])


def _add_versions(router: APIRouter, parts: WebParts) -> None:
    @router.get("/versions")
    async def versions() -> list[VersionOut]:
        """The version new runs enter with; empty before the first publishing."""

        def work(uow: UnitOfWork) -> list[VersionOut]:
            live = uow.versions.live()
            stored = uow.versions.load(live[1]) if live else None
            return [_version_out(stored, live)] if stored else []

        return await parts.database.query(work)

    @router.get("/versions/{version}")
    async def version(version: Id) -> VersionOut:
        """A version by its hash."""

        def work(uow: UnitOfWork) -> VersionOut:
            stored = uow.versions.load(VersionHash(version))
            if stored is None:
                raise NotFound(f"there is no version {version}")
            return _version_out(stored, uow.versions.live())

        return await parts.database.query(work)


def _add_enrolments(router: APIRouter, parts: WebParts) -> None:
    @router.get("/enrolments")
    async def enrolments(contact_id: Annotated[str, Query(max_length=64)]) -> list[EnrolmentOut]:
        """Every run of a person, the oldest first."""

        def work(uow: UnitOfWork) -> list[EnrolmentOut]:
            runs = uow.enrolments.of_contact(person(uow, contact_id).id)
            return [EnrolmentOut.model_validate(run) for run in runs]

        return await parts.database.query(work)

    @router.get("/enrolments/{enrolment_id}")
    async def enrolment(enrolment_id: Id) -> EnrolmentOut:
        """A run."""
        wanted = EnrolmentId(uuid_of(enrolment_id))

        def work(uow: UnitOfWork) -> EnrolmentOut:
            found = uow.enrolments.load([wanted]).get(wanted)
            if found is None:
                raise NotFound(f"there is no run {enrolment_id}")
            return EnrolmentOut.model_validate(found)

        return await parts.database.query(work)


def _add_messages(router: APIRouter, parts: WebParts) -> None:
    @router.get("/messages")
    async def messages(
        contact: Text = None,
        flow: Text = None,
        status: Annotated[list[MessageState] | None, Query()] = None,
        since: datetime | None = None,
        limit: Limit = 100,
        before: Text = None,
    ) -> list[MessageOut]:
        """Messages, the newest first. `contact` is an email address, a number or an id.

        For the next page give `before` the last id of this one.
        """
        last = MessageId(uuid_of(before)) if before else None

        def work(uow: UnitOfWork) -> list[MessageOut]:
            wanted = MessageFilter(
                contact_id=_contact_id(uow, contact) if contact else None,
                flow=flow,
                states=frozenset(status or ()),
                since=since if since is None or since.tzinfo else since.replace(tzinfo=UTC),
                limit=limit,
                newest_first=True,
                before=last,
            )
            return _messages_out(uow, uow.messages.find(wanted))

        return await parts.database.query(work)

    @router.get("/messages/{message_id}")
    async def message(message_id: Id) -> MessageOut:
        """A message."""
        wanted = MessageId(uuid_of(message_id))

        def work(uow: UnitOfWork) -> MessageOut:
            found = uow.messages.load([wanted])
            if wanted not in found:
                raise NotFound(f"there is no message {message_id}")
            return _messages_out(uow, [found[wanted]])[0]

        return await parts.database.query(work)


def _book(parts: WebParts) -> FlowBook:
    book = parts.live_book()
    if book is None:
        raise NotFound("no journeys are published yet")
    return book


def _flow_out(parts: WebParts, book: FlowBook, flow: Flow) -> FlowOut:
    return FlowOut(
        name=flow.name,
        title=flow.title,
        description=flow.description,
        message_class=flow.flow_class,
        topic=flow.topic,
        stage=flow.stage,
        via=list(flow.via),
        steps=list(flow.program),
        explanation=parts.explain(book, flow.name),
        version=book.version_hash,
    )


def _version_out(stored: StoredVersion, live: tuple[int, VersionHash] | None) -> VersionOut:
    is_live = live is not None and live[1] == stored.hash
    return VersionOut(
        hash=stored.hash,
        name=stored.name,
        live=is_live,
        revision=live[0] if live and is_live else None,
        source=stored.source,
        templates=sorted(stored.templates),
    )


def _contact_id(uow: UnitOfWork, text: str) -> ContactId:
    """Whom a listing means. Raises NotFound."""
    kinds = identities_of(text, text, text) if "@" in text else identities_of(None, text, text)
    people = people_by(uow, kinds)
    return people[0].id if people else person(uow, text).id


def _messages_out(uow: UnitOfWork, found: list[Message]) -> list[MessageOut]:
    people = uow.contacts.load({message.contact_id for message in found})
    return [
        MessageOut(
            id=one.id,
            contact=people[one.contact_id].label if one.contact_id in people else one.contact_id,
            contact_id=one.contact_id,
            enrolment_id=one.enrolment_id,
            channel=one.channel,
            flow=one.flow,
            version=one.version,
            step=one.step,
            template=one.template,
            variant=one.variant,
            locale=one.locale,
            status=one.state,
            reason=one.reason,
            not_before=one.not_before,
            expires_at=one.expires_at,
            provider=one.provider,
            provider_id=one.provider_id,
            created_at=one.created_at,
            sent_at=one.sent_at,
        )
        for one in found
    ]
