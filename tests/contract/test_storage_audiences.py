"""Members of segments, versions of the privacy policy, and where people stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.events import ContactFields
from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, VersionHash
from orchestrator.flowfile import load_text
from orchestrator.ports import Audience, Move, SegmentWatch, Standing, Waiting

FLOWS = """\
version: 1
brand:
  name: Shop
  url: https://shop.example
  email: shop@shop.example
  postal_address: Street 1
  support: help@shop.example
  locale: en
  timezone: UTC
segments:
  finns: contact.country == 'FI'
flows:
  hello: {class: legal, when: {segment: finns}, steps: [send: hello/hello]}
"""


@pytest.fixture
def finns() -> Audience:
    book = load_text(FLOWS).book
    assert book is not None
    return Audience(book.segments["finns"], book.segments, book.tables)


@pytest.fixture
def watch(world: Any) -> SegmentWatch:
    return SegmentWatch("hello", "finns", "c" * 64, False, world.clock.now(), 1)


def people(world: Any, countries: str) -> list[ContactId]:
    """A Finn for every f, somebody else for every other letter, in the order of their ids."""
    return [
        world.contact(f"p{number}@example.com", country="FI" if letter == "f" else "SE")
        for number, letter in enumerate(countries)
    ]


def change(world: Any, ids: Iterable[ContactId], **values: Any) -> None:
    with world.database.transaction() as unit:
        unit.contacts.update(dict.fromkeys(ids, values), world.clock.now())


def test_a_watch_is_advanced_by_whoever_has_its_revision(database: Any, watch: Any) -> None:
    with database.transaction() as unit:
        assert unit.audiences.advance(watch)
        assert not unit.audiences.advance(watch)
        second = replace(watch, revision=2, baseline=True, finished_at=watch.started_at)
        assert unit.audiences.advance(second)
        assert not unit.audiences.advance(replace(second, baseline=False))
        assert unit.audiences.watches() == [second]


def test_a_look_finds_who_came_and_who_went(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    ids = people(world, "fsff")
    now = world.clock.now()
    with database.transaction() as unit:
        assert unit.audiences.join(finns, watch, ids, now) == [ids[0], ids[2], ids[3]]
        assert unit.audiences.join(finns, watch, ids, now) == []
    change(world, ids[:1], country="SE")
    change(world, ids[1:2], country="FI")
    change(world, ids[2:3], erased_at=now)
    change(world, ids[3:], merged_into=ids[0])
    with database.read() as unit:
        found = unit.audiences.compare(finns, watch, now, 100, 100)
    assert (found.upto, found.joined) == (None, (ids[1],))
    assert found.left == (ids[0], ids[2], ids[3])


def test_a_look_stops_at_its_window_and_when_enough_have_joined(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    ids = people(world, "sfsff")
    now = world.clock.now()
    with database.read() as unit:
        look = unit.audiences.compare
        assert look(finns, watch, now, 2, 9).upto == ids[1]
        assert look(finns, watch, now, 2, 9).joined == (ids[1],)
        later = replace(watch, cursor=ids[1])
        assert look(finns, later, now, 2, 9).joined == (ids[3],)
        assert look(finns, later, now, 9, 9).upto is None
        some = look(finns, watch, now, 9, 2)
        assert (some.upto, some.joined) == (ids[3], (ids[1], ids[3]))
        last = look(finns, replace(watch, cursor=ids[4]), now, 9, 9)
        assert (last.upto, last.joined, last.left) == (None, (), ())


def test_members_are_those_of_one_flow_and_segment(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    ids, now = people(world, "ff"), world.clock.now()
    other = replace(watch, flow="other")
    with database.transaction() as unit:
        unit.audiences.join(finns, watch, ids, now)
        assert unit.audiences.compare(finns, other, now, 9, 9).joined == tuple(ids)
        assert unit.audiences.join(finns, other, ids, now) == ids
        assert unit.audiences.forget("hello", "finns", 9) == 2
        assert unit.audiences.compare(finns, other, now, 9, 9).joined == ()


def test_only_those_leave_of_whom_the_condition_no_longer_holds(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    ids, now = people(world, "ff"), world.clock.now()
    with database.transaction() as unit:
        unit.audiences.join(finns, watch, ids, now)
    change(world, ids[:1], country=None)
    with database.transaction() as unit:
        unit.audiences.leave(finns, watch, ids, now)
        assert unit.audiences.join(finns, watch, ids, now) == []
    change(world, ids[:1], country="FI")
    with database.transaction() as unit:
        assert unit.audiences.join(finns, watch, ids, now) == ids[:1]


def test_a_watch_is_forgotten_after_its_members(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    ids, now = people(world, "fff"), world.clock.now()
    with database.transaction() as unit:
        unit.audiences.advance(watch)
        unit.audiences.join(finns, watch, ids, now)
        assert unit.audiences.forget("hello", "finns", 2) == 2
        assert unit.audiences.watches() == [watch]
        assert unit.audiences.forget("hello", "finns", 2) == 1
        assert unit.audiences.forget("hello", "finns", 2) == 0
        assert unit.audiences.watches() == []


def test_a_member_who_is_merged_stays_a_member_under_the_id_that_is_kept(
    world: Any, database: Any, finns: Any, watch: Any
) -> None:
    kept, merged = people(world, "sf")
    now = world.clock.now()
    with database.transaction() as unit:
        unit.audiences.advance(watch)
        unit.audiences.join(finns, watch, [merged], now)
        both = ContactFields(id="1", email="p0@example.com")
        unit.contacts.resolve([both, ContactFields(id="1", email="p1@example.com")], now)
        assert unit.contacts.load([merged])[merged].merged_into == kept
    change(world, [kept], country="FI")
    with database.transaction() as unit:
        found = unit.audiences.compare(finns, watch, now, 9, 9)
        assert (found.joined, found.left) == ((), (merged,))
        assert unit.audiences.join(finns, watch, [kept], now) == []


def test_people_come_in_the_order_of_ids_as_of_a_moment(world: Any, database: Any) -> None:
    first = people(world, "ssss")
    change(world, first[:1], erased_at=world.clock.now())
    change(world, first[1:2], merged_into=first[2])
    now = world.clock.now()
    world.clock.step(timedelta(seconds=1))
    world.contact("later@example.com")
    with database.read() as unit:
        assert unit.audiences.people(None, now, 9) == first[2:]
        assert unit.audiences.people(None, now, 1) == first[2:3]
        assert unit.audiences.people(first[2], now, 9) == first[3:]


def test_the_first_privacy_version_is_the_baseline(world: Any, database: Any) -> None:
    now = world.clock.now()
    with database.transaction() as unit:
        unit.privacy_versions.record("2026", now)
        assert unit.privacy_versions.lock("2026") is None
        unit.privacy_versions.record("2027", world.clock.step(timedelta(days=1)))
        unit.privacy_versions.record("2027", world.clock.step(timedelta(days=1)))
        found = unit.privacy_versions.lock("2027")
        assert found is not None
        assert (found.published_at, found.cursor) == (now + timedelta(days=1), None)
        person = world.ids.new()
        unit.privacy_versions.told("2027", person, None)
        assert unit.privacy_versions.lock("2027").cursor == person
        unit.privacy_versions.told("2027", person, world.clock.now())
        assert unit.privacy_versions.lock("2027") is None
        assert [one.version for one in unit.privacy_versions.known()] == ["2026", "2027"]


def test_a_version_that_somebody_tells_people_of_is_left_to_them(
    world: Any, database: Any, engine: Any
) -> None:
    with database.transaction() as unit:
        unit.privacy_versions.record("2026", world.clock.now())
        unit.privacy_versions.record("2027", world.clock.now())
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: nobody else can be at it")
    with database.transaction() as first, database.transaction() as second:
        assert first.privacy_versions.lock("2027") is not None
        assert second.privacy_versions.lock("2027") is None


def test_people_are_counted_where_they_stand(world: Any, database: Any) -> None:
    ids = people(world, "ssss")
    runs = [world.run(one, step=None if number else "first") for number, one in enumerate(ids)]
    with database.transaction() as unit:
        unit.enrolments.end([runs[3].id], "completed", world.clock.now())
        assert unit.standings.runs() in (
            [
                Standing("cart", VersionHash("v1"), None, 2),
                Standing("cart", VersionHash("v1"), "first", 1),
            ],
            [
                Standing("cart", VersionHash("v1"), "first", 1),
                Standing("cart", VersionHash("v1"), None, 2),
            ],
        )
        assert unit.standings.outside("cart", VersionHash("v1"), None, 9) == []
        assert unit.standings.outside("cart", VersionHash("v2"), None, 2) == ids[:2]
        assert unit.standings.outside("cart", VersionHash("v2"), ids[1], 9) == ids[2:3]
        assert unit.standings.outside("other", VersionHash("v2"), None, 9) == []


def test_waiting_messages_are_counted_by_template(world: Any, database: Any) -> None:
    ids = people(world, "ss")
    for one in ids:
        world.message(world.run(one))
    wanted = [Waiting("cart", "first", Channel.EMAIL, "cart/reminder", 2)]
    with database.read() as unit:
        assert unit.standings.waiting() == wanted


def test_a_moved_run_is_due_in_its_new_place_and_an_ended_one_stays(
    world: Any, database: Any
) -> None:
    ids = people(world, "ss")
    now = world.clock.now()
    later = now + timedelta(days=1)
    runs = [world.run(one, step="first", due_at=later) for one in ids]
    with database.transaction() as unit:
        unit.enrolments.end([runs[1].id], "completed", now)
        unit.standings.move([], now)
        unit.standings.move([Move(run.id, VersionHash("v2"), "second") for run in runs], now)
        moved = unit.enrolments.load([run.id for run in runs])
    assert (moved[runs[0].id].version, moved[runs[0].id].step) == ("v2", "second")
    assert moved[runs[0].id].due_at == now
    assert (moved[runs[1].id].version, moved[runs[1].id].step) == ("v1", "first")
