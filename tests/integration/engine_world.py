"""Worlds in which random people go through random journeys while the engine crashes.

A crash strikes at one of the engine's transactions, before or after its commit. From then on
that engine does nothing any more; another is built on the database it left behind.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import func, select
from sqlalchemy.event import listens_for

from orchestrator.bootstrap.application import App, assemble
from orchestrator.bootstrap.databases import open_database
from orchestrator.bootstrap.files import read_files
from orchestrator.domain.events import ConsentAnswer, ContactFields, IncomingEvent
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import MessageId
from orchestrator.ports import Delivery, DeliveryOutcome, Lane, RenderedMessage, UnitOfWork
from orchestrator.services.gatekeeping import Draft
from orchestrator.services.publishing import publish
from orchestrator.services.recovery import recover
from orchestrator.services.results import doubt_expired
from orchestrator.settings import Settings
from orchestrator.storage.tables import enrolment, event, message
from tests.integration.engine_journeys import Deed, Journey, Life, Writer, flows_file, some_caps
from tests.integration.engine_model import HandedOver, Model, Sent
from tests.integration.shop import ROOT, SteppingClock

T = TypeVar("T")

PATIENCE = 400
"""How often time moves on, at most, until everything is at rest."""
DEADLY = 0.05
"""How often an engine dies while a message is at the provider."""
OUTCOMES = {"sent": 82, "kept in doubt": 4, "lost in doubt": 3, "rejected": 6, "retry": 5}


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


@dataclass
class Provider:
    """Takes messages from every engine of a world, and tells the model."""

    model: Model
    draw: random.Random
    gates: dict[MessageId, tuple[int, datetime]] = field(default_factory=dict)
    """When the gate that decided last about a message began."""
    name: str = "fickle"
    connections: int = 3
    owner: Engine | None = None

    async def send(self, message_id: MessageId, body: RenderedMessage) -> Delivery:
        gated, at = self.gates[message_id]
        one = HandedOver(message_id, body.envelope_to, body.channel.value, gated, at)
        self.model.handed.append(one)
        for _ in range(self.draw.randrange(3)):
            await asyncio.sleep(0)
        word = self.draw.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        one.kept = word in ("sent", "kept in doubt")
        if self.owner and self.owner.mortal and self.draw.random() < DEADLY:
            self.owner.dead.set()
            await asyncio.Event().wait()
        for _ in range(self.draw.randrange(3)):
            await asyncio.sleep(0)
        outcome = DeliveryOutcome.UNKNOWN if word.endswith("doubt") else DeliveryOutcome(word)
        one.outcome = outcome.value
        reason = "rejected" if outcome is DeliveryOutcome.REJECTED else None
        return Delivery(outcome, reason=reason)

    async def close(self) -> None:
        pass


@dataclass(eq=False)
class Engine:
    """One application, and how many transactions it has left."""

    app: App
    left: int | None = None
    commits: bool = False
    """Whether the last transaction is committed before the crash."""
    mortal: bool = True
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    busy: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._real = self.app.database.run
        vars(self.app.database)["run"] = self._run

    async def _run(self, lane: Lane, work: Callable[[UnitOfWork], T]) -> T:
        if self.dead.is_set():
            raise Crash
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                await self._last(lane, work)
        return await self._real(lane, work)

    async def _last(self, lane: Lane, work: Callable[[UnitOfWork], Any]) -> None:
        def undone(uow: UnitOfWork) -> None:
            work(uow)
            raise Crash

        self.left = 1 << 30
        with suppress(Crash):
            await self._real(lane, work if self.commits else undone)
        self.dead.set()
        raise Crash

    async def survive(self, work: Awaitable[T]) -> T | None:
        """Do something; None if the engine dies of it, or is dead."""
        task = asyncio.ensure_future(work)
        dying = asyncio.create_task(self.dead.wait())
        self.busy.add(task)
        await asyncio.wait({task, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        self.busy.discard(task)
        if self.dead.is_set():
            await self.bury({task})
            return None
        return task.result()

    async def bury(self, tasks: set[asyncio.Task[Any]]) -> None:
        """What a process did is gone with it."""
        mine = tasks | set(self.app.dispatching._sending) | self.busy
        mine |= {one for one in (self.app.results._writer, self.app.intake._worker) if one}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        self.app.database.close()

    async def work(self, draw: random.Random) -> None:
        """Some of what its ticks do, in any order."""
        app = self.app
        parts: list[Callable[[], Awaitable[int]]] = [
            lambda: app.enrolling.run_once(draw.choice([1, 200])),
            lambda: app.advancing.run_once(draw.choice([1, 5, 200])),
            app.advancing.retry_once,
            lambda: app.dispatching.run_once(draw.choice([1, 5, 100])),
            self._doubt,
        ]
        draw.shuffle(parts)
        for part in parts[draw.randrange(3) :]:
            await part()
        if draw.random() < 0.7:
            await app.dispatching.drain()

    async def finish(self) -> int:
        """Everything its ticks do at one moment; returns how much it was."""
        app = self.app
        done = await self._doubt() + await app.enrolling.run_once()
        done += await app.advancing.run_once() + await app.advancing.retry_once()
        done += await app.dispatching.run_once()
        await app.dispatching.drain()
        return done

    async def _doubt(self) -> int:
        app = self.app
        return await app.database.run(Lane.RESULTS, lambda uow: doubt_expired(uow, app.clock))


@dataclass
class World:
    """A database, the engines at work on it, and the model that watches."""

    url: str
    folder: Path
    seed: int
    engines_at_once: int
    journeys: int
    stack: ExitStack
    clock: SteppingClock = field(default_factory=SteppingClock)
    engines: list[Engine] = field(default_factory=list)
    replaced: list[Engine] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        writer = Writer(self.draw)
        self.flows = [writer.journey(number) for number in range(self.journeys)]
        caps = some_caps(self.draw)
        self.model = Model(self.flows, caps)
        self.life = Life(self.draw, people=5)
        self.provider = Provider(self.model, self.draw)
        (self.folder / "flows.yaml").write_text(flows_file(self.flows, caps))

    def build(self, *, first: bool = False) -> Engine:
        """An application as a process that starts would build it."""
        settings = Settings(
            _env_file=None,
            bind="127.0.0.1:8000",
            database_url=SecretStr(self.url),
            secret_key=(SecretStr("tests sign with this key"),),
            suppression_key=SecretStr("tests hash with this key"),
        )
        opened = self.stack.enter_context(open_database(settings, self.clock))
        _no_power_cuts(opened.database.engine)
        provider = replace(self.provider)
        app = assemble(settings, opened, dict.fromkeys(Channel, provider))
        if first:
            read = read_files(self.folder / "flows.yaml", ROOT / "templates")
            assert read.candidate.publishable, read.candidate.findings
            publish(app.database, app.library, read.candidate, "test", self.clock)
        else:  # what is compiled never changes, and compiling takes long
            app.library._books |= self.engines[0].app.library._books
            app.library._templates |= self.engines[0].app.library._templates
        app.library.refresh()
        if app.alone:
            recover(app.database, self.clock)
        self._watch(app)
        provider.owner = Engine(app)
        return provider.owner

    def _watch(self, app: App) -> None:
        """Note when each gate begins to decide, before it has locked anybody."""
        gatekeeper = app.dispatching._gatekeeper
        judge = gatekeeper.judge

        def watched(uow: UnitOfWork, drafts: Sequence[Draft], token: str) -> list[Draft]:
            began = self.model.tick()
            allowed = judge(uow, drafts, token)
            for draft in allowed:
                self.provider.gates[draft.message.id] = (began, self.clock.now())
            return allowed

        vars(gatekeeper)["judge"] = watched

    # The course of things --------------------------------------------------------------

    async def live(self, deeds: int) -> None:
        """Everything happens, then time passes until nothing is left to do."""
        self.engines = [self.build(first=True)]
        self.engines += [self.build() for _ in range(self.engines_at_once - 1)]
        waiting = list(self.life.deeds(deeds))
        while waiting:
            self._light_fuses()
            some = [waiting.pop(0) for _ in range(min(len(waiting), self.draw.randint(1, 4)))]
            if self.draw.random() < 0.2:  # told twice at the same time, perhaps to two engines
                some.append(self.draw.choice(some))
            self.draw.shuffle(some)
            await asyncio.gather(
                *(self._tell(deed) for deed in some), *(self._turn(one) for one in self.engines)
            )
            await self._bring_back()
            self.clock.moment += timedelta(minutes=self.draw.choice([0, 0, 1, 20, 90, 400]))
        await self._rest()

    def _light_fuses(self) -> None:
        for engine in self.engines:
            if engine.left is None and self.draw.random() < 0.15:
                engine.left, engine.commits = self.draw.randint(1, 25), self.draw.random() < 0.5

    async def _bring_back(self) -> None:
        """Dead engines are buried, and others take their places."""
        for place, engine in enumerate(self.engines):
            if engine.dead.is_set() and engine not in self.replaced:
                self.replaced.append(engine)
                await engine.bury(set())
                self.engines[place] = self.build()

    async def _turn(self, engine: Engine) -> None:
        for _ in range(self.draw.randint(1, 3)):
            await engine.survive(engine.work(self.draw))
            if engine.dead.is_set():
                return

    async def _tell(self, deed: Deed) -> None:
        """A shop repeats an event until it is acknowledged."""
        told = self.model.submit(deed, self.clock.now())
        event = _incoming(deed, told.occurred_at)
        while True:
            engine = self.draw.choice(self.engines)
            if await engine.survive(engine.app.intake.submit(event)) is not None:
                self.model.acknowledge(told)
                return
            await self._bring_back()

    async def _rest(self) -> None:
        for engine in self.engines:
            engine.left, engine.mortal = None, False
        for _ in range(PATIENCE):
            await self._settle()
            wake = self._next_wake()
            if wake is None:
                return
            hop = timedelta(hours=self.draw.randint(2, 10))
            self.clock.moment = max(wake, self.clock.moment + hop)
        raise AssertionError("the world does not come to rest")

    async def _settle(self) -> None:
        for _ in range(100):
            done = await asyncio.gather(*(one.finish() for one in self.engines))
            if not sum(done):
                return
        raise AssertionError("the engine goes round in circles")

    def _next_wake(self) -> datetime | None:
        """When something falls due that is not yet; None when nothing will."""
        waiting = message.c.state.in_(["queued", "held"])
        live = enrolment.c.ended_at.is_(None)
        moments = [
            select(func.min(enrolment.c.due_at)).where(live, enrolment.c.due_at > self.clock.now()),
            select(func.min(enrolment.c.lease_until)).where(live),
            select(func.min(message.c.not_before)).where(
                waiting, message.c.not_before > self.clock.now()
            ),
            select(func.min(message.c.lease_until)).where(
                message.c.state.in_(["queued", "held", "sending"])
            ),
        ]
        with self.engines[0].app.database.engine.connect() as connection:
            found = [connection.scalar(one) for one in moments]
            left = connection.scalar(select(func.count()).where(live))
        later = [one for one in found if one is not None]
        return min(later, default=self.clock.now() if left else None)

    # What came of it ------------------------------------------------------------------

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        with self.engines[0].app.database.engine.connect() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in (event, enrolment, message)
            }

    def sent(self, rows: dict[str, list[dict[str, Any]]]) -> dict[str, Sent]:
        """Every message by id, as the model wants to know it."""
        runs = {run["id"]: run for run in rows["enrolment"]}
        events = {one["id"]: one["source_id"] for one in rows["event"]}
        flows: dict[str, Journey] = {flow.name: flow for flow in self.flows}
        return {
            one["id"]: Sent(
                enrolment_id=one["enrolment_id"],
                step=one["step"],
                journey=flows[one["flow"]],
                key=runs[one["enrolment_id"]]["key"],
                trigger=events.get(runs[one["enrolment_id"]]["event_id"]),
            )
            for one in rows["message"]
        }


def _no_power_cuts(engine: SqlEngine) -> None:
    """Processes die in these worlds, computers do not: nothing has to reach the disk."""
    if engine.dialect.name == "sqlite":

        @listens_for(engine, "connect")
        def _relax(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous = OFF")


def _incoming(deed: Deed, occurred_at: datetime) -> IncomingEvent:
    named: dict[str, Any] = dict(name.split(":", 1) for name in deed.names)
    return IncomingEvent(
        source="test",
        source_id=deed.event_id,
        type=deed.kind,
        occurred_at=occurred_at,
        contact=ContactFields(**named) if named else None,
        payload=deed.fields,
        consent={name: ConsentAnswer(word) for name, word in deed.consent.items()},
    )


@contextmanager
def a_world(url: str, folder: Path, seed: int, engines: int, journeys: int) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(url, folder, seed, engines, journeys, stack)
