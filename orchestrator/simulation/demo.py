"""A sample shop's months through the real engine, in a minute."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from orchestrator.bootstrap.engine import Engine
from orchestrator.bootstrap.virtual import RecordingProvider, VirtualClock
from orchestrator.domain.consent import Method
from orchestrator.domain.events import IncomingEvent
from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import MessageId
from orchestrator.domain.messages import FailedReason, Message
from orchestrator.ports import (
    ClickTarget,
    Delivery,
    DeliveryOutcome,
    LinkClaims,
    RenderedMessage,
)
from orchestrator.services.consent import Visit
from orchestrator.services.publishing import publish
from orchestrator.services.versions import Candidate
from orchestrator.simulation.driver import VirtualDaemon
from orchestrator.simulation.policies import earlier, later
from orchestrator.simulation.sample_shop import Customer, SampleShop, ShopEvent
from orchestrator.sources.fields import read_fields
from orchestrator.sources.phones import normalise_phone

MONTHS: Final = timedelta(days=92)
"""How much of the shop's life is played: three months."""
PEOPLE: Final = 300
HESITANT: Final = 6
"""Customers whose last mail waits at the end because a cap is full."""
KEPT: Final = 50
"""Messages whose content is kept, the newest."""
SOURCE: Final = "demo"

_GRAIN: Final = timedelta(hours=1)
"""What happens so close together is worked on together."""
_FINE: Final = timedelta(minutes=8)
_FINE_FOR: Final = timedelta(days=1)
_SLOWEST: Final = timedelta(hours=4)
_POLICY_CHANGES: Final = timedelta(days=24)
"""How long before the end the privacy policy changes."""
_NEWS: Final = timedelta(days=10)
_DOUBTFUL: Final = 0.006
"""How many of the newest messages end in doubt."""
_SCANNED: Final = 0.04
_UNSUBSCRIBING: Final = 0.02
_CONFIRMING: Final = 0.75
_BUYING: Final = 0.4
_REVIEWING: Final = 0.65
_CLICKS: Final = {"cart": 0.3, "review": 0.35, "winback": 0.2, "welcome": 0.35}
"""How many of a hundred follow a link, by the template's group."""

Act = Callable[[], object]
Progress = Callable[[timedelta, timedelta], None]
"""Told how much of the time has passed, and of how much."""


