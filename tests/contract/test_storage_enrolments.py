"""Runs: one claim each, no wake lost, one live run per person, flow and key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.enrolments import EndReason, EnrolmentUpdate
from orchestrator.domain.identifiers import EnrolmentId

LEASE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def update_of(run: Any, **fields: Any) -> EnrolmentUpdate:
    return replace(
        EnrolmentUpdate(
            id=run.id, step="wait", step_started_at=run.entered_at, due_at=None, outputs={}
        ),
        **fields,
    )


def test_a_run_is_read_back_as_it_was_inserted(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    run = world.run(person, key="k\u00e4ytt\u00e4j\u00e4", outputs={"first": {"sent": True}})
    with database.transaction() as unit:
        stored = unit.enrolments.load([run.id])[run.id]
    for name in ("id", "flow", "version", "contact_id", "key", "entry", "due_at", "outputs"):
        assert getattr(stored, name) == getattr(run, name)
    assert (stored.attempts, stored.lease_token, stored.ended_at) == (0, None, None)


def test_a_second_live_run_of_the_same_key_is_left_out(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    world.run(person, key="c1")
    again = world.new_run(person, key="c1", entry=2)
    other = world.new_run(person, key="c2")
    with database.transaction() as unit:
        assert unit.enrolments.insert([again, other]) == {other.id}


def test_an_entry_number_is_taken_even_after_the_run_has_ended(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    first = world.run(person)
    same, next_one = world.new_run(person), world.new_run(person, entry=2)
    with database.transaction() as unit:
        unit.enrolments.end([first.id], EndReason.COMPLETED, world.clock.now())
        assert unit.enrolments.insert([same]) == set()
        assert unit.enrolments.insert([next_one]) == {next_one.id}


def test_of_two_runs_in_one_batch_with_the_same_key_one_goes_in(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    twins = [world.new_run(person), world.new_run(person)]
    with database.transaction() as unit:
        assert len(unit.enrolments.insert(twins)) == 1


def test_the_last_entry_is_the_live_run_else_the_newest(world: Any, database: Any) -> None:
    person, other = world.contact("ada@example.com"), world.contact("bob@example.com")
    first = world.run(person, key="c1")
    now = world.clock.now()
    key = ("cart", person, "c1")
    with database.transaction() as unit:
        last = unit.enrolments.last_entries([key, ("cart", other, "c1")])
        assert set(last) == {key}
        assert (last[key].id, last[key].entry, last[key].live) == (first.id, 1, True)
        unit.enrolments.end([first.id], EndReason.EXITED, now)
        second = world.new_run(person, key="c1", entry=2, entered_at=now + HOUR)
        unit.enrolments.insert([second])
        unit.enrolments.end([second.id], EndReason.EXITED, now + HOUR)
        last = unit.enrolments.last_entries([key])
        assert last[key].id == second.id
        assert (last[key].entry, last[key].entered_at, last[key].live) == (2, now + HOUR, False)


def test_due_runs_are_claimed_oldest_first_up_to_the_limit(world: Any, database: Any) -> None:
    now = world.clock.now()
    people = [world.contact(f"p{number}@example.com") for number in range(4)]
    late, later, future, latest = [
        world.run(person, due_at=now + offset)
        for person, offset in zip(people, (-3 * HOUR, -2 * HOUR, HOUR, -HOUR), strict=True)
    ]
    with database.transaction() as unit:
        assert set(unit.enrolments.claim_due(now, 2, LEASE, "mine")) == {people[0], people[1]}
        assert {run.id for run in unit.enrolments.claimed("mine", people)} == {late.id, later.id}
        assert unit.enrolments.claim_due(now, 9, LEASE, "yours") == [people[3]]
        assert [run.id for run in unit.enrolments.claimed("yours", people)] == [latest.id]
        assert unit.enrolments.claim_due(now, 9, LEASE, "theirs") == []
        assert future.id not in {run.id for run in unit.enrolments.claimed("theirs", people)}


def test_a_lease_that_has_ended_is_free_again(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    run = world.run(person)
    with database.transaction() as unit:
        unit.enrolments.claim_due(world.clock.now(), 9, LEASE, "first")
    with database.transaction() as unit:
        just_before = world.clock.now() + LEASE - timedelta(microseconds=1)
        assert unit.enrolments.claim_due(just_before, 9, LEASE, "second") == []
        assert unit.enrolments.claim_due(world.clock.now() + LEASE, 9, LEASE, "second")
        assert unit.enrolments.claimed("first", [person]) == []
        assert [one.id for one in unit.enrolments.claimed("second", [person])] == [run.id]


def test_each_claim_counts_a_try_and_saving_clears_the_count(world: Any, database: Any) -> None:
    run = world.run(world.contact("ada@example.com"))
    now = world.clock.now()
    for expected in (1, 2):
        now += LEASE
        with database.transaction() as unit:
            unit.enrolments.claim_due(now, 9, LEASE, f"try {expected}")
            [claimed] = unit.enrolments.claimed(f"try {expected}", [run.contact_id])
            assert claimed.attempts == expected
    with database.transaction() as unit:
        unit.enrolments.save([update_of(run)])
        stored = unit.enrolments.load([run.id])[run.id]
    assert (stored.attempts, stored.lease_token) == (0, None)


def test_saving_writes_each_run_its_own_decision(world: Any, database: Any) -> None:
    runs = [world.run(world.contact(f"p{number}@example.com")) for number in range(3)]
    now = world.clock.now()
    updates = [
        update_of(runs[0], step="a", due_at=now + HOUR, outputs={"n": [1, {"x": "\u00e9"}]}),
        update_of(runs[1], step=None, ended_at=now, end_reason="completed"),
    ]
    with database.transaction() as unit:
        unit.enrolments.save(updates)
        stored = unit.enrolments.load([run.id for run in runs])
    assert stored[runs[0].id].outputs == {"n": [1, {"x": "\u00e9"}]}
    assert (stored[runs[0].id].step, stored[runs[0].id].due_at) == ("a", now + HOUR)
    assert (stored[runs[1].id].ended_at, stored[runs[1].id].end_reason) == (now, "completed")
    assert stored[runs[2].id].due_at == now


def test_a_decision_about_a_run_that_has_ended_changes_nothing(world: Any, database: Any) -> None:
    run = world.run(world.contact("ada@example.com"))
    now = world.clock.now()
    with database.transaction() as unit:
        unit.enrolments.end([run.id], EndReason.EXITED, now)
        unit.enrolments.save([update_of(run, due_at=now + HOUR)])
        unit.enrolments.end([run.id], EndReason.MERGED, now + HOUR)
        unit.enrolments.wake([run.id], now)
        unit.enrolments.note({run.id: {"x": 1}})
        stored = unit.enrolments.load([run.id])[run.id]
    assert (stored.end_reason, stored.ended_at) == ("exited", now)
    assert (stored.due_at, stored.outputs) == (None, {})


def test_waking_makes_a_run_due_now_but_never_later(world: Any, database: Any) -> None:
    now = world.clock.now()
    people = [world.contact(f"p{number}@example.com") for number in range(3)]
    future = world.run(people[0], due_at=now + HOUR)
    overdue = world.run(people[1], due_at=now - HOUR)
    asleep = world.run(people[2])
    with database.transaction() as unit:
        unit.enrolments.save([update_of(asleep, due_at=None)])
        unit.enrolments.wake([future.id, overdue.id, asleep.id], now)
        stored = unit.enrolments.load([future.id, overdue.id, asleep.id])
    assert [stored[run.id].due_at for run in (future, overdue, asleep)] == [now, now - HOUR, now]


def test_a_failed_run_comes_back_later_and_is_parked_in_the_end(world: Any, database: Any) -> None:
    run = world.run(world.contact("ada@example.com"))
    now = world.clock.now()
    for _ in range(2):
        with database.transaction() as unit:
            assert unit.enrolments.claim_due(now, 9, LEASE, "token")
            unit.enrolments.fail([run.id], now, now + HOUR, tries=2)
            assert unit.enrolments.claim_due(now, 9, LEASE, "token") == []
        now += HOUR
    with database.transaction() as unit:
        assert unit.enrolments.claim_due(now + HOUR, 9, LEASE, "token") == []
        assert unit.enrolments.next_due_at() is None
        assert unit.enrolments.load([run.id])[run.id].attempts == 2


def test_a_parked_run_still_hears_its_exit(world: Any, database: Any) -> None:
    person = world.contact("ada@example.com")
    run = world.run(person)
    now = world.clock.now()
    with database.transaction() as unit:
        unit.enrolments.claim_due(now, 9, LEASE, "token")
        unit.enrolments.fail([run.id], now, now + HOUR, tries=1)
        assert [one.id for one in unit.enrolments.live_of([person])[person]] == [run.id]
        unit.enrolments.end([run.id], EndReason.EXITED, now)
        assert unit.enrolments.live_of([person]) == {}


def test_notes_replace_outputs_and_nothing_else(world: Any, database: Any) -> None:
    run = world.run(world.contact("ada@example.com"), outputs={"a": 1})
    now = world.clock.now()
    with database.transaction() as unit:
        unit.enrolments.claim_due(now, 9, LEASE, "token")
        before = unit.enrolments.load([run.id])[run.id]
        unit.enrolments.note({run.id: {"b": 2}})
        assert unit.enrolments.load([run.id])[run.id] == replace(before, outputs={"b": 2})


def test_who_waits_in_a_flow_is_found_once_and_only_while_live(world: Any, database: Any) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    world.run(ada, key="c1")
    world.run(ada, key="c2")
    ended = world.run(bob, flow="win_back")
    with database.transaction() as unit:
        unit.enrolments.end([ended.id], EndReason.LEFT, world.clock.now())
        assert unit.enrolments.contacts_in(["cart", "win_back"]) == [ada]
        assert unit.enrolments.contacts_in(["win_back"]) == []


def test_the_runs_of_a_person_are_listed_oldest_first(world: Any, database: Any) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    now = world.clock.now()
    second = world.run(ada, key="b", entered_at=now)
    first = world.run(ada, key="a", entered_at=now - HOUR)
    world.run(bob)
    with database.transaction() as unit:
        unit.enrolments.end([first.id], EndReason.LEFT, now)
        assert [run.id for run in unit.enrolments.of_contact(ada)] == [first.id, second.id]


def test_the_next_due_moment_counts_a_leased_run_from_its_lease(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.enrolments.next_due_at() is None
    world.run(world.contact("ada@example.com"), due_at=now)
    world.run(world.contact("bob@example.com"), due_at=now + HOUR)
    with database.transaction() as unit:
        assert unit.enrolments.next_due_at() == now
        unit.enrolments.claim_due(now, 9, LEASE, "token")
        assert unit.enrolments.next_due_at() == now + LEASE
        unit.enrolments.claim_due(now + HOUR, 9, LEASE, "other")
        assert unit.enrolments.next_due_at() == now + HOUR + LEASE


@pytest.mark.parametrize("count", [0, 1, 1500])
def test_a_batch_may_have_any_size(world: Any, database: Any, count: int) -> None:
    person = world.contact("ada@example.com")
    runs = [world.new_run(person, key=str(number)) for number in range(count)]
    now = world.clock.now()
    with database.transaction() as unit:
        assert len(unit.enrolments.insert(runs)) == count
        assert len(unit.enrolments.claim_due(now, 2000, LEASE, "token")) == count
        unit.enrolments.save([update_of(run, step="x") for run in runs])
        unit.enrolments.wake([run.id for run in runs], now)
        unit.enrolments.end([run.id for run in runs], EndReason.LEFT, now)
        assert len(unit.enrolments.load([run.id for run in runs])) == count
        assert unit.enrolments.load([EnrolmentId(world.ids.new())]) == {}


def test_runs_end_each_at_its_own_moment_and_ended_ones_stay(world: Any, database: Any) -> None:
    now = world.clock.now()
    runs = [world.run(world.contact(f"{number}@example.com")) for number in range(3)]
    with database.transaction() as unit:
        unit.enrolments.end([runs[2].id], EndReason.LEFT, now)
        moments = {run.id: now + place * HOUR for place, run in enumerate(runs)}
        unit.enrolments.end_at(moments, EndReason.EXITED.value)
        stored = unit.enrolments.load(moments)
    ended = [(stored[run.id].ended_at, stored[run.id].end_reason) for run in runs]
    assert ended == [(now, "exited"), (now + HOUR, "exited"), (now, "left")]
    assert all(one.due_at is None for one in stored.values())


def test_a_run_put_off_stays_due_since_when_it_was(world: Any, database: Any) -> None:
    now = world.clock.now()
    run = world.run(world.contact("ada@example.com"))
    with database.transaction() as unit:
        assert unit.enrolments.claim_due(now, 9, LEASE, "a")
        unit.enrolments.postpone([run.id], now + HOUR)
        stored = unit.enrolments.load([run.id])[run.id]
        assert (stored.due_at, stored.attempts, stored.lease_token) == (run.due_at, 0, None)
        assert unit.enrolments.claim_due(now + HOUR / 2, 9, LEASE, "b") == []
        assert unit.enrolments.next_due_at() == now + HOUR
        assert unit.enrolments.claim_due(now + HOUR, 9, LEASE, "b") == [run.contact_id]


def test_a_run_may_be_stored_where_it_has_come_to_already(world: Any, database: Any) -> None:
    now = world.clock.now()
    fields = {"step": "w", "step_started_at": now - HOUR, "ended_at": now, "end_reason": "left"}
    run = world.run(world.contact("ada@example.com"), due_at=None, **fields)
    with database.transaction() as unit:
        stored = unit.enrolments.load([run.id])[run.id]
    assert {name: getattr(stored, name) for name in fields} == fields
