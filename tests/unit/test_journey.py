from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.consent import ALL_TOPICS
from orchestrator.domain.contacts import OrderHistory
from orchestrator.domain.durations import Duration
from orchestrator.domain.flows import (
    Channel,
    ClockMoment,
    ClockWindow,
    CouponStep,
    ExitStep,
    IfLate,
    MessageClass,
    NotAllowed,
    Policy,
    SendStep,
    Since,
    Step,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WithdrawStep,
)
from orchestrator.domain.flows import EventMatch as Match
from orchestrator.domain.journey import UNKNOWN_PATIENCE, key_text
from orchestrator.domain.messages import FINAL_STATES, MessageState
from tests.unit.shop import START, Run, contact, event, flow_of

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


# waiting ----------------------------------------------------------------------------------


def test_a_run_waits_first_and_then_sends() -> None:
    run = Run.of("- wait: 1 hour\n- send: cart/reminder\n  id: first")
    assert run.advance().send is None
    assert run.due == HOUR
    run.advance(HOUR)
    assert run.sends == ["first"]
    assert run.due is None


def test_being_woken_early_never_shortens_a_wait() -> None:
    run = Run.of("- wait: 1 hour\n- send: cart/reminder")
    for minutes in (0, 1, 30, 59):
        run.advance(timedelta(minutes=minutes))
        assert run.due == HOUR
    assert run.sends == []


def test_a_wait_ends_at_the_very_moment_it_is_due() -> None:
    run = Run.of("- wait: 1 hour\n- send: cart/reminder")
    run.advance()
    run.advance(HOUR - timedelta(microseconds=1))
    assert run.sends == []
    run.advance(HOUR)
    assert len(run.sends) == 1


@pytest.mark.parametrize("between", ["", "- coupon: {code: GIFT-1}\n"])
def test_the_next_wait_counts_from_the_end_of_the_last_however_late_it_was_woken(
    between: str,
) -> None:
    run = Run.of(f"- wait: 1 hour\n{between}- wait: 10 hours\n- send: cart/reminder")
    run.advance()
    run.advance(5 * HOUR)  # nobody woke it in time
    assert run.due == 11 * HOUR


def test_the_first_wait_counts_from_entry_however_late_the_run_is_begun() -> None:
    run = Run.of("- wait: 2 hours\n- send: cart/reminder")
    run.advance(HOUR)
    assert run.due == 2 * HOUR


def test_behind_a_message_waits_count_from_when_the_run_passed_it() -> None:
    run = Run.of("- wait: 1 hour\n- send: cart/reminder\n- wait: 1 hour\n- send: cart/nudge")
    run.advance(5 * HOUR)
    run.settle(MessageState.SENT)
    run.advance(6 * HOUR)
    assert run.due == 7 * HOUR


@pytest.mark.parametrize(
    ("entry", "sent_after"), [("- wait: 1 hour\n", HOUR), ("", timedelta())], ids=["wait", "none"]
)
def test_a_messages_lateness_counts_from_when_the_run_should_have_come_to_it(
    entry: str, sent_after: timedelta
) -> None:
    run = Run.of(f"{entry}- send: cart/reminder")
    send = run.advance(5 * HOUR).send
    assert send is not None
    assert send.due_at == START + sent_after


def test_on_another_channel_lateness_counts_from_the_failure_of_the_last() -> None:
    run = Run.of("- send: cart/reminder\n  via: [email, sms]")
    run.advance()
    run.settle(MessageState.FAILED)
    run.enrolment = replace(run.enrolment, due_at=START + 3 * HOUR)
    send = run.advance(4 * HOUR).send
    assert send is not None
    assert send.due_at == START + 3 * HOUR


def test_calendar_days_are_those_of_the_recipient() -> None:
    run = Run.of(
        "- wait: 1 calendar day at 10:00\n- send: cart/reminder",
        zone=ZoneInfo("America/New_York"),
    )
    run.advance()  # 03:00 in New York
    assert run.due == DAY + 7 * HOUR


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        ('"10:00"', 2 * HOUR),
        ('"08:00"', None),
        ("saturday 08:00", DAY),
        ("2026-11-20 09:00", HOUR),
        ("2026-11-19 09:00", None),
        ('"09:00-20:00"', HOUR),
        ('"20:00-09:00"', None),
        ("now + hours(3)", 3 * HOUR),
        ("now - hours(3)", None),
        ("contact.due", None),
    ],
)
def test_a_moment_already_past_or_missing_continues_at_once(
    moment: str, due: timedelta | None
) -> None:
    run = Run.of(f"- wait_until: {moment}\n- send: cart/reminder")
    run.advance()
    assert run.due == due
    assert len(run.sends) == (due is None)


