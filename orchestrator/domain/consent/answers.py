"""What an event says of consent, as entries for the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.consent.evidence import ConsentEvidence
from orchestrator.domain.consent.jurisdiction import jurisdiction_of, needs_confirmation
from orchestrator.domain.consent.records import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    LegalBasis,
    Method,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import ConsentAnswer, Event, IncomingEvent
from orchestrator.domain.flows import Channel, FlowBook

UNSUBSCRIBED: Final = "contact.unsubscribed"


def entries_for_event(
    event: IncomingEvent | Event, contact: Contact, book: FlowBook, now: datetime
) -> list[ConsentEntry]:
    """What an authentic event grants, asks for or withdraws; mostly nothing.

    `consent.CHANNEL: yes` is for the topics that exist today: a topic added later was not part
    of the question, so nothing is granted for it. Only `contact.unsubscribed` withdraws.
    """
    del now  # an event's own time decides; the ledger clamps what lies in the future
    answers = answers_of(event)
    if event.type == UNSUBSCRIBED:
        return _withdrawals(event, contact, book, answers)
    return [
        entry
        for channel in Channel
        if answers.get(channel) is ConsentAnswer.YES
        for entry in _grants(event, contact, book, channel)
    ]


def answers_of(event: IncomingEvent | Event) -> dict[Channel, ConsentAnswer]:
    """The three-valued answers of an event by channel; anything unreadable is unknown."""
    raw: Mapping[str, Any] = {}
    if isinstance(event, IncomingEvent) and event.consent:
        raw = event.consent
    elif isinstance(stated := event.payload.get("consent"), Mapping):
        raw = stated
    return {channel: _answer(raw[channel]) for channel in Channel if channel.value in raw}


def _answer(value: object) -> ConsentAnswer:
    if isinstance(value, bool):
        return ConsentAnswer.YES if value else ConsentAnswer.NO
    known = {answer.value: answer for answer in ConsentAnswer}
    return known.get(str(value), ConsentAnswer.UNKNOWN)


def _grants(
    event: IncomingEvent | Event, contact: Contact, book: FlowBook, channel: Channel
) -> Iterable[ConsentEntry]:
    country, _ = jurisdiction_of(contact)
    evidence = _evidence(event, contact, book, channel)
    unconfirmed = (
        needs_confirmation(country, book.brand.double_opt_in) and evidence.confirmed_at is None
    )
    details, personal = evidence.split()
    for topic in book.topics:
        yield ConsentEntry(
            contact_id=contact.id,
            channel=channel,
            topic=topic,
            action=ConsentAction.REQUESTED if unconfirmed else ConsentAction.GRANTED,
            legal_basis=LegalBasis.CONSENT,
            method=Method.CHECKOUT_EVENT,
            occurred_at=_given_at(event, channel),
            details=details,
            personal=personal,
            unless_known=True,
        )


def _withdrawals(
    event: IncomingEvent | Event,
    contact: Contact,
    book: FlowBook,
    answers: Mapping[Channel, ConsentAnswer],
) -> list[ConsentEntry]:
    named = [channel for channel, answer in answers.items() if answer is ConsentAnswer.NO]
    return [
        ConsentEntry(
            contact_id=contact.id,
            channel=channel,
            topic=topic,
            action=ConsentAction.WITHDRAWN,
            legal_basis=LegalBasis.CONSENT,
            method=Method.UNSUBSCRIBE_EVENT,
            occurred_at=event.occurred_at,
            details=details,
            personal=personal,
        )
        for channel in named or Channel
        for details, personal in [_evidence(event, contact, book, channel).split()]
        for topic in _narrowed(event)
    ]


def _narrowed(event: IncomingEvent | Event) -> list[str]:
    """The topics that `data.topics` names; without it every topic, later ones too.

    A list that cannot be read narrows nothing: too much withdrawn is the lesser harm.
    """
    extra = event.payload.get("data")
    topics = extra.get("topics") if isinstance(extra, Mapping) else None
    if isinstance(topics, str):
        topics = [topics]
    if not isinstance(topics, list | tuple):
        return [ALL_TOPICS]
    names = [topic for topic in topics if isinstance(topic, str) and topic]
    return list(dict.fromkeys(names)) or [ALL_TOPICS]


def _evidence(
    event: IncomingEvent | Event, contact: Contact, book: FlowBook, channel: Channel
) -> ConsentEvidence:
    country, known_by = jurisdiction_of(contact)
    told = event.contact if isinstance(event, IncomingEvent) else None
    given = told and (told.email if channel is Channel.EMAIL else told.phone)
    stated = _stated(event, channel)
    return ConsentEvidence(
        actor=Actor.SHOP,
        collection_point=stated.get("collection_point") or f"{event.source} {event.type}",
        controller=book.brand.legal_name.default,
        jurisdiction=country,
        jurisdiction_from=known_by,
        wording=stated.get("wording"),
        wording_locale=stated.get("locale"),
        privacy_version=_privacy_version(stated, book),
        evidence=f"event {event.source}:{event.source_id}",
        confirmed_at=_moment(stated.get("confirmed_at")),
        person_key=contact.external_id,
        address_given=given or None,
        address=contact.address(channel),
        ip=stated.get("ip"),
        user_agent=stated.get("user_agent"),
    )


def _stated(event: IncomingEvent | Event, channel: Channel) -> dict[str, str]:
    """What the shop adds as proof in `data.consent_evidence`: texts, all optional.

    What it says under a channel's own name is for that channel and wins there.
    """
    extra = event.payload.get("data")
    stated = extra.get("consent_evidence") if isinstance(extra, Mapping) else None
    if not isinstance(stated, Mapping):
        return {}
    own = stated.get(channel.value)
    return _texts(stated) | _texts(own if isinstance(own, Mapping) else {})


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): text for name, text in values.items() if isinstance(text, str) and text}


def _given_at(event: IncomingEvent | Event, channel: Channel) -> datetime:
    """When a yes was given: an event may repeat one of long ago, which revives nothing."""
    given_at = _moment(_stated(event, channel).get("given_at"))
    return min(given_at or event.occurred_at, event.occurred_at)


def _moment(text: str | None) -> datetime | None:
    """A time with its zone (ISO 8601), or None."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _privacy_version(stated: Mapping[str, str], book: FlowBook) -> str | None:
    if "privacy_version" in stated:
        return stated["privacy_version"]
    return book.brand.privacy.version if book.brand.privacy else None
