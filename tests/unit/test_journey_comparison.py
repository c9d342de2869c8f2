"""What was wanted beside what was got, and when time alone changes a segment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.flows import Channel
from orchestrator.domain.journey_tests import Told, compared
from orchestrator.domain.turning import watched_spans
from orchestrator.simulation.checking import spelled
from tests.unit.shop import book_of

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def told(minutes: float, template: str = "cart/reminder", outcome: str = "sent") -> Told:
    return Told(START + timedelta(minutes=minutes), Channel.EMAIL, template, outcome)


def met(wanted: list[Told], got: list[Told]) -> list[bool]:
    return [pair.met for pair in compared(wanted, got)]


@pytest.mark.parametrize(("late", "right"), [(0, True), (1, True), (-1, True), (1.02, False)])
def test_a_message_may_be_one_minute_off(late: float, right: bool) -> None:
    assert met([told(60)], [told(60 + late)]) == [right]


def test_another_template_or_outcome_is_another_message() -> None:
    assert met([told(1)], [told(1, "cart/nudge")]) == [False]
    assert met([told(1)], [told(1, outcome="no_consent")]) == [False]


def test_a_missing_and_an_unwanted_message_stand_alone_in_their_rows() -> None:
    first, second, third = told(1), told(2, "cart/nudge"), told(3, "cart/offer")
    rows = compared([first, second], [first, third])
    assert [(row.wanted, row.got) for row in rows] == [(first, first), (second, third)]
    assert met([first, second], [second]) == [False, True]
    assert met([], [first]) == [False]


def test_order_counts() -> None:
    first, second = told(1), told(1, "cart/nudge")
    assert not all(met([first, second], [second, first]))


def test_flow_and_step_are_compared_where_they_are_named() -> None:
    got = Told(START, Channel.EMAIL, "a/b", flow="cart", step="first")
    assert Told(START, Channel.EMAIL, "a/b").is_met_by(got)
    assert Told(START, Channel.EMAIL, "a/b", flow="cart", step="first").is_met_by(got)
    assert not Told(START, Channel.EMAIL, "a/b", step="second").is_met_by(got)
    assert not Told(START, Channel.EMAIL, "a/b", flow="other").is_met_by(got)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0 minutes"), (1, "1 minute"), (60, "1 hour"), (1565, "1 day 2 hours 5 minutes")],
)
def test_spans_are_spelled_as_a_test_may_write_them(minutes: int, words: str) -> None:
    assert spelled(timedelta(minutes=minutes)) == words


def spans(condition: str, more: str = "") -> frozenset[timedelta] | None:
    flow = "f:\n  class: legal\n  when: {segment: s}\n  steps: [send: cart/reminder]\n"
    return watched_spans(book_of(flow, f"segments:\n  s: {condition}\n{more}"))


def test_a_segment_turns_at_the_spans_it_names() -> None:
    found = spans("contact.orders.last_at < now - days(60) - hours(2)")
    assert found is not None
    assert {timedelta(days=60), timedelta(hours=2), timedelta(days=60, hours=2)} <= found


def test_a_segment_turns_at_the_spans_of_segments_it_names() -> None:
    found = spans(
        "other and contact.orders.count > 0", "  other: contact.created_at < now - days(9)"
    )
    assert found is not None
    assert timedelta(days=9) in found


def test_a_span_that_is_not_written_out_is_known_to_nobody() -> None:
    assert spans("contact.orders.last_at < now - days(30 * 2)") is None
