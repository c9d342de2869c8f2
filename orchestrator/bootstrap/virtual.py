"""The engine on a virtual clock: real rules and rendering, a database of its own, no network."""

from __future__ import annotations

import random
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import SecretStr

from orchestrator.bootstrap.databases import OpenDatabase, open_database
from orchestrator.bootstrap.engine import Engine, assemble_engine
from orchestrator.bootstrap.library import library_parts, open_library
from orchestrator.domain.flows import Channel, FlowBook
from orchestrator.domain.identifiers import MessageId, VersionHash
from orchestrator.ports import (
    Clock,
    Delivery,
    DeliveryOutcome,
    Provider,
    RenderedMessage,
    Renderer,
)
from orchestrator.services.results import Result, Results
from orchestrator.services.versions import VersionLibrary
from orchestrator.settings import Settings
from orchestrator.storage.engine import sqlite_file
from orchestrator.storage.lock import DaemonLock
from orchestrator.storage.scratch import InlineDatabase, ScratchDatabase

_KEY: Final = SecretStr("links of a simulation lead nowhere")
_CONNECTIONS: Final = 64
_MILLISECOND: Final = 0.001
_COUNTER_BITS: Final = 42
_DRAWN_BITS: Final = 32


@dataclass(slots=True)
class VirtualClock:
    """Stands still until it is set."""

    moment: datetime

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment


class VirtualIds:
    """UUIDv7 (RFC 9562 section 5.7) of virtual moments: the same again with the same seed.

    48 bits of the clock's milliseconds, then a counter that orders all ids of one world, then
    what the seed draws.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - to be drawn again, not to be guessed
        self._count = 0

    def new(self) -> str:
        """A new identity, greater than every earlier one while the clock does not go back."""
        self._count += 1
        drawn = self._random.getrandbits(_DRAWN_BITS)
        tail = (self._count % (1 << _COUNTER_BITS)) << _DRAWN_BITS | drawn
        high, low = tail >> 62, tail & ((1 << 62) - 1)
        milliseconds = int(self._clock.now().timestamp() / _MILLISECOND)
        return str(UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))


@dataclass
class RecordingProvider:
    """Takes every message and remembers the newest ones; sends nothing."""

    name: str = "recording"
    connections: int = _CONNECTIONS
    most: int | None = 0
    """How many messages are remembered; None: all of them."""
    taken: deque[tuple[MessageId, RenderedMessage, datetime]] = field(init=False)
    clock: Clock | None = None

    def __post_init__(self) -> None:
        self.taken = deque(maxlen=self.most)

    async def send(self, message_id: MessageId, message: RenderedMessage) -> Delivery:
        """Take it."""
        if self.clock is not None:
            self.taken.append((message_id, message, self.clock.now()))
        return Delivery(DeliveryOutcome.SENT, provider_id=message_id)

    async def close(self) -> None:
        """Nothing is held open."""


class PromptResults(Results):
    """Writes each result at once: in virtual time nothing gathers."""

    async def store(self, result: Result) -> None:
        """Write a result."""
        await self._write([result])


class Uncounted:
    """`ports.Metrics` where nobody watches."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Count nothing."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Measure nothing."""


class FocusedLibrary(VersionLibrary):
    """A library that shows one flow alone, if it is told to."""

    only: str | None = None

    def book(self, version: VersionHash) -> FlowBook:
        """The flows of a version, or the one in focus; raises NotFound."""
        whole = super().book(version)
        if self.only is None:
            return whole
        return replace(whole, flows={name: whole.flows[name] for name in (self.only,)})

    def renderer(self, version: VersionHash) -> Renderer:
        """The renderer of a whole version, which every focus shares."""
        only, self.only = self.only, None
        try:
            return super().renderer(version)
        finally:
            self.only = only


@dataclass(frozen=True, slots=True)
class VirtualWorld:
    """A world of its own: a clock to set, an empty shop, a provider that remembers."""

    settings: Settings
    clock: VirtualClock
    opened: OpenDatabase
    library: FocusedLibrary
    database: ScratchDatabase
    provider: RecordingProvider

    def engine(self, only: str | None = None) -> Engine:
        """A fresh engine on this world's database; `only` is the one flow that people enter."""
        self.library.only = only
        providers: dict[Channel, Provider] = dict.fromkeys(Channel, self.provider)
        return assemble_engine(
            self.settings, self.opened, self.library, providers, Uncounted(), PromptResults
        )


@contextmanager
def open_world(start: datetime, keep_messages: int | None = 0) -> Iterator[VirtualWorld]:
    """A world that begins at `start` and is gone with its temporary folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
        settings = _settings(Path(folder))
        clock = VirtualClock(start)
        with open_database(settings, clock, VirtualIds(clock), ScratchDatabase) as opened:
            database = opened.database
            if not isinstance(database, ScratchDatabase):
                raise TypeError("a world has a database of its own")
            library = FocusedLibrary(database, *library_parts(settings, opened))
            provider = RecordingProvider(most=keep_messages, clock=clock)
            yield VirtualWorld(settings, clock, opened, library, database, provider)


@contextmanager
def open_in_virtual_time(
    settings: Settings, clock: VirtualClock, seed: int, provider: Provider
) -> Iterator[Engine]:
    """An engine in virtual time on a configured database, where nothing is sent.

    Raises AlreadyRunning while a daemon works on that SQLite file, ConfigurationError.
    """
    file = sqlite_file(settings.database_url.get_secret_value())
    ids = VirtualIds(clock, seed)
    alone = DaemonLock(file) if file else nullcontext()
    with alone, open_database(settings, clock, ids, InlineDatabase) as opened:
        library = open_library(settings, opened)
        providers = dict.fromkeys(Channel, provider)
        yield assemble_engine(settings, opened, library, providers, Uncounted(), PromptResults)


def _settings(folder: Path) -> Settings:
    """Settings that owe nothing to the environment."""
    return Settings.model_construct(
        bind="127.0.0.1:8000",
        database_url=SecretStr(f"sqlite:///{folder / 'virtual.db'}"),
        secret_key=(_KEY,),
        suppression_key=_KEY,
    )