@pytest.mark.parametrize(
    "step", ["wait_until: now + hours(3)", "wait: hours(3)", "wait: now + hours(3) - now"]
)
@given(looks=st.lists(st.integers(0, 179), max_size=5).map(sorted))
def test_a_computed_wait_is_reckoned_from_its_start_however_often_it_is_looked_at(
    step: str, looks: list[int]
) -> None:
    run = Run.of(f"- {step}\n- send: cart/reminder")
    run.advance()
    for minutes in looks:
        run.advance(timedelta(minutes=minutes))
        assert run.due == 3 * HOUR
    run.advance(3 * HOUR)
    assert len(run.sends) == 1


@pytest.mark.parametrize(
    ("points", "due"),
    [
        (Decimal(2), 2 * DAY),
        (Decimal(-2), None),
        (Decimal(0), None),
        (None, None),
        (Decimal(5000), timedelta(days=3653)),
        (Decimal(10**12), None),  # no length at all
    ],
)
def test_a_computed_length_is_no_less_than_nothing_and_no_more_than_ten_years(
    points: Decimal | None, due: timedelta | None
) -> None:
    run = Run.of(
        "- wait: days(contact.points)\n- send: cart/reminder",
        person=contact(attributes={"points": points}),
    )
    run.advance()
    assert run.due == due


# sending ----------------------------------------------------------------------------------


def test_a_send_is_planned_once_and_holds_the_run() -> None:
    run = Run.of("- send: cart/reminder\n  id: first\n- send: cart/nudge\n  id: second")
    for state in (MessageState.QUEUED, MessageState.HELD, MessageState.SENDING):
        run.advance()
        run.settle(state)
        assert run.sends == ["first"]
        assert run.due is None
    run.settle(MessageState.SENT)
    run.advance()
    assert run.sends == ["first", "second"]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_every_final_state_lets_a_run_pass(state: MessageState) -> None:
    run = Run.of("- send: cart/reminder\n  id: first\n- send: cart/nudge\n  id: second")
    run.advance()
    run.settle(state)
    run.advance()
    assert run.sends == ["first", "second"]


@pytest.mark.parametrize("state", sorted(FINAL_STATES | {MessageState.UNKNOWN}))
def test_only_a_refused_message_makes_a_run_exit_that_asks_for_it(state: MessageState) -> None:
    run = Run.of("- send: cart/reminder\n  if_not_allowed: exit\n- send: cart/nudge\n  id: second")
    run.advance()
    run.settle(state)
    run.advance(UNKNOWN_PATIENCE)
    refused = state is MessageState.NOT_SENT
    assert run.ended == ("left" if refused else None)
    assert ("second" in run.sends) is not refused


def test_a_message_in_doubt_holds_the_run_for_72_hours() -> None:
    run = Run.of("- send: cart/reminder\n  id: first\n- send: cart/nudge\n  id: second")
    run.advance()
    run.settle(MessageState.UNKNOWN, sending_at=START + HOUR)
    run.advance(2 * HOUR)
    assert run.due == 73 * HOUR
    run.advance(73 * HOUR - timedelta(seconds=1))
    assert run.sends == ["first"]
    run.advance(73 * HOUR)
    assert run.sends == ["first", "second"]


def test_evidence_about_a_message_in_doubt_releases_the_run_at_once() -> None:
    run = Run.of("- send: cart/reminder\n  id: first\n- send: cart/nudge\n  id: second")
    run.advance()
    run.settle(MessageState.UNKNOWN, sending_at=START)
    run.advance(HOUR)
    run.settle(MessageState.DELIVERED)
    run.advance(2 * HOUR)
    assert run.sends == ["first", "second"]


# branching --------------------------------------------------------------------------------

