"""Answers to our text messages: a STOP holds once it is stored, other texts reach journeys."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from orchestrator.domain.consent import ConsentEntry, is_stopped, stopped_grants
from orchestrator.domain.contacts import Contact
from orchestrator.domain.errors import NotFound
from orchestrator.domain.events import ContactFields, IncomingEvent
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.identifiers import ContactId, EventId, MessageId
from orchestrator.domain.messages import Message
from orchestrator.domain.replies import Intent, Reply, intent_of, keyword_of
from orchestrator.ports import (
    Clock,
    Database,
    Delivery,
    FlowLibrary,
    Ids,
    Lane,
    Metrics,
    NewEvent,
    Provider,
    RenderedMessage,
    UnitOfWork,
)
from orchestrator.services.consent import Answered, entries_for_start, entries_for_stop
from orchestrator.services.consent_news import consent_news
from orchestrator.services.people import present

log = logging.getLogger(__name__)

REPLIED: Final = "message.replied"
_STOPPING: Final = frozenset({Intent.STOP, Intent.UNCLEAR})
_FOR_JOURNEYS: Final = frozenset({Intent.TEXT, Intent.UNCLEAR})


class Replies:
    """Takes verified replies. What they decide holds once the call returns."""

    def __init__(
        self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids, metrics: Metrics
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    async def receive(self, reply: Reply) -> bool:
        """Store a reply and do what it says; False if it was stored before.

        A number says who writes, not who it is: everybody who is reached there is stopped.
        Raises TransientError when it cannot be stored now; nothing is kept then.
        """
        intent = intent_of(reply)

        def work(uow: UnitOfWork) -> bool:
            return self._receive(uow, reply, intent, self._clock.now())

        new = await self._database.run(Lane.INTAKE, work)
        self._metrics.count("replies", intent=intent.value if new else "duplicate")
        if new and intent is Intent.UNCLEAR:
            log.warning(
                "a reply speaks of stopping and is not clear: marketing on its channel stops,"
                " please read it",
                extra={"event": f"{reply.provider}:{reply.provider_id}"},
            )
        return new

    async def stopped(self, channel: Channel, number: str, message_id: MessageId, by: str) -> None:
        """Withdraw what a provider says that the recipient has stopped there."""
        answer = Answered(
            place=f"{by}, which refuses to send",
            words="the recipient told the provider to stop",
            evidence=f"message {message_id}",
            message_id=message_id,
        )

        def work(uow: UnitOfWork) -> None:
            now = self._clock.now()
            self._stop(uow, _locked_at(uow, number), channel, answer, now)

        await self._database.run(Lane.INTAKE, work)

    def _receive(self, uow: UnitOfWork, reply: Reply, intent: Intent, now: datetime) -> bool:
        people = self._people(uow, reply, intent, now)
        latest = uow.messages.latest_to([one.id for one in people], reply.channel)
        if not uow.events.insert([self._stored(reply, intent, people, latest, now)]):
            return False
        answer = Answered(
            place=f"reply by {reply.channel.value}",
            words=keyword_of(reply.text) or f"a text taken for “{intent.value}”",
            evidence=f"event {reply.provider}:{reply.provider_id}",
            message_id=latest.id if latest else None,
        )
        if intent in _STOPPING:
            self._stop(uow, people, reply.channel, answer, now)
        elif intent is Intent.START:
            self._start(uow, people, reply.channel, answer, now)
        return True

    def _people(
        self, uow: UnitOfWork, reply: Reply, intent: Intent, now: datetime
    ) -> list[Contact]:
        """Everybody at the number, locked.

        Who stops and is nobody yet becomes somebody: a consent that is older than the STOP and
        arrives later must not count.
        """
        found = _locked_at(uow, reply.number)
        if not found and intent in _STOPPING:
            uow.contacts.resolve([ContactFields(phone=reply.number)], now)
            found = _locked_at(uow, reply.number)
        return found

    def _stop(
        self,
        uow: UnitOfWork,
        people: Sequence[Contact],
        channel: Channel,
        answer: Answered,
        now: datetime,
    ) -> None:
        states = uow.consents.states([one.id for one in people])
        entries = [
            entry
            for person in people
            if not is_stopped(states[person.id], channel)
            for entry in entries_for_stop(person, channel, answer, self._book(), now)
        ]
        self._record(uow, entries, now)

    def _start(
        self,
        uow: UnitOfWork,
        people: Sequence[Contact],
        channel: Channel,
        answer: Answered,
        now: datetime,
    ) -> None:
        entries = []
        for person in people:
            states = uow.consents.states([person.id])[person.id]
            if is_stopped(states, channel):
                ended = stopped_grants(uow.consents.records(person.id), person.id, channel, now)
                entries += entries_for_start(person, ended, answer, self._book(), now)
        self._record(uow, entries, now)

    def _record(self, uow: UnitOfWork, entries: Sequence[ConsentEntry], now: datetime) -> None:
        changed = uow.consents.append(entries, now)
        uow.events.insert(consent_news(changed, self._ids, now))

    def _stored(
        self,
        reply: Reply,
        intent: Intent,
        people: Sequence[Contact],
        latest: Message | None,
        now: datetime,
    ) -> NewEvent:
        """The reply as an event: the proof, and the guard against repetitions.

        For journeys it is the answer to the message that the number was sent last.
        """
        contact_id: ContactId | None = people[0].id if people else None
        data: dict[str, Any] = {"channel": reply.channel.value, "intent": intent.value}
        if latest is not None:
            contact_id = latest.contact_id
            data |= {"step": latest.step, "message_id": latest.id}
        event = IncomingEvent(
            source=reply.provider,
            source_id=reply.provider_id,
            type=REPLIED,
            occurred_at=now,
            contact=None,
            payload={"text": reply.text, "data": data},
        )
        heard = intent in _FOR_JOURNEYS and contact_id is not None
        return NewEvent(EventId(self._ids.new()), contact_id, now, event, processed=not heard)

    def _book(self) -> FlowBook | None:
        try:
            return self._library.book(self._library.live())
        except NotFound:
            return None


def _locked_at(uow: UnitOfWork, number: str) -> list[Contact]:
    """Everybody at a number, also if two of them were merged before we had the lock."""
    people = uow.contacts.lock(uow.contacts.at_phone(number))
    people |= uow.contacts.lock(set(uow.contacts.at_phone(number)) - set(people))
    return [one for one in people.values() if present(one) and one.merged_into is None]


class HeedingProvider:
    """A provider whose word that a recipient has stopped is believed, and recorded."""

    def __init__(self, provider: Provider, channel: Channel, replies: Replies) -> None:
        self.name = provider.name
        self.connections = provider.connections
        self._provider = provider
        self._channel = channel
        self._replies = replies

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Hand a message over; a withdrawal that cannot be stored comes with the next one."""
        delivery = await self._provider.send(message_id, message)
        if delivery.opted_out:
            by = delivery.provider or self.name
            try:
                await self._replies.stopped(self._channel, message.envelope_to, message_id, by)
            except Exception:
                # The answer stands all the same; the next message will be refused again.
                log.exception("an opt-out that a provider told of could not be stored")
        return delivery

    async def close(self) -> None:
        """Close the provider's connections."""
        await self._provider.close()
