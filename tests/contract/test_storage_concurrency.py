"""Many writers at once on PostgreSQL: nothing twice, nothing lost, nobody waits in a circle."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from orchestrator.domain.enrolments import EndReason, EnrolmentUpdate
from orchestrator.domain.events import ContactFields
from orchestrator.domain.identifiers import VersionHash
from orchestrator.domain.messages import CancelledReason
from orchestrator.domain.purchases import CheckoutState
from orchestrator.ports import Lane
from orchestrator.storage.engine import create_engine_for
from orchestrator.storage.identifiers import UuidIds
from orchestrator.storage.tables import contact, contact_identity, contact_merge, event
from orchestrator.storage.unit_of_work import SqlDatabase

LEASE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WAIT = 20.0
"""Seconds after which a test gives up: far longer than anything takes."""


@pytest.fixture(params=["postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Row locks are PostgreSQL's; SQLite has one writer."""
    url: str = request.getfixturevalue("_migrated_postgres_url")
    return url


@pytest.fixture
def rival(database_url: str, clock: Any) -> Iterator[SqlDatabase]:
    """Another process's view of the same database."""
    rival = SqlDatabase(create_engine_for(database_url), clock, UuidIds(), b"a key for tests")
    yield rival
    rival.close()


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread of its own, all started at the same moment."""
    barrier = threading.Barrier(len(works))

    def start(work: Callable[[], Any]) -> Any:
        barrier.wait(WAIT)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [one.result(WAIT) for one in [pool.submit(start, work) for work in works]]


def begun(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waits_for_a_lock(database: SqlDatabase) -> bool:
    """Whether some connection waits for another one's lock, asked until it is so."""
    with database.engine.connect() as connection:
        for _ in range(2000):
            waiting = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ).scalar_one()
            connection.rollback()
            if waiting:
                return True
            threading.Event().wait(0.005)
    return False


def test_claims_of_runs_never_overlap(world: Any, database: Any, rival: Any) -> None:
    people = [world.contact(f"p{number}@example.com") for number in range(60)]
    for person in people:
        world.run(person)
    now = world.clock.now()

    def claim(source: SqlDatabase, name: str) -> list[Any]:
        claimed: list[Any] = []
        number = 0
        while True:
            with source.transaction() as unit:
                batch = unit.enrolments.claim_due(now, 7, LEASE, f"{name} {number}")
            if not batch:
                return claimed
            claimed += batch
            number += 1

    sources = [(database, "a"), (rival, "b"), (database, "c"), (rival, "d")]
    found = at_once(*[partial(claim, source, name) for source, name in sources])
    assert Counter(one for batch in found for one in batch) == Counter(people)


def test_claims_of_messages_never_overlap(world: Any, database: Any, rival: Any) -> None:
    queued = set()
    for number in range(40):
        run = world.run(world.contact(f"p{number}@example.com"))
        queued.add(world.message(run, priority=number % 3).id)
    now = world.clock.now()

    def claim(source: SqlDatabase, name: str) -> list[Any]:
        claimed: list[Any] = []
        while True:
            with source.transaction() as unit:
                batch = unit.messages.claim_due(now, 7, LEASE, name)
            if not batch:
                return claimed
            claimed += [one.id for one in batch]

    found = at_once(lambda: claim(database, "a"), lambda: claim(rival, "b"))
    assert Counter(one for batch in found for one in batch) == Counter(queued)


def test_rows_locked_by_another_claim_are_skipped(world: Any, database: Any, rival: Any) -> None:
    first, second = [world.contact(f"p{number}@example.com") for number in range(2)]
    now = world.clock.now()
    world.run(first, due_at=now - HOUR)
    world.run(second)
    with database.transaction() as unit:
        assert unit.enrolments.claim_due(now, 1, LEASE, "a") == [first]
        with rival.transaction() as other:
            assert other.enrolments.claim_due(now, 1, LEASE, "b") == [second]


def test_a_limit_holds_however_the_database_joins(world: Any, database: Any) -> None:
    for number in range(30):
        world.run(world.contact(f"p{number}@example.com"))
    for setting in ("enable_hashjoin", "enable_mergejoin", "enable_material", "enable_hashagg"):
        with database.transaction() as unit:
            unit.connection.exec_driver_sql(f"SET LOCAL {setting} = off")
            assert len(unit.enrolments.claim_due(world.clock.now(), 3, LEASE, setting)) == 3