IF = """
- if: contact.orders.count == 0
  then:
    - send: cart/first
      id: new
  otherwise:
    - send: cart/again
      id: known
- send: cart/nudge
  id: both
"""


@pytest.mark.parametrize(("orders", "way"), [(0, "new"), (3, "known")])
def test_branches_rejoin(orders: int, way: str) -> None:
    run = Run.of(IF, person=contact(orders=OrderHistory(count=orders)))
    run.advance()
    run.settle(MessageState.SENT)
    run.advance()
    assert run.sends == [way, "both"]


CHOOSE = """
- choose:
    - if: contact.points >= 10
      then:
        - send: cart/gold
          id: gold
    - if: contact.points >= 5
      then:
        - send: cart/silver
          id: silver
  otherwise:
    - send: cart/plain
      id: plain
- send: cart/nudge
  id: both
"""


@pytest.mark.parametrize(
    ("points", "way"),
    [(Decimal(20), "gold"), (Decimal(10), "gold"), (Decimal(7), "silver"), (None, "plain")],
)
def test_the_first_case_that_holds_is_taken(points: Decimal | None, way: str) -> None:
    run = Run.of(CHOOSE, person=contact(attributes={"points": points}))
    run.advance()
    run.settle(MessageState.SENT)
    run.advance()
    assert run.sends == [way, "both"]


def test_a_choice_without_a_fitting_case_goes_on() -> None:
    run = Run.of(CHOOSE.replace("  otherwise:\n    - send: cart/plain\n      id: plain\n", ""))
    run.advance()
    assert run.sends == ["both"]


def test_a_condition_sees_what_became_of_an_earlier_message() -> None:
    steps = "- send: a/b\n  id: first\n- if: first.delivered and first.sent and not first.bounced\n"
    run = Run.of(steps + "  then:\n    - send: a/c\n      id: second")
    run.advance()
    run.settle(MessageState.COMPLAINED)  # nobody complains of what has not arrived
    run.advance()
    assert run.sends == ["first", "second"]


def test_an_exit_ends_the_run_where_it_stands() -> None:
    run = Run.of("- exit: enough\n- send: cart/reminder")
    assert run.advance().update.ended_at == START
    assert run.ended == "left"
    assert run.sends == []
    assert run.due is None


def test_a_run_past_its_last_step_is_completed() -> None:
    run = Run.of("- wait: 1 hour")
    run.advance()
    run.advance(HOUR)
    assert (run.step, run.ended, run.due) == (None, "completed", None)


def test_a_flow_without_steps_is_over_at_once() -> None:
    book, flow = flow_of("- wait: 1 hour")
    run = Run(book, replace(flow, program={}, first=None))
    run.advance()
    assert run.ended == "completed"


# coupons and withdrawals ------------------------------------------------------------------


def test_a_coupons_code_and_end_are_seen_by_later_steps() -> None:
    steps = (
        "- coupon: {code: CART-10, percent: 10, valid: 7 days}\n  id: gift\n"
        "- if: gift.code == 'CART-10' and gift.percent == 10 and gift.amount is none"
        " and gift.expires_at == now + days(7)\n"
        "  then:\n    - send: cart/offer\n      id: offer"
    )
    run = Run.of(steps)
    run.advance()
    assert run.sends == ["offer"]
    assert run.enrolment.outputs["gift"] == {
        "code": "CART-10",
        "percent": "10",
        "amount": None,
        "expires_at": "2026-11-27T08:00:00+00:00",
    }


def test_a_coupon_without_an_end_does_not_expire() -> None:
    run = Run.of("- coupon: {code: CART-10}\n  id: gift\n- wait: 1 hour")
    run.advance()
    assert run.enrolment.outputs["gift"]["expires_at"] is None


def test_what_was_withdrawn_is_recorded_before_the_run_goes_on() -> None:
    run = Run.of("- withdraw: all topics\n  reason: sunset\n- wait: 1 hour")
    decision = run.advance()
    assert [(step.topics, step.reason) for step in decision.withdrawals] == [(None, "sunset")]
    assert (run.step, run.due) == ("2", timedelta())
    decision = run.advance(timedelta(seconds=1))
    assert decision.withdrawals == ()
    assert run.due == HOUR


