"""Journey tests are run: one person, their events, and every message until all runs are over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from orchestrator.bootstrap.engine import Engine
from orchestrator.bootstrap.virtual import VirtualWorld, open_world
from orchestrator.domain.consent import Method
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.journey_tests import (
    SENT,
    TOLERANCE,
    EnteredByHand,
    EventComes,
    Happening,
    JourneyTest,
    Pair,
    PolicyChanges,
    Told,
    compared,
)
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import LinkClaims, MessageFilter
from orchestrator.services.audiences import EVERY
from orchestrator.services.consent import Visit
from orchestrator.services.entering import Door
from orchestrator.services.manual import enter_by_hand
from orchestrator.services.publishing import publish
from orchestrator.services.versions import Candidate
from orchestrator.simulation.driver import NeverRests, VirtualDaemon
from orchestrator.simulation.looks import looks_for
from orchestrator.simulation.people import event_of, place_person
from orchestrator.simulation.policies import earlier

BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""When the shop of a test was set up: nobody was there yet."""
LONGEST: Final = timedelta(days=5 * 365)
"""How long after its start a test is given up."""
LOOKED: Final = EVERY + timedelta(minutes=1)
"""By when whatever happened has been seen by those who look at segments."""
MOST_STOPS: Final = 20_000
"""The same, in moments at which there was work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test."""

    test: JourneyTest
    pairs: tuple[Pair, ...]
    trouble: str = ""
    """Why it could not be run to its end."""

    @property
    def passed(self) -> bool:
        """Whether everything came as wanted, and nothing else."""
        return not self.trouble and all(pair.met for pair in self.pairs)


def run_tests(candidate: Candidate, tests: Sequence[JourneyTest]) -> Iterator[Outcome]:
    """Run tests of a publishable candidate, in order, each in a world as if it were alone.

    Setting a world up takes some tenths of a second and is shared; setting it back a
    millisecond.
    """
    with ExitStack() as stack:
        stage = Stage(candidate, stack)
        with asyncio.Runner() as runner:
            for test in tests:
                yield runner.run(stage.perform(test))


class Stage:
    """The worlds in which tests are played: one as it is, one before the policy changed."""

    def __init__(self, candidate: Candidate, stack: ExitStack) -> None:
        self._candidate = candidate
        self._stack = stack
        self._worlds: dict[bool, VirtualWorld] = {}

    async def perform(self, test: JourneyTest) -> Outcome:
        """Run one test."""
        changes = any(isinstance(one, PolicyChanges) for one in test.happenings)
        world = await self._world(before_change=changes)
        world.database.rewind()
        world.clock.moment = test.start
        world.library.refresh()
        return await _Performance(world, self._candidate, test).run()

    async def _world(self, *, before_change: bool) -> VirtualWorld:
        if before_change not in self._worlds:
            world = self._stack.enter_context(open_world(BEGINNING))
            candidate = earlier(self._candidate) if before_change else self._candidate
            await set_up(world, candidate)
            self._worlds[before_change] = world
        return self._worlds[before_change]


async def set_up(world: VirtualWorld, candidate: Candidate) -> None:
    """Publish, take the first look at everything there is, and remember that."""
    engine = world.engine()
    publish(world.database, world.library, candidate, "test", world.clock)
    await VirtualDaemon(engine, world.clock).settle()
    world.library.renderer(world.library.live())
    world.database.keep()


