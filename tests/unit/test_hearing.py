from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.events import CANONICAL_TYPES, Event
from orchestrator.domain.hearing import Heard, awaited_types
from orchestrator.domain.journey import HEARD
from tests.unit.shop import START, Run, contact, event

HOUR = timedelta(hours=1)

CART = """
- wait: 1 hour
- send: cart/reminder
"""
OWN_ORDER = """
key: event.checkout_id
exit_when:
  event: order.placed
  where: event.checkout_id == key
"""
FOR_A_VIEW = """
- wait_for: {event: product.viewed, where: event.product.sku == 'COF-1KG'}
  id: view
  within: 2 hours
  since: SINCE
  then:
    - send: a/viewed
      id: viewed
  otherwise:
    - send: a/missed
      id: missed
"""


def coffee(at: timedelta) -> Event:
    return event("product.viewed", START + at, product={"sku": "COF-1KG"})


# exits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "exits"),
    [
        ({"checkout_id": "c1"}, True),
        ({"checkout_id": "c2"}, False),
        ({"checkout_id": None}, False),
        ({}, False),
    ],
)
def test_an_exit_matched_by_key_stops_only_that_run(told: dict[str, Any], exits: bool) -> None:
    run = Run.of(CART, OWN_ORDER, key="c1")
    order = event("order.placed", START + HOUR, **told)
    assert run.hear(order) == Heard(exits=exits)
    assert run.exits_on(order) is exits


def test_a_run_without_a_key_is_stopped_by_no_missing_id() -> None:
    run = Run.of(CART, OWN_ORDER, key="")
    assert not run.exits_on(event("order.placed", START + HOUR))


@pytest.mark.parametrize(
    ("where", "told", "exits"),
    [
        ("event.total >= 20", {"total": "20.00"}, True),
        ("event.total >= 20", {"total": "19.99"}, False),
        ("event.total >= 20", {}, False),
        ("not event.total >= 20", {}, True),
        ("event.total is none", {}, True),
        ("event.data.reason == 'late'", {}, False),
        ("event.data.reason == 'late'", {"data": {"reason": "late"}}, True),
        ("any_item(event, category='coffee')", {"items": [{"category": "coffee"}]}, True),
        ("any_item(event, category='coffee')", {}, False),
    ],
)
def test_where_on_a_missing_value_is_false_and_its_negation_true(
    where: str, told: dict[str, Any], exits: bool
) -> None:
    run = Run.of(CART, f'exit_when: {{event: support.opened, where: "{where}"}}')
    assert run.exits_on(event("support.opened", START + HOUR, **told)) is exits


def test_any_of_several_exits_ends_a_run() -> None:
    run = Run.of(CART, "exit_when: [{event: order.placed}, {event: support.opened}]")
    assert run.exits_on(event("order.placed"))
    assert run.exits_on(event("support.opened"))
    assert not run.exits_on(event("support.closed"))


def test_an_exit_looks_at_the_person_too() -> None:
    keys = "exit_when: {event: order.placed, where: contact.country == 'FI'}"
    assert Run.of(CART, keys).exits_on(event("order.placed"))
    assert not Run.of(CART, keys, person=contact(country="SE")).exits_on(event("order.placed"))


def test_an_exit_goes_before_what_the_run_waits_for() -> None:
    run = Run.of(
        "- wait_for: {event: order.placed}\n  within: 1 day", "exit_when: {event: order.placed}"
    )
    run.advance()
    assert run.hear(event("order.placed", START + HOUR)) == Heard(exits=True)


def test_an_awaited_event_is_no_exit_of_another_kind() -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "step"), "exit_when: {event: order.placed}")
    run.advance()
    heard = run.hear(coffee(HOUR))
    assert (heard.exits, heard.wakes) == (False, True)


def test_an_exit_acts_on_a_run_that_has_not_begun_its_first_step() -> None:
    run = Run.of(CART, "exit_when: {event: order.placed}")
    assert run.step is None
    assert run.hear(event("order.placed")).exits


# events that name nobody ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "heard"),
    [
        ("order.placed", False),
        ("product.viewed", False),
        ("support.opened", False),
        ("product.restocked", True),
        ("product.price_changed", True),
        ("warehouse.opened", True),
    ],
)
def test_a_persons_event_that_names_nobody_needs_a_condition(event_type: str, heard: bool) -> None:
    plain = Run.of(CART, f"exit_when: {{event: {event_type}}}")
    asking = Run.of(CART, f"exit_when: {{event: {event_type}, where: event.total == 5}}")
    stray = event(event_type, START + HOUR, contact_id=None, total="5")
    assert plain.exits_on(stray) is heard
    assert asking.exits_on(stray)
    assert not asking.exits_on(event(event_type, START + HOUR, contact_id=None, total="6"))


# waiting for events -----------------------------------------------------------------------


@pytest.mark.parametrize("since", ["step", "entry"])
def test_an_awaited_event_wakes_the_run_and_takes_the_first_branch(since: str) -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", since))
    run.advance()
    assert run.due == 2 * HOUR
    heard = run.hear(coffee(HOUR))
    assert (heard.wakes, heard.exits) == (True, False)
    run.advance(HOUR)
    assert run.sends == ["viewed"]