def test_a_run_may_end_with_a_withdrawal() -> None:
    run = Run.of("- withdraw: [offers]")
    assert [step.topics for step in run.advance().withdrawals] == [("offers",)]
    assert run.ended == "completed"


# waiting for something --------------------------------------------------------------------


@pytest.mark.parametrize("condition", ["contact.orders.count == 0", "not contact.tracking"])
def test_a_condition_already_true_passes_at_once(condition: str) -> None:
    run = Run.of(f"- wait_for: {condition}\n  within: 1 day\n- send: cart/nudge")
    run.advance()
    assert len(run.sends) == 1


def test_a_condition_that_comes_true_takes_the_first_branch() -> None:
    run = Run.of(
        "- wait_for: contact.orders.count > 0\n  within: 1 day\n"
        "  then:\n    - send: a/thanks\n      id: thanks\n"
        "  otherwise:\n    - send: a/nudge\n      id: nudge"
    )
    run.advance()
    assert run.due == DAY
    run.person = contact(orders=OrderHistory(count=1))
    run.advance(HOUR)
    assert run.sends == ["thanks"]


def test_a_condition_that_stays_false_takes_the_other_branch_when_time_is_up() -> None:
    run = Run.of(
        "- wait_for: contact.orders.count > 0\n  within: 1 day\n"
        "  otherwise:\n    - send: a/nudge\n      id: nudge"
    )
    run.advance()
    run.advance(DAY - timedelta(seconds=1))
    assert run.sends == []
    run.advance(DAY)
    assert run.sends == ["nudge"]


@pytest.mark.parametrize(
    "condition",
    [
        "contact.created_at < now - hours(1)",
        "old",
        "contact.points is none and count_events('product.viewed', days(1)) > 3",
    ],
)
def test_a_condition_that_time_alone_can_change_is_looked_at_every_quarter(
    condition: str,
) -> None:
    run = Run.of(
        f"- wait_for: {condition}\n  within: 2 hours\n- send: a/b",
        more="segments: {old: contact.created_at < now - hours(1)}",
    )
    run.advance()
    assert run.due == timedelta(minutes=15)
    run.advance(timedelta(minutes=15))
    assert run.due == timedelta(minutes=30)


def test_the_last_look_at_a_condition_is_when_its_time_is_up() -> None:
    run = Run.of("- wait_for: contact.created_at > now\n  within: 20 minutes\n- send: a/b")
    run.advance()
    run.advance(timedelta(minutes=15))
    assert run.due == timedelta(minutes=20)
    run.advance(timedelta(minutes=20))
    assert len(run.sends) == 1


# keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "payload", "wanted"),
    [
        ("event.checkout_id", {"checkout_id": "c1"}, "c1"),
        ("event.checkout_id", {}, ""),
        ("event.total", {"total": "20.50"}, "20.5"),
        ("event.data.ticket", {"data": {"ticket": 7}}, "7"),
        ("event.occurred_at", {}, "2026-11-20 08:00:00+00:00"),
    ],
)
def test_a_key_is_text_and_a_missing_one_is_the_person(
    key: str, payload: Mapping[str, Any], wanted: str
) -> None:
    run = Run.of("- wait: 1 hour", f"key: {key}", trigger=event("checkout.started", **payload))
    assert key_text(run.flow.key, run.situation(START).scope({})) == wanted


def test_a_key_too_long_for_an_index_is_its_hash_and_still_tells_runs_apart() -> None:
    def of(ref: str) -> str:
        began = event("checkout.started", data={"ref": ref})
        run = Run.of("- wait: 1 hour", "key: event.data.ref", trigger=began)
        return key_text(run.flow.key, run.situation(START).scope({}))

    assert of("x" * 255) == "x" * 255
    assert of("x" * 256) == of("x" * 256) != of("x" * 257)
    assert len(of("x" * 9_000)) < 255


def test_a_flow_without_a_key_counts_the_person() -> None:
    run = Run.of("- wait: 1 hour")
    assert key_text(None, run.situation(START).scope({})) == ""


# any journey ------------------------------------------------------------------------------