@dataclass
class SampleProvider(RecordingProvider):
    """Takes messages as an outbox would, but for addresses that are gone and a few in doubt."""

    customers: dict[str, Customer] = field(default_factory=dict)
    draw: Random = field(default_factory=Random)
    in_doubt_from: datetime | None = None
    fresh: list[MessageId] = field(default_factory=list)

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Take it, refuse it, or leave its sender in doubt."""
        customer = self.customers.get(message.envelope_to)
        if customer is not None and customer.gone:
            reason = FailedReason.INVALID_ADDRESS.value
            return Delivery(DeliveryOutcome.REJECTED, code="550", reason=reason)
        late = self.clock and self.in_doubt_from and self.clock.now() > self.in_doubt_from
        if late and self.draw.random() < _DOUBTFUL:
            return Delivery(DeliveryOutcome.UNKNOWN, code="timeout")
        self.fresh.append(message_id)
        return await super().send(message_id, message)


class Demo:
    """Plays the shop's months: what people do, and how they take to what they get."""

    def __init__(
        self,
        engine: Engine,
        clock: VirtualClock,
        provider: SampleProvider,
        candidate: Candidate,
        seed: int = 0,
        people: int = PEOPLE,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._provider = provider
        self._candidate = candidate
        self._end = clock.moment
        self._start = self._end - MONTHS
        self._draw = Random(seed)  # noqa: S311 - to be drawn again, not to be guessed
        self._shop = SampleShop(seed, self._start, self._end)
        self._customers = [self._shop.customer(number) for number in range(people)]
        self._daemon = VirtualDaemon(engine, clock, slowest=_SLOWEST)
        self._numbers = itertools.count()
        self._ahead: list[tuple[datetime, int, Act]] = []
        provider.draw = Random(seed)  # noqa: S311
        provider.in_doubt_from = self._end - _NEWS
        provider.customers = {customer.email: customer for customer in self._customers}

    def play(self, progress: Progress) -> None:
        """Play it all; the clock ends where it stood."""
        with asyncio.Runner() as runner:
            runner.run(self._play(progress))

    async def _play(self, progress: Progress) -> None:
        self._clock.moment = self._start
        self._open()
        await self._daemon.settle()
        for customer in self._customers:
            self._plan(self._shop.life(customer))
        hesitant = [one for one in self._customers if one.agrees and not one.gone][-HESITANT:]
        for customer in hesitant:
            self._plan(self._shop.hesitation(customer))
        while (moment := self._next_moment()) is not None:
            self._clock.moment = moment
            await self._let_happen()
            await self._daemon.settle()
            self._react()
            progress(moment - self._start, MONTHS)
        await self._daemon.jump(self._end)
        self._publish(self._candidate)
        progress(MONTHS, MONTHS)

    def _open(self) -> None:
        """Publish under the policy before; a database that knows ours gets the one after."""
        privacy = self._candidate.book.brand.privacy if self._candidate.book else None
        with self._engine.database.read() as uow:
            known = {one.version for one in uow.privacy_versions.known()}
        knows = privacy is not None and privacy.version in known
        first = self._candidate if knows else earlier(self._candidate)
        second = later(self._candidate) if knows else self._candidate
        self._publish(first)
        self._at(self._end - _POLICY_CHANGES, lambda: self._publish(second))

    def _publish(self, candidate: Candidate) -> None:
        engine = self._engine
        publish(engine.database, engine.library, candidate, SOURCE, engine.clock)

    # What lies ahead ------------------------------------------------------------------------

    def _at(self, moment: datetime, act: Act) -> None:
        heapq.heappush(self._ahead, (moment, next(self._numbers), act))

    def _plan(self, events: Iterable[ShopEvent]) -> None:
        for event in events:
            if event.at < self._end:
                self._at(max(event.at, self._start), self._telling(event))

    def _next_moment(self) -> datetime | None:
        """When to work next: a little after whatever comes next; None at the end."""
        stop = self._daemon.next_stop()
        moments = [self._ahead[0][0]] if self._ahead else []
        if stop is not None:
            moments.append(stop)
        if not moments or min(moments) >= self._end:
            return None
        grain = _FINE if min(moments) > self._end - _FINE_FOR else _GRAIN
        return min(max(min(moments), self._clock.moment) + grain * self._draw.random(), self._end)

    async def _let_happen(self) -> None:
        waiting = []
        while self._ahead and self._ahead[0][0] <= self._clock.moment:
            _, _, act = heapq.heappop(self._ahead)
            done = act()
            if asyncio.iscoroutine(done):
                waiting.append(done)
        await asyncio.gather(*waiting)

    def _telling(self, event: ShopEvent) -> Act:
        """The webhook of an event, with what it means for this very shop."""

        def tell() -> object:
            match event.type:
                case "checkout.started":
                    event.customer.open_checkout = event.fields
                case "order.placed":
                    event.customer.open_checkout = None
            return self._engine.intake.submit(self._incoming(event))

        return tell

    def _incoming(self, event: ShopEvent) -> IncomingEvent:
        fields = read_fields({**event.fields, "contact": event.customer.contact()}, normalise_phone)
        return IncomingEvent(
            source=SOURCE,
            source_id=f"{event.type}:{next(self._numbers)}",
            type=event.type,
            occurred_at=event.at,
            contact=fields.contact,
            payload=fields.payload,
            consent=fields.consent,
        )

    # How people take to what they get ----------------------------------------------------------

    def _react(self) -> None:
        """Draw what comes of the messages that have just gone out."""
        sent, self._provider.fresh = self._provider.fresh, []
        if not sent:
            return
        with self._engine.database.read() as uow:
            messages = uow.messages.load(sent)
            people = uow.contacts.load({one.contact_id for one in messages.values()})
        for message_id in sent:
            message = messages[message_id]
            customer = self._provider.customers.get(people[message.contact_id].email or "")
            if customer is not None:
                self._answer(message, customer)

    def _answer(self, message: Message, customer: Customer) -> None:
        draw, email = self._draw, message.channel is Channel.EMAIL
        if message.template == "welcome/confirm" and draw.random() < _CONFIRMING:
            self._at(self._soon(), lambda: self._confirm(message))
        elif email and draw.random() < _SCANNED:
            self._at(self._clock.moment, lambda: self._click(message, scanner=True))
        if (
            message.message_class is MessageClass.MARKETING
            and email
            and (draw.random() < _UNSUBSCRIBING)
        ):
            claims = LinkClaims(message.contact_id, message.id, message.channel, message.topic)
            self._at(self._soon(), lambda: self._engine.preferences.unsubscribe(claims))
        group = message.template.partition("/")[0]
        if email and draw.random() < _CLICKS.get(group, 0):
            clicked_at = self._soon()
            self._at(clicked_at, lambda: self._click(message, scanner=False))
            self._follow(group, customer, clicked_at)

    def _follow(self, group: str, customer: Customer, at: datetime) -> None:
        """What somebody does in the shop after having followed a link."""
        done_at = at + timedelta(minutes=self._draw.uniform(6, 50))
        basket = customer.open_checkout
        if group == "cart" and basket is not None and self._draw.random() < _BUYING:
            self._plan(self._shop.purchase(customer, basket, done_at))
        elif group == "review" and self._draw.random() < _REVIEWING:
            self._plan([self._shop.review(customer, done_at)])

    def _soon(self) -> datetime:
        """Some minutes to a day from now: most read their mail within hours."""
        return self._clock.moment + timedelta(minutes=3 + self._draw.expovariate(1 / 200))

    def _click(self, message: Message, *, scanner: bool) -> object:
        target = ClickTarget(message.contact_id, message.id, "https://northwind.example/books")
        return self._engine.clicks.note(target, scanner=scanner)

    def _confirm(self, message: Message) -> object:
        visit = Visit("/confirm", Method.CONFIRM_LINK, message.id)
        claims = LinkClaims(message.contact_id, message.id, Channel.EMAIL)
        return self._engine.preferences.confirm(claims, f"demo {message.id}", visit)
