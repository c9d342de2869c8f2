"""Consent given, confirmed and taken back: the one place where ledger entries are made.

`entries_for_event` reads events; the rest are pages, links, flow steps and the ledger's own
upkeep. Entries are appended in the caller's transaction, under the contact's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.domain.consent import (
    ALL_TOPICS,
    Actor,
    ConsentAction,
    ConsentEntry,
    ConsentEvidence,
    ConsentState,
    ConsentStatus,
    LegalBasis,
    Method,
    entries_for_event,
    jurisdiction_of,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import Channel, FlowBook, WithdrawStep
from orchestrator.domain.journey import Situation
from orchestrator.ports import CheckpointSigner, UnitOfWork

__all__ = [
    "Answered",
    "Visit",
    "entries_for_confirmation",
    "entries_for_event",
    "entries_for_objection",
    "entries_for_preferences",
    "entries_for_start",
    "entries_for_stop",
    "entries_for_unsubscribe",
    "entries_for_withdrawal",
    "make_checkpoint",
]


@dataclass(frozen=True, slots=True)
class Visit:
    """A person on one of our pages, or a mail program on its behalf.

    `page` is the page's path without its token; `wording` is what it showed.
    """

    page: str
    method: Method
    message_id: str | None = None
    wording: str | None = None
    locale: str | None = None
    ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a person said in a message to us, or told a provider.

    `evidence` is where it lies as it came; `words` is what it was taken for.
    """

    place: str
    words: str
    evidence: str | None = None
    message_id: str | None = None
    expires_at: datetime | None = None
    basis: str = LegalBasis.CONSENT


def entries_for_unsubscribe(
    contact: Contact,
    channel: Channel,
    topic: str | None,
    visit: Visit,
    book: FlowBook | None,
    now: datetime,
) -> list[ConsentEntry]:
    """A link's withdrawal of one topic, or of the whole channel without one (RFC 8058)."""
    action = ConsentAction.WITHDRAWN
    return [_by_person(contact, channel, topic or ALL_TOPICS, action, visit, book, now)]


def entries_for_preferences(
    contact: Contact,
    choices: Mapping[tuple[Channel, str], bool],
    visit: Visit,
    book: FlowBook | None,
    now: datetime,
) -> list[ConsentEntry]:
    """What a preference page was left with: each topic ticked or not, as the person sent it.

    The link reached the person by the address it is about, so a tick needs no confirmation.
    """
    return [
        _by_person(
            contact,
            channel,
            topic,
            ConsentAction.GRANTED if wanted else ConsentAction.WITHDRAWN,
            visit,
            book,
            now,
        )
        for (channel, topic), wanted in sorted(choices.items())
    ]


def entries_for_confirmation(
    contact: Contact,
    states: Iterable[ConsentState],
    channel: Channel,
    visit: Visit,
    book: FlowBook | None,
    now: datetime,
) -> list[ConsentEntry]:
    """The confirmation of everything that was asked for on a channel and waits for it."""
    return [
        _by_person(contact, channel, state.topic, ConsentAction.CONFIRMED, visit, book, now)
        for state in states
        if state.channel is channel
        and state.status in (ConsentStatus.REQUESTED, ConsentStatus.OBJECTED)
    ]


def entries_for_objection(
    contact: Contact, visit: Visit, book: FlowBook | None, now: datetime
) -> list[ConsentEntry]:
    """An objection to direct marketing as such: every channel, every topic."""
    return [
        _by_person(contact, channel, ALL_TOPICS, ConsentAction.OBJECTED, visit, book, now)
        for channel in Channel
    ]


def entries_for_stop(
    contact: Contact, channel: Channel, answer: Answered, book: FlowBook | None, now: datetime
) -> list[ConsentEntry]:
    """A person's word that a channel is to stop: every topic of it, later ones too."""
    action = ConsentAction.WITHDRAWN
    return [_by_word(contact, channel, ALL_TOPICS, action, answer, book, now)]


