"""The engine in virtual time: its clock, identities and database, and the demo."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from orchestrator.bootstrap.databases import checkpoint_signer, open_database
from orchestrator.bootstrap.files import read_files
from orchestrator.bootstrap.virtual import (
    VirtualClock,
    VirtualIds,
    open_in_virtual_time,
    open_world,
)
from orchestrator.cli import program
from orchestrator.daemon.ticks import SHORT, worker_ticks
from orchestrator.domain.contacts import Contact
from orchestrator.domain.events import ContactFields
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import DueCounts, Lane, MessageFilter
from orchestrator.settings import Settings
from orchestrator.simulation.demo import KEPT, MONTHS, Demo, SampleProvider
from orchestrator.simulation.driver import NeverRests, VirtualDaemon, _concerns
from orchestrator.simulation.journey_tests import set_up
from orchestrator.storage.lock import DaemonLock
from tests.integration.shop import ROOT

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


# Identities -----------------------------------------------------------------------------------


def test_identities_are_uuids_of_virtual_moments_in_their_order() -> None:
    clock = VirtualClock(NOW)
    ids = VirtualIds(clock)
    made = []
    for _ in range(500):
        made += [ids.new(), ids.new()]
        clock.moment += timedelta(milliseconds=1)
    assert made == sorted(set(made))
    one = UUID(made[0])
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert one.int >> 80 == int(NOW.timestamp() * 1000)


def test_the_same_seed_makes_the_same_identities() -> None:
    def made(seed: int) -> list[str]:
        ids = VirtualIds(VirtualClock(NOW), seed)
        return [ids.new() for _ in range(20)]

    assert made(1) == made(1)
    assert set(made(1)).isdisjoint(made(2))


# The world ------------------------------------------------------------------------------------


async def test_a_world_is_set_back_to_what_was_kept() -> None:
    with open_world(NOW) as world:
        database = world.database

        async def add(email: str) -> None:
            await database.run(
                Lane.INTAKE, lambda uow: uow.contacts.resolve([ContactFields(email=email)], NOW)
            )

        await add("ada@example.com")
        database.keep()
        for email in ("bea@example.com", "cleo@example.com"):
            await add(email)
            database.rewind()
            people = await database.query(lambda uow: uow.contacts.page(None, 10))
            assert [one.email for one in people] == ["ada@example.com"]


def test_a_world_leaves_nothing_behind() -> None:
    with open_world(NOW) as world:
        file = Path(world.settings.database_url.get_secret_value().removeprefix("sqlite:///"))
        assert file.exists()
    assert not file.parent.exists()


async def test_every_quick_tick_is_known_by_the_work_it_does() -> None:
    with open_world(NOW) as world:
        engine = world.engine()
        quick = VirtualDaemon(engine, world.clock)._quick
        table = worker_ticks(engine)
    real = {tick.name.partition(" ")[0] for tick in table if tick.every <= SHORT}
    assert {tick.name.partition(" ")[0] for tick in quick} == real
    nothing = DueCounts(0, 0, 0, None)
    everything = DueCounts(1, 1, 1, NOW)
    assert [tick.name for tick in quick if _concerns(tick, nothing)] == []
    assert all(_concerns(tick, everything) for tick in quick)


async def test_an_engine_that_never_rests_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_files(ROOT / "flows.yaml", ROOT / "templates")
    with open_world(NOW) as world:
        await set_up(world, read.candidate)
        daemon = VirtualDaemon(world.engine(), world.clock)
        monkeypatch.setattr(daemon, "_due", lambda: DueCounts(1, 0, 0, NOW))
        with pytest.raises(NeverRests):
            await daemon.settle()


# The demo -------------------------------------------------------------------------------------

PEOPLE = 24


@dataclass(frozen=True)
class Played:
    """What a small shop's three months leave behind."""

    folder: Path
    settings: Settings
    messages: list[Message]
    people: list[Contact]
    events: Counter[str]
    kept: int

    def told(self) -> list[tuple[str, ...]]:
        """Every message: to whom, of what, what became of it, and when."""
        emails = {one.id: one.label for one in self.people}
        rows = [
            (
                emails[one.contact_id],
                one.flow,
                one.step,
                one.state.value,
                str(one.reason),
                one.created_at.isoformat(),
            )
            for one in self.messages
        ]
        return sorted(rows)  # how often the engine looks for work, and so counts ids, may differ