def test_a_wake_of_a_run_that_is_being_worked_on_is_not_lost(
    world: Any, database: Any, rival: Any
) -> None:
    run = world.run(world.contact("ada@example.com"))
    now = world.clock.now()
    later = EnrolmentUpdate(run.id, "wait", now, now + HOUR, {})

    def wake() -> None:
        with rival.transaction() as unit:
            unit.enrolments.wake([run.id], now)

    with database.transaction() as unit:
        unit.enrolments.claim_due(now, 9, LEASE, "token")
    with database.transaction() as unit:
        assert unit.enrolments.claimed("token", [run.contact_id])
        waking = begun(wake)
        assert waits_for_a_lock(database)
        unit.enrolments.save([later])
    waking.join(WAIT)
    with database.transaction() as unit:
        stored = unit.enrolments.load([run.id])[run.id]
        assert (stored.due_at, stored.step) == (now, "wait")
        assert unit.enrolments.claim_due(now, 9, LEASE, "next")


def test_an_exit_while_a_run_is_worked_on_ends_it_afterwards(
    world: Any, database: Any, rival: Any
) -> None:
    run = world.run(world.contact("ada@example.com"))
    now = world.clock.now()

    def leave() -> None:
        with rival.transaction() as unit:
            unit.enrolments.end([run.id], EndReason.EXITED, now)
            unit.messages.cancel_waiting([run.id], CancelledReason.EXITED, now)

    with database.transaction() as unit:
        unit.enrolments.claim_due(now, 9, LEASE, "token")
        assert unit.enrolments.claimed("token", [run.contact_id])
        leaving = begun(leave)
        assert waits_for_a_lock(database)
        message = world.new_message(run)
        unit.messages.insert([message], now)
        unit.enrolments.save([EnrolmentUpdate(run.id, "first", now, None, {})])
    leaving.join(WAIT)
    with database.transaction() as unit:
        assert unit.enrolments.load([run.id])[run.id].end_reason == "exited"
        assert unit.messages.load([message.id])[message.id].state == "cancelled"


def test_a_run_cannot_end_between_the_gate_and_sending(
    world: Any, database: Any, rival: Any
) -> None:
    run = world.run(world.contact("ada@example.com"))
    message = world.message(run)
    now = world.clock.now()
    cancelled: list[Any] = []

    def leave() -> None:
        with rival.transaction() as unit:
            unit.enrolments.end([run.id], EndReason.EXITED, now)
            cancelled.append(unit.messages.cancel_waiting([run.id], CancelledReason.EXITED, now))

    with database.transaction() as unit:
        unit.messages.claim_due(now, 9, LEASE, "token")
        assert unit.messages.mark_sending({message.id: {}}, "token", now, LEASE)
        leaving = begun(leave)
        assert waits_for_a_lock(database)
    leaving.join(WAIT)
    assert cancelled == [set()]


def test_an_event_is_stored_once_by_two_writers(world: Any, database: Any, rival: Any) -> None:
    person = world.contact("ada@example.com")

    def store(source: SqlDatabase) -> int:
        new = [world.new_event(person, f"e{number}") for number in range(50)]
        with source.transaction() as unit:
            return len(unit.events.insert(new))

    counts = at_once(*[partial(store, source) for source in (database, rival) * 2])
    assert sum(counts) == 50
    with database.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(event)) == 50


def test_people_with_events_are_given_to_one_worker_each(
    world: Any, database: Any, rival: Any
) -> None:
    people = [world.contact(f"p{number}@example.com") for number in range(4)]
    for person in people:
        world.event(person, f"e {person}")
    with database.transaction() as unit, rival.transaction() as other:
        mine = unit.events.lock_waiting_contacts(2)
        theirs = other.events.lock_waiting_contacts(9)
        assert len(mine) == 2
        assert sorted(mine + theirs) == sorted(people)


def test_events_that_name_nobody_are_given_to_one_worker(
    world: Any, database: Any, rival: Any
) -> None:
    nameless = world.event(None, "nobody")
    with database.transaction() as unit, rival.transaction() as other:
        assert [one.id for one in unit.events.lock_without_contact(9)] == [nameless]
        assert other.events.lock_without_contact(9) == []


def test_a_busy_crowd_in_front_does_not_hide_who_waits_behind(
    world: Any, database: Any, rival: Any
) -> None:
    busy, behind = world.contact("ada@example.com"), world.contact("bob@example.com")
    for number in range(30):
        world.event(busy, f"e{number}")
    world.event(behind, "last")
    with database.transaction() as unit, rival.transaction() as other:
        assert unit.events.lock_waiting_contacts(1) == [busy]
        assert other.events.lock_waiting_contacts(1) == [behind]


def test_one_address_never_becomes_two_contacts(database: Any, rival: Any, clock: Any) -> None:
    def people(offset: int) -> list[ContactFields]:
        numbers = [(number * 7 + offset) % 40 for number in range(40)]
        return [ContactFields(id=str(number), email=f"p{number}@example.com") for number in numbers]

    def resolve(source: SqlDatabase, offset: int) -> dict[str | None, Any]:
        batch = people(offset)
        with source.transaction() as unit:
            found = unit.contacts.resolve(batch, clock.now())
        return {person.email: one.contact_id for person, one in zip(batch, found, strict=True)}

    sources = [database, rival, database, rival]
    found = at_once(*[partial(resolve, source, offset) for offset, source in enumerate(sources)])
    assert all(one == found[0] for one in found)
    with database.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(contact)) == 40
        assert connection.scalar(select(func.count()).select_from(contact_merge)) == 0