def entries_for_start(
    contact: Contact,
    ended: Iterable[ConsentState],
    answer: Answered,
    book: FlowBook | None,
    now: datetime,
) -> list[ConsentEntry]:
    """A person's word that it goes on: new grants in place of `ended`, no longer than these."""
    return [
        _by_word(
            contact,
            state.channel,
            state.topic,
            ConsentAction.GRANTED,
            replace(answer, expires_at=state.expires_at, basis=state.legal_basis),
            book,
            now,
        )
        for state in ended
    ]


def entries_for_withdrawal(step: WithdrawStep, situation: Situation) -> list[ConsentEntry]:
    """What a `withdraw` step of a flow takes back, on every channel."""
    run = situation.enrolment
    details, personal = ConsentEvidence(
        actor=Actor.SYSTEM,
        collection_point=f"flow {situation.flow.name}, step {step.id}",
        controller=situation.book.brand.legal_name.default,
        evidence=f"run {run.id}",
        reason=step.reason,
    ).split()
    return [
        ConsentEntry(
            contact_id=run.contact_id,
            channel=channel,
            topic=topic,
            action=ConsentAction.WITHDRAWN,
            legal_basis=LegalBasis.CONSENT,
            method=Method.FLOW_STEP,
            occurred_at=situation.now,
            details=details,
            personal=personal,
        )
        for channel in Channel
        for topic in ([ALL_TOPICS] if step.topics is None else step.topics)
    ]


def make_checkpoint(uow: UnitOfWork, now: datetime, signer: CheckpointSigner) -> int:
    """Sign the heads of the chains that have grown; returns how many, 0 when none is left.

    One call signs at most some thousands: a tick calls it again while it returns more than 0.
    """
    made = uow.consents.checkpoint(now, signer)
    return made.heads if made else 0


def _by_person(
    contact: Contact,
    channel: Channel,
    topic: str,
    action: ConsentAction,
    visit: Visit,
    book: FlowBook | None,
    now: datetime,
) -> ConsentEntry:
    country, known_by = jurisdiction_of(contact)
    brand = book.brand if book else None
    details, personal = ConsentEvidence(
        actor=Actor.PERSON,
        collection_point=visit.page,
        controller=brand.legal_name.default if brand else None,
        jurisdiction=country,
        jurisdiction_from=known_by,
        wording=visit.wording,
        wording_locale=visit.locale,
        privacy_version=brand.privacy.version if brand and brand.privacy else None,
        evidence=f"message {visit.message_id}" if visit.message_id else None,
        message_id=visit.message_id,
        confirmed_at=now if action is ConsentAction.CONFIRMED else None,
        person_key=contact.external_id,
        address=contact.address(channel),
        ip=visit.ip,
        user_agent=visit.user_agent,
    ).split()
    objects = action is ConsentAction.OBJECTED
    return ConsentEntry(
        contact_id=contact.id,
        channel=channel,
        topic=topic,
        action=action,
        legal_basis=LegalBasis.OBJECTION if objects else LegalBasis.CONSENT,
        method=visit.method,
        occurred_at=now,
        details=details,
        personal=personal,
    )


def _by_word(
    contact: Contact,
    channel: Channel,
    topic: str,
    action: ConsentAction,
    answer: Answered,
    book: FlowBook | None,
    now: datetime,
) -> ConsentEntry:
    country, known_by = jurisdiction_of(contact)
    brand = book.brand if book else None
    details, personal = ConsentEvidence(
        actor=Actor.PERSON,
        collection_point=answer.place,
        controller=brand.legal_name.default if brand else None,
        jurisdiction=country,
        jurisdiction_from=known_by,
        privacy_version=brand.privacy.version if brand and brand.privacy else None,
        evidence=answer.evidence,
        message_id=answer.message_id,
        expires_at=answer.expires_at,
        reason=answer.words,
        person_key=contact.external_id,
        address=contact.address(channel),
    ).split()
    return ConsentEntry(
        contact_id=contact.id,
        channel=channel,
        topic=topic,
        action=action,
        legal_basis=answer.basis,
        method=Method.KEYWORD,
        occurred_at=now,
        details=details,
        personal=personal,
    )
