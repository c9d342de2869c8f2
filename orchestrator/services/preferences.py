"""What a person decides on our pages: written to the ledger, and told to the journeys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.domain.consent import (
    ALL_TOPICS,
    ConsentEntry,
    ConsentState,
    ConsentStatus,
    Method,
    Standing,
    is_stopped,
    permission,
)
from orchestrator.domain.contacts import Contact
from orchestrator.domain.errors import NotFound
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.ports import (
    Clock,
    Database,
    FlowLibrary,
    Ids,
    Lane,
    LinkClaims,
    UnitOfWork,
)
from orchestrator.services.consent import (
    Visit,
    entries_for_confirmation,
    entries_for_preferences,
    entries_for_unsubscribe,
)
from orchestrator.services.consent_news import consent_news
from orchestrator.services.people import followed, present

UNSUBSCRIBE_PAGE: Final = "/u"

Choice = tuple[Channel, str]
"""A channel and a topic."""

_SPENT_FOR: Final = timedelta(days=7)
"""How long a used confirmation is remembered: no such link lives longer than that."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person can choose, as it stands."""

    standings: Mapping[Choice, Standing]
    """The topics of the live version on each channel that reaches the person."""
    addresses: Mapping[Channel, str]
    """Where these channels reach it, masked: mails are forwarded."""
    asked: Mapping[Channel, Sequence[str]]
    """Topics that a confirmation may complete."""
    stopped: bool
    """Whether all marketing is refused already, on every channel."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a visit: the states it changed, and how things stand now."""

    changed: Sequence[ConsentState]
    choices: Choices


