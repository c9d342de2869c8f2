"""Killed at any moment, nothing is lost, nothing doubled, and what is in doubt is `unknown`."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from orchestrator.services.gatekeeping import IN_DOUBT_AFTER
from orchestrator.storage.engine import create_engine_for
from tests.e2e.running import Daemon, wait_for
from tests.kill.crowd import Customer, Shopfront, crowd
from tests.kill.fleet import Fleet, SinkProcess, environment
from tests.kill.verdict import Verdict, at_rest, let_doubt_ripen, only_doubt_is_left

CONNECTIONS = 8
STEPS = 2
"""Messages for each customer."""

FLOWS = """\
version: 1
brand:
  name: Northwind Books
  url: https://northwind.example
  email: Northwind <hello@northwind.example>
  postal_address: Keskuskatu 1, Helsinki
  support: help@northwind.example
  locale: en
  timezone: Europe/Helsinki
topics:
  offers: {title: Offers}
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
      - wait: 1 second
      - send: cart/reminder
        id: first
      - wait: 1 second
      - send: cart/nudge
        id: second
"""


@dataclass
class Ordeal:
    """So many rounds of so many messages, and a crash in each."""

    fleet: Fleet
    sink: SinkProcess
    shopfront: Shopfront
    engine: Engine
    draw: random.Random
    size: int
    people: list[Customer] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def round(self, number: int) -> None:
        """A crowd comes; when a random share of its mails has gone out, the crash."""
        people = crowd(self.draw, str(number), self.size // STEPS)
        self.people += people
        before = self.sink.count()
        visitors = threading.Thread(target=asyncio.run, args=[self.shopfront.serve(people)])
        visitors.start()
        self.sink.await_count(before + self.draw.randrange(self.size // 2), patience=30)
        moves = self.fleet.moves()
        crash = moves[number] if number < len(moves) else self.draw.choice(moves)
        what = self._strike(crash)
        sent = self.sink.count()
        self._measure(f"round {number}: {what} killed after {sent} mails", sent)
        visitors.join()

    def _strike(self, crash: Callable[[], str]) -> str:
        """A crash in mid-send: some answers are held back until it has happened.

        Where all workers die it hits a message for certain; where one does, perhaps.
        """
        held, cut = self.sink.held(), self.sink.cut()
        self.sink.hold(self.draw.randint(1, CONNECTIONS))
        wait_for(lambda: self.sink.held() > held, "a message under way", 60)
        time.sleep(self.draw.uniform(0, 0.05))
        what = crash()
        self.sink.release()
        if not self.fleet.spares_some(crash):
            wait_for(lambda: self.sink.cut() > cut, "a connection cut before its answer")
        return what

    def _measure(self, what: str, sent: int) -> None:
        """How long until the next mail, and until the web answers again."""
        began = time.monotonic()
        wait_for(lambda: self.sink.count() > sent + CONNECTIONS * 3, "mail after a crash", 120)
        self.told.append(f"{what}; mails again after {time.monotonic() - began:.1f} s")
        self.fleet.await_ready()

    def come_to_rest(self, patience: float, *, hurry: bool) -> None:
        began = time.monotonic()
        if hurry:
            # What dead processes were sending is in doubt only after minutes: wait for the
            # rest, and let just that come sooner.
            wait_for(lambda: only_doubt_is_left(self.engine), "all but doubt settled", patience)
            let_doubt_ripen(self.engine, by=IN_DOUBT_AFTER)
        wait_for(lambda: at_rest(self.engine), "rest", patience)
        self.told.append(f"at rest after another {time.monotonic() - began:.1f} s")


@contextmanager
def database_of(url: str) -> Iterator[Engine]:
    """The tests' own look at the database."""
    engine = create_engine_for(url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def an_ordeal(folder: Path, url: str, seed: int, size: int) -> Iterator[Ordeal]:
    flows = folder / "flows.yaml"
    flows.write_text(FLOWS)
    with database_of(url) as engine, SinkProcess(folder / "sink.jsonl", seed) as sink:
        settings = environment(sink, CONNECTIONS)
        daemon = Daemon(folder, url, flows, settings)
        draw = random.Random(seed)
        with Fleet(daemon, url.startswith("postgresql"), draw) as fleet:
            fleet.start()
            yield Ordeal(fleet, sink, Shopfront(daemon.url), engine, draw, size)


def endure(folder: Path, url: str, kills: int, size: int, *, hurry: bool) -> None:
    """The whole test; `KILL_SEED` draws the same crowd and crashes again."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    tell(f"KILL_SEED={seed}")
    with an_ordeal(folder, url, seed, size) as ordeal:
        for number in range(kills):
            ordeal.round(number)
        ordeal.come_to_rest(patience=90 + kills * size / 50, hurry=hurry)
        assert set(ordeal.fleet.stop()) == {0}
        verdict = Verdict.read(ordeal.engine, ordeal.sink.file)
        tell(*ordeal.told, verdict.summary(), f"webhooks repeated: {ordeal.shopfront.repeated}")
        verdict.check_delivery(CONNECTIONS, ordeal.fleet.killed)
        verdict.check_webhooks(ordeal.shopfront.acknowledged)
        verdict.check_people(ordeal.people)
        assert ordeal.shopfront.refused == []
        assert verdict.book.kept.total() > len(ordeal.people)
        assert verdict.book.cut


def tell(*lines: str) -> None:
    """Shown with a failure, and by `pytest -s`."""
    print(*lines, sep="\n")  # noqa: T201 - seeds and figures are for whoever reads the run


def test_three_crashes_lose_and_double_nothing(tmp_path: Path, database_url: str) -> None:
    endure(tmp_path, database_url, kills=3, size=200, hurry=True)


@pytest.mark.slow
def test_twenty_crashes_lose_and_double_nothing(tmp_path: Path, database_url: str) -> None:
    endure(tmp_path, database_url, kills=20, size=2_000, hurry=False)
