from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.durations import Duration
from orchestrator.domain.enrolments import LastEntry
from orchestrator.domain.entries import Admission, admission, index_of, lets_in
from orchestrator.domain.flows import Again, EventTrigger, Reenter
from orchestrator.domain.identifiers import EnrolmentId
from tests.unit.shop import START, Run, book_of, contact, event

DAY = timedelta(days=1)
AFTER_A_DAY = Reenter(Again.AFTER, Duration(fixed=DAY))


def entered(ago: timedelta, *, live: bool) -> LastEntry:
    return LastEntry(EnrolmentId("earlier"), 1, START - ago, live)


@pytest.mark.parametrize(
    "rule",
    [Reenter(Again.NEVER), Reenter(Again.ALWAYS), Reenter(Again.RESTART), AFTER_A_DAY],
    ids=lambda rule: rule.again,
)
def test_whoever_was_never_in_may_enter(rule: Reenter) -> None:
    assert admission(rule, None, START, UTC) is Admission.ENTER


@pytest.mark.parametrize(
    ("rule", "live", "ended"),
    [
        (Reenter(Again.NEVER), Admission.REFUSE, Admission.REFUSE),
        (Reenter(Again.ALWAYS), Admission.REFUSE, Admission.ENTER),
        (Reenter(Again.RESTART), Admission.RESTART, Admission.ENTER),
        (AFTER_A_DAY, Admission.REFUSE, Admission.ENTER),
    ],
    ids=lambda value: value.again if isinstance(value, Reenter) else value,
)
def test_two_runs_never_overlap_and_the_rule_decides_about_another(
    rule: Reenter, live: Admission, ended: Admission
) -> None:
    long_ago = 365 * DAY
    assert admission(rule, entered(long_ago, live=True), START, UTC) is live
    assert admission(rule, entered(long_ago, live=False), START, UTC) is ended


def test_never_is_the_rule_of_a_flow_that_says_nothing() -> None:
    assert Run.of("- wait: 1 hour").flow.reenter.again is Again.NEVER


@pytest.mark.parametrize(
    ("ago", "verdict"),
    [
        (timedelta(), Admission.REFUSE),
        (DAY - timedelta(microseconds=1), Admission.REFUSE),
        (DAY, Admission.ENTER),
        (DAY + timedelta(microseconds=1), Admission.ENTER),
    ],
)
def test_the_time_before_another_entry_counts_from_the_last_one(
    ago: timedelta, verdict: Admission
) -> None:
    assert admission(AFTER_A_DAY, entered(ago, live=False), START, UTC) is verdict


def test_calendar_days_before_another_entry_are_the_persons_own() -> None:
    rule = Reenter(Again.AFTER, Duration(calendar_days=1))
    helsinki = ZoneInfo("Europe/Helsinki")
    saturday = START.replace(month=10, day=24)  # Sunday has 25 hours
    last = LastEntry(EnrolmentId("earlier"), 1, saturday, live=False)
    assert admission(rule, last, saturday + timedelta(hours=24), helsinki) is Admission.REFUSE
    assert admission(rule, last, saturday + timedelta(hours=25), helsinki) is Admission.ENTER


FLOWS = """
cart:
  class: transactional
  when: {event: checkout.started, where: event.total >= 20}
  audience: contact.country == 'FI'
  steps: [send: a/b]
thanks:
  class: transactional
  when: [{event: order.placed}, {event: checkout.started}]
  steps: [send: a/b]
by_hand:
  class: transactional
  when: manual
  steps: [send: a/b]
"""


def test_flows_are_found_by_the_type_of_event_that_lets_people_in() -> None:
    index = index_of(book_of(FLOWS)).by_event
    names = {event: [flow.name for flow, _ in pairs] for event, pairs in index.items()}
    assert names == {"checkout.started": ["cart", "thanks"], "order.placed": ["thanks"]}


@pytest.mark.parametrize(
    ("country", "told", "welcome"),
    [
        ("FI", {"total": "20.00"}, True),
        ("FI", {"total": "19.99"}, False),
        ("FI", {}, False),
        ("SE", {"total": "20.00"}, False),
        (None, {"total": "20.00"}, False),
    ],
)
def test_condition_and_audience_must_both_hold_at_entry(
    country: str | None, told: dict[str, Any], welcome: bool
) -> None:
    book = book_of(FLOWS)
    flow = book.flows["cart"]
    (trigger,) = flow.triggers
    assert isinstance(trigger, EventTrigger)
    run = Run(
        book, flow, person=contact(country=country), trigger=event("checkout.started", **told)
    )
    assert lets_in(flow, trigger, run.situation(START).scope({})) is welcome