DURATIONS = st.one_of(
    st.integers(1, 100).map(lambda n: Duration(fixed=timedelta(hours=n))),
    st.integers(1, 5).map(lambda n: Duration(calendar_days=n)),
)
BOOK, FLOW = flow_of("- if: contact.points > 5\n  then:\n    - wait: 1 hour\n- wait: 1 hour")
CONDITION = next(step for step in FLOW.steps if step.id == "1").condition  # type: ignore[union-attr]
OPEN = {MessageState.QUEUED, MessageState.HELD, MessageState.SENDING}


@st.composite
def programs(draw: st.DrawFn) -> tuple[Step, ...]:
    """Flat steps whose targets all lie ahead."""
    length = draw(st.integers(0, 8))
    return tuple(draw(_step(place, length)) for place in range(length))


@st.composite
def _step(draw: st.DrawFn, place: int, length: int) -> Step:
    ahead = [*(str(n) for n in range(place + 1, length)), None]
    first, second = draw(st.sampled_from(ahead)), draw(st.sampled_from(ahead))
    name = str(place)
    step: Step = draw(
        st.one_of(
            st.just(_send(name, first, draw(st.sampled_from(NotAllowed)))),
            DURATIONS.map(lambda duration: WaitStep(name, duration, first)),
            st.sampled_from(
                [
                    WaitUntilStep(name, ClockMoment(START.time(), weekday=2), first),
                    WaitUntilStep(name, ClockWindow(START.time(), (START + HOUR).time()), first),
                ]
            ),
            DURATIONS.map(
                lambda within: WaitForStep(name, CONDITION, (), within, Since.STEP, first, second)
            ),
            st.tuples(DURATIONS, st.sampled_from(Since)).map(
                lambda drawn: WaitForStep(
                    name, None, (Match("product.viewed"),), drawn[0], drawn[1], first, second
                )
            ),
            st.just(CouponStep(name, first, code="A")),
            st.just(WithdrawStep(name, None, ALL_TOPICS, first)),
            st.just(ExitStep(name)),
        )
    )
    return step


def _send(name: str, following: str | None, refused: NotAllowed) -> SendStep:
    return SendStep(
        name,
        "a/b",
        (Channel.EMAIL,),
        MessageClass.MARKETING,
        "offers",
        Policy(),
        IfLate(),
        refused,
        following,
    )


def _run_of(program: Sequence[Step]) -> Run:
    steps = {step.id: step for step in program}
    return Run(BOOK, replace(FLOW, program=steps, first=program[0].id if program else None))


@given(programs(), st.data())
def test_every_run_ends_and_sends_each_step_at_most_once(
    program: tuple[Step, ...], data: st.DataObject
) -> None:
    run, passed = _run_of(program), timedelta()
    for _ in range(6 * len(program) + 2):
        before, due = run.step, run.due
        run.advance(passed)
        if run.ended:
            break
        assert before is None or int(run.step or 0) >= int(before)
        if before == run.step and due is not None and due > passed:
            assert run.due == due, "a look before its time changes nothing"
        if run.due is None:
            states = sorted(FINAL_STATES | {MessageState.UNKNOWN})
            run.settle(data.draw(st.sampled_from(states)), sending_at=START + passed)
            continue
        early = data.draw(st.booleans()) and run.due > passed
        passed = (passed + run.due) / 2 if early else max(passed, run.due)
        if data.draw(st.booleans()):
            run.hear(event("product.viewed", START + passed))
    else:
        passed = _to_the_end(run, passed)
    assert run.ended
    assert len(run.sends) == len(set(run.sends))
    assert set(run.sends) <= {step.id for step in program if isinstance(step, SendStep)}


def _to_the_end(run: Run, passed: timedelta) -> timedelta:
    for _ in range(4 * len(run.flow.program) + 4):
        if run.messages and run.messages[-1].state in OPEN:
            run.settle(MessageState.SENT)
        passed = max(passed, run.due or passed)
        run.advance(passed)
        if run.ended:
            break
    return passed


@given(programs())
def test_an_ended_decision_names_its_reason_and_is_due_no_more(program: tuple[Step, ...]) -> None:
    run = _run_of(program)
    update = run.advance().update
    assert (update.ended_at is None) == (update.end_reason is None)
    if update.ended_at is not None:
        assert update.due_at is None
    elif update.due_at is not None:
        assert update.due_at >= START
    assert update.step is None or update.step_started_at == START