class Preferences:
    """Acts on signed links. What is decided holds once the call returns."""

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids

    async def choices(self, claims: LinkClaims) -> Choices | None:
        """How things stand for the person of a link; None if there is nobody any more."""

        def look(uow: UnitOfWork) -> Choices | None:
            person = present(followed(uow.contacts.load, claims.contact_id))
            return None if person is None else self._choices(uow, person, self._clock.now())

        return await self._database.query(look)

    async def locale(self, claims: LinkClaims) -> str | None:
        """The language of the person of a link, as it was given; None if nobody knows."""

        def look(uow: UnitOfWork) -> str | None:
            person = present(followed(uow.contacts.load, claims.contact_id))
            return person.locale if person else None

        return await self._database.query(look)

    async def unsubscribe(self, claims: LinkClaims) -> bool:
        """Withdraw what the link names (RFC 8058); True if that changed anything.

        It holds once this returns: the gate reads the ledger under the same contact's lock.
        A link of somebody who was erased has nothing left to withdraw.
        """
        return await self._database.run(
            Lane.INTAKE, lambda uow: self._unsubscribe(uow, claims, self._clock.now())
        )

    async def confirm(self, claims: LinkClaims, token: str, visit: Visit) -> Decision | None:
        """Confirm what was asked for on the link's channel; the token does so once.

        Nothing changes if it was spent before, or if nothing waits for a confirmation. None if
        there is nobody any more.
        """

        def entries(uow: UnitOfWork, person: Contact, now: datetime) -> list[ConsentEntry]:
            if claims.channel is None:
                return []
            states = uow.consents.states([person.id])[person.id]
            found = entries_for_confirmation(
                person, states, claims.channel, visit, self._book(), now
            )
            return found if found and uow.tokens.use(token, now, now + _SPENT_FOR) else []

        return await self._decide(claims, entries)

    async def choose(
        self, claims: LinkClaims, wishes: Mapping[Choice, bool], visit: Visit
    ) -> Decision | None:
        """Grant what is wished and not allowed yet, withdraw what is not and was given.

        What stands already is not recorded again: a box that was shown ticked and left so is
        no act of consent (GDPR recital 32). None if there is nobody any more.
        """

        def entries(uow: UnitOfWork, person: Contact, now: datetime) -> list[ConsentEntry]:
            standings = self._choices(uow, person, now).standings
            news = {
                choice: wished
                for choice, wished in wishes.items()
                if choice in standings and _is_news(standings[choice], wished=wished)
            }
            return entries_for_preferences(person, news, visit, self._book(), now)

        return await self._decide(claims, entries)

    async def stop(self, claims: LinkClaims, visit: Visit) -> Decision | None:
        """Withdraw from all marketing, of every topic there is or will be, on every channel."""

        def entries(uow: UnitOfWork, person: Contact, now: datetime) -> list[ConsentEntry]:
            states = uow.consents.states([person.id])[person.id]
            return [
                entry
                for channel in Channel
                if not is_stopped(states, channel)
                for entry in entries_for_unsubscribe(
                    person, channel, None, visit, self._book(), now
                )
            ]

        return await self._decide(claims, entries)

    async def _decide(
        self,
        claims: LinkClaims,
        entries: Callable[[UnitOfWork, Contact, datetime], list[ConsentEntry]],
    ) -> Decision | None:
        """Append entries under the contact's lock, and tell the journeys what they changed."""

        def work(uow: UnitOfWork) -> Decision | None:
            person = present(followed(uow.contacts.lock, claims.contact_id))
            if person is None:
                return None
            now = self._clock.now()
            changed = uow.consents.append(entries(uow, person, now), now)
            uow.events.insert(consent_news(changed, self._ids, now))
            return Decision(changed, self._choices(uow, person, now))

        return await self._database.run(Lane.INTAKE, work)

    def _unsubscribe(self, uow: UnitOfWork, claims: LinkClaims, now: datetime) -> bool:
        person = followed(uow.contacts.lock, claims.contact_id)
        if person is None or claims.channel is None:
            return False
        states = uow.consents.states([person.id])[person.id]
        if _is_withdrawn(states, claims.channel, claims.topic, now):
            return False
        visit = Visit(UNSUBSCRIBE_PAGE, Method.ONE_CLICK, claims.message_id)
        entries = entries_for_unsubscribe(
            person, claims.channel, claims.topic, visit, self._book(), now
        )
        changed = uow.consents.append(entries, now)
        uow.events.insert(consent_news(changed, self._ids, now))
        return bool(changed)

    def _choices(self, uow: UnitOfWork, person: Contact, now: datetime) -> Choices:
        states = uow.consents.states([person.id])[person.id]
        book = self._book()
        told = {state.channel for state in states if state.topic != ALL_TOPICS}
        addresses = {
            channel: _masked(address)
            for channel in Channel
            if (address := person.address(channel))
            and (channel is not Channel.WHATSAPP or channel in told)
        }
        return Choices(
            standings={
                (channel, topic): permission(states, channel, topic, now).standing
                for channel in addresses
                for topic in (book.topics if book else ())
            },
            addresses=addresses,
            asked={channel: _asked(states, channel) for channel in Channel},
            stopped=all(is_stopped(states, channel) for channel in Channel),
        )

    def _book(self) -> FlowBook | None:
        try:
            return self._library.book(self._library.live())
        except NotFound:
            return None


def _is_withdrawn(
    states: Sequence[ConsentState], channel: Channel, topic: str | None, now: datetime
) -> bool:
    """Whether a link has nothing left to withdraw; mail programs and people press it again."""
    if topic is None:
        return is_stopped(states, channel)
    said = any(
        state.status in (ConsentStatus.WITHDRAWN, ConsentStatus.OBJECTED)
        for state in states
        if state.channel is channel and state.topic == topic
    )
    return said and permission(states, channel, topic, now).standing not in (
        Standing.ALLOWED,
        Standing.UNCONFIRMED,
    )


def _is_news(standing: Standing, *, wished: bool) -> bool:
    if wished:
        return standing is not Standing.ALLOWED
    return standing in (Standing.ALLOWED, Standing.UNCONFIRMED)


def _asked(states: Iterable[ConsentState], channel: Channel) -> list[str]:
    return [
        state.topic
        for state in states
        if state.channel is channel and state.status is ConsentStatus.REQUESTED
    ]


def _masked(address: str) -> str:
    """`a…@example.com`, `…0123`: enough for its owner to know it, too little to use."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}" if at else f"…{address[-4:]}"
