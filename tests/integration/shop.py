"""A whole shop on a stepping clock: the real engine and database, a provider that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator.bootstrap.application import App, assemble
from orchestrator.bootstrap.databases import open_database
from orchestrator.bootstrap.files import read_files
from orchestrator.domain.contacts import Contact
from orchestrator.domain.enrolments import Enrolment
from orchestrator.domain.events import ConsentAnswer, ContactFields, IncomingEvent
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.domain.messages import Message
from orchestrator.ports import Delivery, DeliveryOutcome, MessageFilter, Provider, RenderedMessage
from orchestrator.services.publishing import publish
from orchestrator.settings import Settings
from tests.integration.twilio_server import TOKEN as TWILIO_TOKEN

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)

BRAND = """\
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <hello@northwind.example>
  sms: "+15005550006"
  postal_address: Keskuskatu 1, Helsinki
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  offers: {title: Offers}
  news: {title: News}
"""

CART = """\
flows:
  cart:
    class: marketing
    topic: offers
    when: {event: checkout.started}
    key: event.checkout_id
    exit_when:
      event: order.placed
      where: event.checkout_id == key
    steps:
      - wait: 1 hour
      - send: cart/reminder
        id: first
      - wait: 1 day
      - send: cart/nudge
        id: second
"""


@dataclass
class SteppingClock:
    """Stands still until it is set."""

    moment: datetime = START

    def now(self) -> datetime:
        return self.moment


@dataclass
class RecordingProvider:
    """Takes everything, or answers what it is told to."""

    name: str = "recording"
    connections: int = 4
    sent: list[tuple[MessageId, RenderedMessage]] = field(default_factory=list)
    answers: list[Delivery] = field(default_factory=list)

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else Delivery(DeliveryOutcome.SENT)
        if answer.outcome is DeliveryOutcome.SENT:
            self.sent.append((message_id, message))
        return answer

    async def close(self) -> None:
        pass


@dataclass
class Shop:
    """Drives the application as its daemon does, one batch at a time."""

    app: App
    clock: SteppingClock
    provider: RecordingProvider
    folder: Path
    count: int = 0

    async def receive(self, kind: str, email: str | None = None, **fields: Any) -> bool:
        """An authentic event that happens now; fields of the contact come as `contact=`."""
        return await self.app.intake.submit(self.event(kind, email, **fields))

    def event(self, kind: str, email: str | None = None, **fields: Any) -> IncomingEvent:
        """An event as a source would read it."""
        self.count += 1
        person = {"email": email, **fields.pop("contact", {})}
        # Sources keep the answers in the payload too, for conditions on `event.consent`.
        consent = {name: ConsentAnswer(word) for name, word in fields.get("consent", {}).items()}
        at = fields.pop("occurred_at", self.clock.moment)
        return IncomingEvent(
            source="test",
            source_id=fields.pop("event_id", f"e{self.count}"),
            type=kind,
            occurred_at=at,
            contact=ContactFields(**person) if any(person.values()) else None,
            payload=fields,
            consent=consent,
        )

    async def settle(self) -> None:
        """Work until nothing is left to do at this moment."""
        for _ in range(100):
            done = await self.app.enrolling.run_once()
            done += await self.app.advancing.run_once()
            done += await self.app.advancing.retry_once()
            done += await self.app.dispatching.run_once()
            await self.app.dispatching.drain()
            if not done:
                return
        raise AssertionError("the engine does not come to rest")

    async def pass_time(self, **span: float) -> None:
        """Let time pass, stopping wherever something falls due."""
        await self.settle()
        end = self.clock.moment + timedelta(**span)
        while True:
            with self.app.database.read() as uow:
                due = uow.enrolments.next_due_at()
            if due is None or due > end:
                break
            self.clock.moment = max(self.clock.moment, due)
            await self.settle()
        self.clock.moment = end
        await self.settle()

    def contact(self, email: str) -> Contact:
        with self.app.database.read() as uow:
            found = uow.contacts.find("email", email)
            assert found is not None
            return uow.contacts.load([found])[found]

    def contact_id(self, email: str) -> ContactId:
        return self.contact(email).id

    def runs(self, email: str) -> list[Enrolment]:
        contact_id = self.contact_id(email)
        with self.app.database.read() as uow:
            return uow.enrolments.of_contact(contact_id)

    def messages(self) -> list[Message]:
        with self.app.database.read() as uow:
            return uow.messages.find(MessageFilter())

    def outcomes(self) -> list[tuple[str, str, str | None]]:
        """Step, state and reason of every message, oldest first."""
        return [(row.step, row.state.value, row.reason) for row in self.messages()]

    def publish(self, flows: str) -> None:
        """Make a flows file live, with the shipped templates."""
        file = self.folder / "flows.yaml"
        file.write_text(flows)
        read = read_files(file, ROOT / "templates")
        assert read.candidate.publishable, read.candidate.findings
        done = publish(self.app.database, self.app.library, read.candidate, "test", self.clock)
        assert done.version is not None, done.findings


@contextmanager
def open_shop(
    folder: Path, database_url: str, flows: str = BRAND + CART, sms: Provider | None = None
) -> Iterator[Shop]:
    """A shop with its flows live; text messages go to `sms`, if there is one."""
    settings = Settings(
        _env_file=None,
        bind="127.0.0.1:8000",
        database_url=SecretStr(database_url),
        secret_key=(SecretStr("tests sign with this key"),),
        suppression_key=SecretStr("tests hash with this key"),
        webhook_secrets={"twilio": (SecretStr(TWILIO_TOKEN),)},
    )
    clock = SteppingClock()
    provider = RecordingProvider()
    with open_database(settings, clock) as opened:
        providers: dict[Channel, Provider] = dict.fromkeys(Channel, provider)
        providers[Channel.SMS] = sms or provider
        app = assemble(settings, opened, providers)
        shop = Shop(app, clock, provider, folder)
        shop.publish(flows)
        yield shop


def checkout(number: str = "c1", **more: Any) -> dict[str, Any]:
    """The fields of a checkout with consent."""
    items = [{"name": "Notebook", "quantity": 1, "price": Decimal("40.00")}]
    fields = {"checkout_id": number, "total": Decimal(40), "currency": "EUR", "items": items}
    return {**fields, "consent": {"email": "yes", "sms": "yes"}, **more}