@pytest.mark.parametrize(("since", "way"), [("step", "missed"), ("entry", "viewed")])
def test_an_event_before_the_step_counts_only_since_entry(since: str, way: str) -> None:
    run = Run.of("- wait: 3 hours\n" + FOR_A_VIEW.replace("SINCE", since).strip())
    run.advance()
    heard = run.hear(coffee(HOUR))
    assert not heard.wakes
    run.advance(3 * HOUR)
    run.advance(5 * HOUR)
    assert run.sends == [way]


def test_within_counts_from_the_step_even_if_events_count_since_entry() -> None:
    run = Run.of("- wait: 3 hours\n" + FOR_A_VIEW.replace("SINCE", "entry").strip())
    run.advance()
    run.advance(3 * HOUR)
    assert run.due == 5 * HOUR


def test_an_event_right_after_entry_counts_for_a_first_step_that_waits_for_it() -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "step"))
    assert run.hear(coffee(timedelta())).wakes
    run.advance()
    assert run.sends == ["viewed"]


@pytest.mark.parametrize(("at", "way"), [(90, "viewed"), (59, "missed"), (181, "missed")])
def test_an_event_counts_for_the_step_a_punctual_engine_would_have_come_to(
    at: int, way: str
) -> None:
    run = Run.of("- wait: 1 hour\n" + FOR_A_VIEW.replace("SINCE", "step"))
    run.advance()
    run.hear(coffee(timedelta(minutes=at)))  # nobody has taken the run past its wait
    run.advance(4 * HOUR)
    assert run.sends == [way]


@pytest.mark.parametrize("since", ["step", "entry"])
@pytest.mark.parametrize(
    ("late", "way"), [(timedelta(), "viewed"), (timedelta(microseconds=1), "missed")]
)
def test_an_event_counts_up_to_the_end_of_its_time_however_late_it_is_heard(
    since: str, late: timedelta, way: str
) -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", since))
    run.advance()
    run.hear(coffee(2 * HOUR + late))
    run.advance(9 * HOUR)
    assert run.sends == [way]


@pytest.mark.parametrize("sku", ["TEA-1KG", None])
def test_an_event_that_does_not_match_is_not_awaited(sku: str | None) -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "step"))
    run.advance()
    assert run.hear(event("product.viewed", START + HOUR, product={"sku": sku})) == Heard()


def test_one_of_several_awaited_events_is_enough() -> None:
    steps = "- wait_for: [{event: cart.updated}, {event: product.viewed}]\n  within: 1 day\n"
    run = Run.of(steps + "  then:\n    - send: a/b\n      id: seen")
    run.advance()
    assert run.hear(event("cart.updated", START + HOUR)).wakes
    run.advance(HOUR)
    assert run.sends == ["seen"]


def test_a_second_event_of_the_kind_changes_nothing() -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "step"))
    run.advance()
    run.hear(coffee(HOUR))
    assert run.hear(coffee(HOUR + timedelta(minutes=1))) == Heard()


def test_two_waits_for_one_event_are_told_apart() -> None:
    steps = "- wait_for: {event: product.viewed}\n  id: one\n  within: 1 day\n"
    run = Run.of(steps + steps.replace("one", "two"))
    run.advance()
    run.hear(coffee(HOUR))
    run.advance(HOUR)
    assert (run.step, run.due) == ("two", 25 * HOUR)
    run.hear(coffee(2 * HOUR))
    run.advance(2 * HOUR)
    assert run.ended == "completed"


def test_what_was_heard_survives_beside_the_outputs_of_steps() -> None:
    coupon = "- coupon: {code: CART-10}\n  id: gift\n"
    run = Run.of(coupon + FOR_A_VIEW.replace("SINCE", "step").strip())
    run.advance()
    run.hear(coffee(HOUR))
    assert run.enrolment.outputs["gift"]["code"] == "CART-10"
    assert set(run.enrolment.outputs[HEARD]) == {"view"}


def test_any_event_makes_a_run_look_at_an_awaited_condition_again() -> None:
    run = Run.of("- wait_for: contact.orders.count > 0\n  within: 1 day")
    run.advance()
    assert run.hear(event("contact.updated", START + HOUR)) == Heard(wakes=True)


# events of no interest --------------------------------------------------------------------


def test_a_flow_knows_which_events_concern_it() -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "step"), "exit_when: {event: order.placed}")
    assert awaited_types(run.flow) == {"product.viewed", "order.placed"}


@given(st.sampled_from(sorted(CANONICAL_TYPES)), st.booleans())
def test_an_event_of_no_interest_changes_nothing(event_type: str, begun: bool) -> None:
    run = Run.of(FOR_A_VIEW.replace("SINCE", "entry"), "exit_when: {event: order.placed}")
    if begun:
        run.advance()
    if event_type in awaited_types(run.flow):
        return
    assert run.hear(event(event_type, START + HOUR)) == Heard()
    assert not run.exits_on(event(event_type, START + HOUR))


def test_a_run_in_an_ordinary_wait_sleeps_on() -> None:
    run = Run.of(CART + FOR_A_VIEW.replace("SINCE", "entry").strip())
    run.advance()
    heard = run.hear(coffee(timedelta(minutes=5)))
    assert not heard.wakes
    assert heard.outputs is not None