class _Performance:
    """One test on its way."""

    def __init__(self, world: VirtualWorld, candidate: Candidate, test: JourneyTest) -> None:
        self._world = world
        self._candidate = candidate
        self._test = test
        self._engine: Engine = world.engine(test.flow)
        book = world.library.book(world.library.live())
        self._flows = list(book.flows)
        looks = looks_for(book, world.database)
        self._daemon = VirtualDaemon(self._engine, world.clock, looks)

    async def run(self) -> Outcome:
        test, trouble = self._test, ""
        with self._world.database.transaction() as uow:
            person = place_person(uow, test.person, test.start)
        try:
            for number, happening in enumerate(test.happenings):
                await self._daemon.pass_until(happening.at)
                await self._let_happen(happening, person, number)
                await self._daemon.work()
            trouble = await self._finish()
        except NeverRests as error:
            trouble = str(error)
        return Outcome(test, tuple(compared(test.expect, self._received())), trouble)

    async def _let_happen(self, happening: Happening, person: ContactId, number: int) -> None:
        match happening:
            case EventComes(type="contact.confirmed") if self._by_link(happening):
                await self._confirm(happening, person, number)
            case EventComes():
                event = event_of(happening, self._test.person, number)
                await self._engine.intake.submit(event)
            case PolicyChanges():
                world = self._world
                publish(world.database, world.library, self._candidate, "test", world.clock)
            case EnteredByHand():
                self._enter(happening, person)
            case _:
                assert_never(happening)

    def _by_link(self, happening: EventComes) -> bool:
        """Whether it stands for the link of a mail; a shop that confirms brings its proof."""
        data = happening.fields.get("data")
        return not (isinstance(data, dict) and "consent_evidence" in data)

    async def _confirm(self, happening: EventComes, person: ContactId, number: int) -> None:
        """The person presses the button behind `links.confirm`, by email unless told."""
        given = happening.fields.get("consent")
        names = [name for name, answer in given.items() if answer in ("yes", True)] if given else []
        visit = Visit("/confirm", Method.CONFIRM_LINK)
        for channel in map(Channel, names or ["email"]):
            claims = LinkClaims(person, None, channel)
            token = f"{number} {channel.value}"
            await self._engine.preferences.confirm(claims, token, visit)

    def _enter(self, happening: EnteredByHand, person: ContactId) -> None:
        world = self._world
        door = Door.open(world.library, world.opened.ids, world.clock.now())
        with world.database.transaction() as uow:
            contact = uow.contacts.load([person])[person]
            if happening.flow in door.book.flows:
                enter_by_hand(uow, door, happening.flow, contact, happening.fields)

    async def _finish(self) -> str:
        """Go on until all runs are over and everything wanted is due; why that never is."""
        test = self._test
        awaited = [one.at + TOLERANCE for one in test.expect]
        until = max([test.start, *awaited, *(one.at + LOOKED for one in test.happenings)])
        await self._daemon.settle()
        for _ in range(MOST_STOPS):
            live, now = self._live(), self._world.clock.moment
            if not live and now >= until:
                return ""
            stop = self._daemon.next_stop()
            if not live:
                stop = min(stop or until, until)
            if stop is None or stop > test.start + LONGEST:
                return "a run is not over after five years"
            await self._daemon.jump(stop)
        return f"a run is not over after {MOST_STOPS:,} steps"

    def _live(self) -> bool:
        with self._world.database.read() as uow:
            return bool(uow.enrolments.contacts_in(self._flows))

    def _received(self) -> list[Told]:
        with self._world.database.read() as uow:
            messages = uow.messages.find(MessageFilter())
        told = [_told(one) for one in messages if one.state is not MessageState.CANCELLED]
        return sorted(told, key=lambda one: one.at)


def _told(message: Message) -> Told:
    """What became of a message, and when."""
    refused_at = message.decision.get("at")
    at = message.sent_at or message.sending_at or message.created_at
    if message.state is MessageState.NOT_SENT and refused_at:
        at = datetime.fromisoformat(refused_at)
    return Told(
        at=at,
        channel=message.channel,
        template=message.template,
        outcome=_outcome(message),
        flow=message.flow,
        step=message.step,
        problem=message.decision.get("problem", ""),
    )


def _outcome(message: Message) -> str:
    match message.state:
        case MessageState.SENT | MessageState.DELIVERED:
            return SENT
        case MessageState.NOT_SENT:
            return message.reason or message.state.value
        case _:
            reason = f" ({message.reason})" if message.reason else ""
            return f"{message.state.value}{reason}"
