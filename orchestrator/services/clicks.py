"""Followed links: kept as they come, and told to journeys once it is clear who followed them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from orchestrator.domain.clicks import SETTLED, Click, by_machine
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.identifiers import ClickId, ContactId, EventId, MessageId
from orchestrator.domain.messages import Message
from orchestrator.ports import ClickTarget, Clock, Database, Ids, Lane, NewEvent, UnitOfWork
from orchestrator.services.ingest import OWN_SOURCE
from orchestrator.services.people import followed, present

BATCH: Final = 200


class Clicks:
    """Keeps clicks, and tells people's from those of machines that open every link."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def note(self, target: ClickTarget, scanner: bool) -> None:  # noqa: FBT001  # a fact
        """Keep a click; raises TransientError if it cannot be stored."""
        click = Click(
            id=ClickId(self._ids.new()),
            message_id=target.message_id,
            contact_id=target.contact_id,
            url=target.url,
            clicked_at=self._clock.now(),
            scanner=scanner,
        )
        await self._database.run(Lane.INTAKE, lambda uow: uow.clicks.insert(click))

    async def run_once(self, limit: int = BATCH) -> int:
        """Settle clicks that are old enough; returns how many."""
        return await self._database.run(Lane.INTAKE, lambda uow: self._settle(uow, limit))

    def _settle(self, uow: UnitOfWork, limit: int) -> int:
        now = self._clock.now()
        waiting = uow.clicks.unsettled(now - SETTLED, limit)
        if not waiting:
            return 0
        asked = {click.message_id for click in waiting}
        messages = uow.messages.load(asked)
        together: defaultdict[MessageId, list[Click]] = defaultdict(list)
        for click in uow.clicks.of_messages(asked):
            together[click.message_id].append(click)
        machines: dict[ClickId, bool] = {}
        for click in waiting:
            message = messages.get(click.message_id)
            sent_at = message.sending_at if message else None
            machines[click.id] = by_machine(click, sent_at, together[click.message_id])
        uow.clicks.settle(machines)
        people = [click for click in waiting if not machines[click.id]]
        self._tell(uow, [(click, messages.get(click.message_id)) for click in people], now)
        return len(waiting)

    def _tell(
        self, uow: UnitOfWork, clicks: list[tuple[Click, Message | None]], now: datetime
    ) -> None:
        """Journeys hear `message.clicked`; to have clicked is to have been seen."""
        known = [(click, message) for click, message in clicks if message is not None]
        # In one order, as everybody takes contacts' locks.
        asked = sorted({message.contact_id for _, message in known})
        owners = {one: present(followed(uow.contacts.lock, one)) for one in asked}
        news: list[NewEvent] = []
        seen: dict[ContactId, dict[str, datetime]] = {}
        for click, message in known:
            person = owners[message.contact_id]
            if person is not None:
                seen[person.id] = {"last_seen_at": now}
                news.append(self._news(click, message, person.id, now))
        uow.events.insert(news)
        if seen:
            uow.contacts.update(seen, now)

    def _news(
        self, click: Click, message: Message, contact_id: ContactId, now: datetime
    ) -> NewEvent:
        event = IncomingEvent(
            source=OWN_SOURCE,
            source_id=f"message.clicked:{click.id}",
            type="message.clicked",
            occurred_at=click.clicked_at,
            contact=None,
            payload={
                "data": {
                    "flow": message.flow,
                    "step": message.step,
                    "message_id": message.id,
                    "url": click.url,
                }
            },
        )
        return NewEvent(EventId(self._ids.new()), contact_id, now, event)
