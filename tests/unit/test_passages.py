from __future__ import annotations

import random

import pytest

from orchestrator.domain.flows import SendStep
from orchestrator.domain.moves import targets
from orchestrator.domain.passages import Passed, Place, passed
from tests.unit.shop import flow_of

LINE = """
- wait: 1 hour
- send: cart/reminder
  id: first
- wait: 1 day
- send: cart/nudge
  id: second
"""
FORK = """
- wait: 1 hour
- if: contact.orders.count == 0
  then:
    - send: cart/reminder
      id: new
    - wait: 2 days
      id: pause
  otherwise:
    - wait: 1 day
      id: old
- send: cart/nudge
  id: last
"""
SILENT = """
- if: contact.orders.count == 0
  then:
    - wait: 1 hour
      id: left
  otherwise:
    - wait: 2 hours
      id: right
- wait: 1 day
  id: joined
"""


def place(step: str | None, *sent: str, runs: int = 1, completed: bool = False) -> Place:
    return Place(step, completed, frozenset(sent), runs)


def counts(steps: str, *places: Place) -> dict[str, int]:
    _, flow = flow_of(steps)
    return {name: one.runs for name, one in passed(flow, places).items() if one.exact}


def test_whoever_has_not_begun_has_passed_nothing() -> None:
    assert set(counts(LINE, place(None, runs=5)).values()) == {0}


def test_whoever_stands_at_a_step_has_passed_those_before_it_and_not_that_one() -> None:
    assert counts(LINE, place("3", "first", runs=4)) == {"1": 4, "first": 4, "3": 0, "second": 0}


def test_whoever_completed_has_passed_every_step_of_a_line() -> None:
    done = place(None, "first", "second", runs=7, completed=True)
    assert set(counts(LINE, done).values()) == {7}


def test_a_message_tells_which_branch_was_taken() -> None:
    through = place("last", "new", runs=2)
    around = place("last", runs=3)
    found = counts(FORK, through, around)
    assert found == {"1": 5, "2": 5, "new": 2, "pause": 2, "old": 3, "last": 0}


def test_a_message_that_waits_at_the_step_itself_is_not_yet_passed() -> None:
    assert counts(FORK, place("new", "new"))["new"] == 0


def test_branches_that_send_nothing_are_told_as_at_least() -> None:
    _, flow = flow_of(SILENT)
    found = passed(flow, [place("joined", runs=3), place("left"), place(None)])
    assert found["1"] == Passed(4)
    assert found["left"] == Passed(0, exact=False)
    assert found["joined"] == Passed(0)


def test_a_way_that_this_version_does_not_have_counts_nowhere() -> None:
    assert set(counts(LINE, place("second", runs=3)).values()) == {0}


@pytest.mark.parametrize("seed", range(40))
def test_counts_agree_with_runs_whose_way_is_known(seed: int) -> None:
    draw = random.Random(seed)
    _, flow = flow_of(FORK)
    walked = dict.fromkeys(flow.program, 0)
    places = []
    for _ in range(30):
        way, step = [], flow.first
        while step is not None and draw.random() > 0.15:
            way.append(step)
            step = draw.choice(targets(flow.program[step]))
        sent = {name for name in (*way, step) if isinstance(flow.program.get(name or ""), SendStep)}
        places.append(place(step, *filter(None, sent), completed=step is None))
        for name in way:
            walked[name] += 1
    found = passed(flow, places)
    for name, one in found.items():
        assert one.runs == walked[name] if one.exact else one.runs <= walked[name]
