from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.domain.enrolments import EndReason, EnrolmentUpdate
from orchestrator.domain.identifiers import ContactId
from orchestrator.domain.messages import MessageState
from orchestrator.domain.passages import Place
from orchestrator.ports import FlowTotals, MessageChange, SendCount
from orchestrator.storage import overview
from orchestrator.storage.unit_of_work import SqlDatabase
from tests.contract.conftest import SteppingClock, World

MONTH = timedelta(days=30)
WAITING = frozenset({MessageState.QUEUED})


def found(database: SqlDatabase, *words: str, before: ContactId | None = None) -> list[str]:
    with database.read() as unit:
        return [one.email or "" for one in unit.overview.people(words, before, 10)]


def test_totals_count_who_is_inside_and_what_the_window_saw(
    world: World, database: SqlDatabase, clock: SteppingClock
) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    old = world.run(ada)
    world.message(old)
    clock.step(timedelta(days=31))
    run, over = world.run(bob), world.run(bob, flow="welcome")
    sent, queued = world.message(run), world.message(run, step="second")
    with database.transaction() as unit:
        unit.enrolments.end([over.id], EndReason.EXITED, clock.now())
        unit.messages.apply([MessageChange(sent.id, MessageState.SENDING, WAITING)], clock.now())
        done = MessageChange(sent.id, MessageState.SENT, frozenset({MessageState.SENDING}))
        unit.messages.apply([done], clock.now())
    with database.read() as unit:
        totals = unit.overview.totals(clock.now() - MONTH)
        sends = unit.overview.sends("cart", clock.now() - MONTH)
    assert totals == {
        "cart": FlowTotals(inside=2, entered=1, sent=1),
        "welcome": FlowTotals(inside=0, entered=1, sent=0),
    }
    assert sorted(sends, key=lambda one: one.step) == [
        SendCount("first", MessageState.SENT, None, 1),
        SendCount(queued.step, MessageState.QUEUED, None, 1),
    ]


def test_places_tell_where_runs_stand_after_which_sends(
    world: World, database: SqlDatabase, clock: SteppingClock
) -> None:
    people = [world.contact(f"p{number}@example.com") for number in range(5)]
    world.run(people[0], entered_at=clock.now() - timedelta(days=31))
    waiting, done = world.run(people[1], step="pause"), world.run(people[2])
    world.run(people[3])
    left = world.run(people[4])
    for step in ("first", "second"):
        world.message(waiting, step=step)
    with database.transaction() as unit:
        over = EnrolmentUpdate(done.id, None, None, None, {}, clock.now(), EndReason.COMPLETED)
        unit.enrolments.save([over])
        unit.enrolments.end([left.id], EndReason.EXITED, clock.now())
    with database.read() as unit:
        places = unit.overview.places("cart", clock.now() - MONTH, with_sends=True)
        without = unit.overview.places("cart", clock.now() - MONTH, with_sends=False)
        other = unit.overview.places("welcome", clock.now() - MONTH, with_sends=True)
    nothing: frozenset[str] = frozenset()
    assert {place for _, place in places} == {
        Place("pause", completed=False, sent=frozenset({"first", "second"}), runs=1),
        Place(None, completed=True, sent=nothing, runs=1),
        Place(None, completed=False, sent=nothing, runs=2),
    }
    assert {place.sent for _, place in without} == {nothing}
    assert {version for version, _ in places} == {"v1"}
    assert other == []


def test_people_come_newest_first_and_page_by_key(world: World, database: SqlDatabase) -> None:
    ids = [world.contact(f"p{number}@example.com") for number in range(12)]
    first = found(database)
    assert first == [f"p{number}@example.com" for number in range(11, 1, -1)]
    assert found(database, before=ids[2]) == ["p1@example.com", "p0@example.com"]


@pytest.mark.parametrize(
    ("words", "emails"),
    [
        (["ada"], ["ada@example.com"]),
        (["LOVE"], ["ada@example.com"]),
        (["ada", "love"], ["ada@example.com"]),
        (["ada", "virta"], []),
        (["väi"], ["vaino@example.com"]),
        (["VÄI"], ["vaino@example.com"]),
        (["vaino@ex"], ["vaino@example.com"]),
        (["%"], []),
        (["_da"], []),
        (["love%"], []),
    ],
)
def test_people_are_found_by_how_their_names_begin(
    world: World, database: SqlDatabase, words: list[str], emails: list[str]
) -> None:
    world.contact("ada@example.com", first_name="Ada", last_name="Lovelace")
    world.contact("vaino@example.com", first_name="Väinö", last_name="Virtanen")
    with database.transaction() as unit:
        for one in unit.contacts.page(None, 10):
            names = {"Ada": ("Ada", "Lovelace"), "Vai": ("Väinö", "Virtanen")}
            first, last = names["Ada" if one.email == "ada@example.com" else "Vai"]
            unit.contacts.update(
                {one.id: {"first_name": first, "last_name": last}}, world.clock.now()
            )
    assert found(database, *words) == emails


def test_whoever_was_erased_or_merged_is_not_listed(world: World, database: SqlDatabase) -> None:
    ada, bob = world.contact("ada@example.com"), world.contact("bob@example.com")
    world.contact("eve@example.com")
    with database.transaction() as unit:
        unit.contacts.update({ada: {"erased_at": world.clock.now()}}, world.clock.now())
        unit.contacts.update({bob: {"merged_into": ada}}, world.clock.now())
    assert found(database) == ["eve@example.com"]


def test_a_search_by_words_looks_at_the_newest_alone(
    world: World, database: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LOOKED_THROUGH", 2)
    for number in range(3):
        world.contact(f"p{number}@example.com")
    assert found(database, "p") == ["p2@example.com", "p1@example.com"]