def test_the_two_halves_of_a_person_may_arrive_at_once(
    database: Any, rival: Any, clock: Any
) -> None:
    """One writer makes the address, the other the shop's id; both name the phone."""

    def resolve(source: SqlDatabase, kind: str, number: int) -> Any:
        identities: dict[str, Any] = {"phone": f"+{number}", kind: f"{kind}{number}@example.com"}
        told = ContactFields(**identities)
        with source.transaction() as unit:
            return unit.contacts.resolve([told], clock.now())[0].contact_id

    for number in range(15):
        one, other = at_once(
            partial(resolve, database, "email", number),
            partial(resolve, rival, "id", number),
        )
        assert one == other
    with database.engine.connect() as connection:
        owners = connection.scalars(select(contact_identity.c.contact_id)).all()
        assert Counter(Counter(owners).values()) == {3: 15}
        assert connection.scalar(select(func.count()).select_from(contact)) == 15


async def test_merges_in_opposite_directions_do_not_lock_for_ever(
    world: Any, database: Any, rival: Any, clock: Any
) -> None:
    for number in range(10):
        emails = [f"{letter}{number}@example.com" for letter in "abc"]
        for email in emails:
            world.run(world.contact(email))

        def merging(first: str, second: str, number: int = number) -> Any:
            people = [
                ContactFields(id=f"i{number}", email=first),
                ContactFields(id=f"i{number}", email=second),
            ]
            return lambda unit: unit.contacts.resolve(people, clock.now())[0].contact_id

        await asyncio.gather(
            database.run(Lane.INTAKE, merging(emails[0], emails[1])),
            rival.run(Lane.INTAKE, merging(emails[2], emails[1])),
            database.run(Lane.INTAKE, merging(emails[1], emails[2])),
        )
        with database.read() as unit:
            owners = {unit.contacts.find("email", email) for email in emails}
            assert len(owners) == 1
            assert len(unit.enrolments.live_of(owners).get(owners.pop(), [])) == 1


def test_an_event_for_a_contact_that_is_being_merged_reaches_the_kept_one(
    world: Any, database: Any, rival: Any, clock: Any
) -> None:
    ada, bob = sorted([world.contact("ada@example.com"), world.contact("bob@example.com")])
    merging = [ContactFields(id="7", email=f"{name}@example.com") for name in ("ada", "bob")]
    stored: list[Any] = []

    def ingest() -> None:
        with rival.transaction() as unit:
            [found] = unit.contacts.resolve([ContactFields(email="bob@example.com")], clock.now())
            new = world.new_event(found.contact_id, "e1")
            unit.events.insert([new])
            stored.append((found.contact_id, new.id))

    with database.transaction() as unit:
        unit.contacts.resolve(merging, clock.now())
        ingesting = begun(ingest)
        assert waits_for_a_lock(database)
    ingesting.join(WAIT)
    assert stored[0][0] == ada != bob
    with database.read() as unit:
        assert [one.id for one in unit.events.unprocessed([ada])[ada]] == [stored[0][1]]


def test_a_checkout_nobody_has_stored_yet_is_locked_too(
    world: Any, database: Any, rival: Any
) -> None:
    now = world.clock.now()
    seen: list[Any] = []

    def second() -> None:
        with rival.transaction() as unit:
            seen.append(unit.purchases.checkouts(["c1"]))

    with database.transaction() as unit:
        assert unit.purchases.checkouts(["c1"]) == {}
        waiting = begun(second)
        assert waits_for_a_lock(database)
        state = CheckoutState("c1", None, {}, now, started_at=now)
        unit.purchases.save_checkouts([state])
    waiting.join(WAIT)
    assert seen == [{"c1": state}]


def test_of_two_publishers_one_wins(database: Any, rival: Any, clock: Any) -> None:
    def publish(source: SqlDatabase, name: str) -> bool:
        with source.transaction() as unit:
            return unit.versions.publish(VersionHash(name), 0, name, clock.now())

    won = at_once(*[partial(publish, database, name) for name in "ab"], lambda: publish(rival, "c"))
    assert Counter(won) == {True: 1, False: 2}
    with database.read() as unit:
        assert unit.versions.live()[0] == 1


def test_of_two_that_fire_a_schedule_or_spend_a_token_one_wins(
    database: Any, rival: Any, clock: Any
) -> None:
    now = clock.now()

    def both(source: SqlDatabase) -> tuple[bool, bool]:
        with source.transaction() as unit:
            return unit.firings.fire("monthly", now, now), unit.tokens.use("secret", now, None)

    won = at_once(lambda: both(database), lambda: both(rival))
    assert sorted(won) == [(False, False), (True, True)]