def play(folder: Path, seed: int = 1) -> Played:
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(f"sqlite:///{folder / 'demo.db'}"),
        secret_key=(SecretStr("tests sign with this key"),),
        suppression_key=SecretStr("tests hash with this key"),
    )
    candidate = read_files(ROOT / "flows.yaml", ROOT / "templates").candidate
    clock = VirtualClock(NOW)
    provider = SampleProvider(clock=clock, most=KEPT)
    passed: list[timedelta] = []
    with open_in_virtual_time(settings, clock, seed, provider) as engine:
        demo = Demo(engine, clock, provider, candidate, seed, PEOPLE)
        demo.play(lambda so_far, _whole: passed.append(so_far))
        with engine.database.read() as uow:
            people = uow.contacts.page(None, 1000)
            events = [one.type for who in people for one in uow.events.of_contact(who.id, 1000)]
            messages = uow.messages.find(MessageFilter())
    assert clock.moment == NOW
    assert passed == sorted(passed)
    return Played(folder, settings, messages, people, Counter(events), len(provider.taken))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("demo"))


def test_three_months_fill_every_listing(played: Played) -> None:
    assert {one.flow for one in played.messages} >= {
        "welcome",
        "abandoned_cart",
        "review_request",
        "win_back",
        "privacy_notice",
    }
    assert {one.state for one in played.messages} >= {
        MessageState.SENT,
        MessageState.HELD,
        MessageState.NOT_SENT,
    }
    assert {"no_consent", "cap"} <= {one.reason for one in played.messages}
    assert played.events.keys() >= {
        "contact.subscribed",
        "product.viewed",
        "checkout.started",
        "order.placed",
        "order.delivered",
        "message.clicked",
    }
    assert 0 < played.kept <= KEPT


def test_it_ends_now_and_began_three_months_ago(played: Played) -> None:
    moments = [one.created_at for one in played.messages]
    assert min(moments) >= NOW - MONTHS
    assert NOW - timedelta(days=1) < max(moments) <= NOW


def test_nobody_in_it_can_be_reached(played: Played) -> None:
    """RFC 2606 keeps example.com, the North American numbering plan 555-0100 to 555-0199."""
    for one in played.people:
        assert one.email is not None
        assert one.email.endswith("@example.com")
        assert one.phone is None or re.fullmatch(r"\+1\d{3}55501\d\d", one.phone)
    phones = [one.phone for one in played.people if one.phone]
    assert len(phones) == len(set(phones)) > 0


def test_everybody_was_told_once_of_the_new_policy(played: Played) -> None:
    notices = [one for one in played.messages if one.flow == "privacy_notice"]
    before = [one for one in played.people if one.created_at <= notices[0].created_at]
    assert sorted(one.contact_id for one in notices) == sorted(one.id for one in before)


def test_the_ledger_of_it_is_whole(played: Played) -> None:
    with open_database(played.settings) as opened, opened.database.read() as uow:
        report = uow.consents.verify(checkpoint_signer(played.settings))
    assert report.records > 0
    assert report.findings == []


def test_the_same_seed_plays_the_same_months(played: Played, tmp_path: Path) -> None:
    assert play(tmp_path).told() == played.told()


# The verb -------------------------------------------------------------------------------------


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs `demo` where nothing is yet; what it complains about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("ORCHESTRATOR_SUPPRESSION_KEY", "s" * 40)
    monkeypatch.setenv("ORCHESTRATOR_FLOWS", str(ROOT / "flows.yaml"))
    monkeypatch.setenv("ORCHESTRATOR_TEMPLATES", str(ROOT / "templates"))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(program, ["demo", *arguments])
        return str(result.exception) if result.exception else result.output

    return run


def test_a_database_that_holds_people_is_left_alone(
    played: Played, verb: Callable[..., str]
) -> None:
    url = played.settings.database_url.get_secret_value()
    assert "holds people already" in verb("--database", url)


def test_a_database_with_a_running_daemon_is_left_alone(
    verb: Callable[..., str], tmp_path: Path
) -> None:
    with DaemonLock(tmp_path / "demo.db"):
        assert "another daemon is running" in verb("--database", f"sqlite:///{tmp_path}/demo.db")


def test_it_plays_only_where_the_outbox_is_the_only_provider(
    verb: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_EMAIL_URL", "smtp://user:password@mail.example:587")
    told = verb()
    assert "ORCHESTRATOR_EMAIL_URL names a real provider" in told
    assert "password" not in told


def test_it_fills_the_outbox_and_says_what_to_look_at(
    verb: Callable[..., str], tmp_path: Path
) -> None:
    told = verb("--people", "20", "--database", "sqlite:///var/demo.db")
    assert re.match(r"\d+ people, [\d,]+ messages \(", told)
    assert "ORCHESTRATOR_DATABASE_URL=sqlite:///var/demo.db make run" in told
    described = [json.loads(one.read_text()) for one in (tmp_path / "var/outbox").glob("*.json")]
    assert 0 < len(described) <= KEPT
    assert {one["to"].endswith("@example.com") or one["to"][:2] == "+1" for one in described} == {
        True
    }
    newest = max(described, key=lambda one: one["id"])
    assert newest["written_at"] == max(one["written_at"] for one in described)
