"""Journey tests run through the real engine, each as if it were alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.bootstrap.files import read_files
from orchestrator.cli import program
from orchestrator.domain.errors import RenderFailed
from orchestrator.flowfile.journey_tests import path_of_tests
from orchestrator.services.versions import Candidate
from orchestrator.simulation.checking import Checked, check_journeys
from tests.integration.shop import BRAND, CART, ROOT

PRIVACY = """\
  privacy:
    version: 2026-12
    effective: 2026-12-15
    url: https://northwind.example/privacy
    previous_url: https://northwind.example/privacy/2025
    why: The law on bookkeeping changed.
    changes: [We now keep order history for six years instead of ten.]
"""
FLOWS = BRAND.replace("topics:", f"{PRIVACY}topics:") + (
    """\
segments:
  lapsed: contact.orders.count > 0 and contact.orders.last_at < now - days(30)
"""
    + CART
    + """\
  thanks:
    class: marketing
    topic: news
    when: {event: order.placed}
    steps: [send: welcome/thanks]
  back:
    class: marketing
    topic: offers
    when: {segment: lapsed}
    reenter: always
    steps: [send: winback/news]
  policy:
    class: legal
    when: {policy_change: privacy}
    steps: [send: privacy/notice]
  by_hand:
    class: legal
    when: manual
    key: event.checkout_id
    steps: [send: welcome/hello]
"""
)
ADA = "{email: ada@example.com, timezone: Europe/Warsaw, consent: {email: [offers, news]}}"
CHECKOUT = "checkout.started: {checkout_id: c1, total: 40}"
FIRST = "{at: 1 hour, channel: email, template: cart/reminder}"
SECOND = "{at: 25 hours, channel: email, template: cart/nudge}"


def a_test(*, events: str = "", expect: str = "[]", contact: str = ADA, flow: str = "") -> str:
    lines = [
        f"name: {re.sub(r'[^a-z ]', '', expect)[:40] or 'nothing'}",
        f"contact: {contact}",
        "start: 2026-11-20 10:00",
        *([f"flow: {flow}"] if flow else []),
        *(["events:", indent(dedent(events).strip(), "  ")] if events else []),
        f"expect: {expect}",
    ]
    first, *rest = "\n".join(lines).splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Candidate]:
    """A flows file with the shipped templates, read once."""

    @cache
    def read(flows: str) -> Candidate:
        file = tmp_path_factory.mktemp("flows") / "flows.yaml"
        file.write_text(flows)
        found = read_files(file, ROOT / "templates").candidate
        assert found.publishable, found.findings
        return found

    return read


@pytest.fixture
def check(tmp_path: Path, candidate: Callable[[str], Candidate]) -> Callable[..., Checked]:
    """Check the tests of a flows file."""

    def run(*tests: str, flows: str = FLOWS) -> Checked:
        path = tmp_path / "flows.test.yaml"
        path.write_text("tests:\n" + "".join(tests))
        checked = check_journeys(path, candidate(flows), lambda _done, _of: None)
        assert checked is not None
        assert checked.loaded.findings == ()
        return checked

    return run


@pytest.fixture
def got(check: Callable[..., Checked]) -> Callable[..., list[tuple[str, str, str]]]:
    """What one test got: time from its start, template and outcome."""

    def run(test: str, flows: str = FLOWS) -> list[tuple[str, str, str]]:
        (outcome,) = check(test, flows=flows).outcomes
        assert outcome.trouble == ""
        start = outcome.test.start
        return [
            (str(pair.got.at - start), pair.got.template, pair.got.outcome)
            for pair in outcome.pairs
            if pair.got
        ]

    return run


# What a test sees ---------------------------------------------------------------------------------


def test_a_test_passes_where_everything_comes_as_wanted(check: Any) -> None:
    cart = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}", expect=f"[{FIRST}, {SECOND}]")
    assert [one.passed for one in check(cart).outcomes] == [True]


def test_the_example_of_the_documentation_passes(check: Any) -> None:
    page = (ROOT / "docs" / "journey-tests.md").read_text()
    example = re.search(r"```yaml\n(tests:.*?)```", page, re.DOTALL)
    assert example is not None
    flows = FLOWS.replace("  cart:\n", "  abandoned_cart:\n")
    (outcome,) = check(example[1].removeprefix("tests:\n"), flows=flows).outcomes
    assert outcome.passed


def test_tests_know_nothing_of_each_other(check: Any) -> None:
    cart = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}", expect=f"[{FIRST}, {SECOND}]")
    lapsed = a_test(expect="[]")
    assert all(one.passed for one in check(cart, lapsed, cart, lapsed).outcomes)


def test_with_flow_the_others_are_not_live(got: Any) -> None:
    bought = "- at: 0 minutes\n  order.placed: {order_id: o1}"
    assert [row[1] for row in got(a_test(events=bought))] == ["welcome/thanks"]
    assert got(a_test(events=bought, flow="cart")) == []


def test_a_message_refused_is_told_with_its_reason(got: Any) -> None:
    contact = "{email: ada@example.com, timezone: Europe/Warsaw}"
    test = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}", contact=contact)
    assert got(test) == [
        ("1:00:00", "cart/reminder", "no_consent"),
        ("1 day, 1:00:00", "cart/nudge", "no_consent"),
    ]


def test_a_message_cancelled_by_an_exit_is_nobodys(got: Any) -> None:
    events = f"""
    - at: 0 minutes
      {CHECKOUT}
    - at: 59 minutes
      order.placed: {{checkout_id: c1}}
    """
    assert got(a_test(events=events, flow="cart")) == []


def test_what_falls_due_at_the_moment_of_an_event_is_done_first(got: Any) -> None:
    events = f"""
    - at: 0 minutes
      {CHECKOUT}
    - at: 1 hour
      order.placed: {{checkout_id: c1}}
    """
    assert got(a_test(events=events, flow="cart")) == [("1:00:00", "cart/reminder", "sent")]


def test_a_segment_is_joined_to_the_second_as_time_passes(got: Any) -> None:
    contact = ADA.replace("consent:", "orders: {count: 1, last_at: 20 days ago}, consent:")
    expect = "[{at: 10 days, channel: email, template: winback/news}]"
    assert got(a_test(contact=contact, expect=expect)) == [
        ("10 days, 0:00:01", "winback/news", "sent")
    ]


def test_whoever_is_inside_a_segment_when_the_test_starts_joins_it_then(got: Any) -> None:
    contact = ADA.replace("consent:", "orders: {count: 1, last_at: 40 days ago}, consent:")
    assert got(a_test(contact=contact)) == [("0:00:00", "winback/news", "sent")]


def test_an_event_that_brings_somebody_into_a_segment_is_seen_at_once(got: Any) -> None:
    flows = FLOWS.replace("contact.orders.last_at < now - days(30)", "contact.orders.total > 99")
    events = """
    - {at: 0 minutes, order.placed: {order_id: o1, total: 60}}
    - {at: 3 days, order.placed: {order_id: o2, total: 60}}
    """
    assert got(a_test(events=events, flow="back"), flows) == [
        ("3 days, 0:00:00", "winback/news", "sent")
    ]


def test_a_policy_change_reaches_who_exists_then(got: Any) -> None:
    contact = "{email: ada@example.com}"
    change = "- at: 2 days\n  policy_change: privacy"
    notice = [("2 days, 0:00:00", "privacy/notice", "sent")]
    test = a_test(events=change, contact=contact)
    assert got(test) == notice
    assert got(a_test(contact=contact)) == []


def test_worlds_before_and_after_a_policy_change_do_not_mix(check: Any) -> None:
    notice = "[{at: 2 days, channel: email, template: privacy/notice}]"
    change = a_test(events="- at: 2 days\n  policy_change: privacy", expect=notice)
    cart = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}", expect=f"[{FIRST}, {SECOND}]")
    assert all(one.passed for one in check(change, cart, change, cart, change).outcomes)


def test_somebody_is_entered_by_hand_with_data(got: Any) -> None:
    entries = """
    - {at: 1 hour, trigger: by_hand, data: {checkout_id: c1}}
    - {at: 2 hours, trigger: by_hand, data: {checkout_id: c1}}
    - {at: 3 hours, trigger: by_hand, data: {checkout_id: c2}}
    """
    assert [row[0] for row in got(a_test(events=entries))] == ["1:00:00", "3:00:00"]


def test_another_contact_in_an_event_is_somebody_else(got: Any) -> None:
    other = "contact: {email: bea@example.com}, consent: {email: yes}, order_id: o1"
    events = f"- at: 0 minutes\n  order.placed: {{{other}}}"
    assert got(a_test(events=events, contact="{email: ada@example.com}")) == [
        ("0:00:00", "welcome/thanks", "sent")
    ]


def test_what_keeps_a_message_from_being_rendered_is_told(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "email/cart/reminder.html:3: it does not fit"
    render = "orchestrator.rendering.message.MessageRenderer.render"
    monkeypatch.setattr(render, _refusing)
    (outcome,) = check(a_test(events=f"- at: 0 minutes\n  {CHECKOUT}")).outcomes
    told = {(pair.got.outcome, pair.got.problem) for pair in outcome.pairs}
    assert told == {("render_error", problem)}


def _refusing(*_arguments: object) -> None:
    raise RenderFailed("email/cart/reminder.html", 3, "it does not fit")


def test_a_run_that_never_ends_is_given_up(check: Any) -> None:
    flows = FLOWS.replace("- wait: 1 hour", "- wait: 3000 days")
    (outcome,) = check(a_test(events=f"- at: 0 minutes\n  {CHECKOUT}"), flows=flows).outcomes
    assert outcome.trouble == "a run is not over after five years"
    assert not outcome.passed


def test_thirty_days_take_a_moment(check: Any) -> None:
    flows = FLOWS.replace("- wait: 1 day", "- wait: 30 days")
    test = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}")
    check(test, flows=flows)  # once, so that everything is imported and compiled
    began = time.process_time()
    check(*[test] * 5, flows=flows)
    alone = time.process_time()
    check(*[test] * 15, flows=flows)
    more = time.process_time() - alone
    assert (more - (alone - began)) / 10 < 0.5  # about 0.06 on a machine that does nothing else


# The verb -----------------------------------------------------------------------------------------


def run_check(folder: Path, *options: str) -> Result:
    arguments = ["check", str(folder / "flows.yaml"), "--templates", str(ROOT / "templates")]
    return CliRunner().invoke(program, [*arguments, *options])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows.yaml").write_text(FLOWS)
    cart = a_test(events=f"- at: 0 minutes\n  {CHECKOUT}", expect=f"[{FIRST}]", flow="cart")
    (tmp_path / "flows.test.yaml").write_text("# What is promised.\ntests:\n" + cart)
    return tmp_path


def test_a_failed_test_is_an_error_of_check_with_wanted_and_got(folder: Path) -> None:
    result = run_check(folder, "--json")
    assert result.exit_code == 1
    (finding,) = [row for row in json.loads(result.stdout) if row["severity"] == "error"]
    assert finding["rule"] == "test"
    assert finding["file"] == str(folder / "flows.test.yaml")
    assert finding["line"] == 3
    assert (
        "wanted 1 hour email cart/reminder; got 1 hour email cart/reminder, " in finding["message"]
    )
    assert "1 day 1 hour email cart/nudge" in finding["message"]


def test_a_failed_test_shows_both_sides_with_their_times(folder: Path) -> None:
    result = run_check(folder)
    assert "✓ Fri 20 Nov 11:00  1 hour        email cart/reminder" in result.stdout
    assert re.search(r"✗ — +Sat 21 Nov 11:00  1 day 1 hour  email cart/nudge", result.stdout)
    assert "1 error" in result.stdout


def test_mistakes_in_the_tests_are_told_and_nothing_runs(folder: Path) -> None:
    file = folder / "flows.test.yaml"
    file.write_text(file.read_text().replace("flow: cart", "flow: card"))
    result = run_check(folder)
    assert result.exit_code == 1
    assert 'unknown flow "card"; did you mean' not in result.stdout
    assert re.search(
        r'flows.test.yaml:6:11: unknown flow "card"\n +6 \|     flow: card', result.stdout
    )
    assert "Sat 21 Nov" not in result.stdout


def test_tests_wait_until_the_flows_are_right(folder: Path) -> None:
    (folder / "flows.yaml").write_text(FLOWS.replace("topic: offers", "topic: ofers", 1))
    result = run_check(folder)
    assert result.exit_code == 1
    assert "the tests were not run, because of the errors above" in result.stdout


def test_whoever_checks_the_tests_is_told_what_to_check(folder: Path) -> None:
    result = CliRunner().invoke(program, ["check", str(folder / "flows.test.yaml")])
    assert result.exit_code == 2
    assert "holds tests" in result.output


@pytest.mark.parametrize("name", ["flows", "examples/quickstart"])
def test_the_shipped_journeys_keep_their_promises(name: str) -> None:
    read = read_files(ROOT / f"{name}.yaml", ROOT / "templates")
    tests = path_of_tests(ROOT / f"{name}.yaml")
    checked = check_journeys(tests, read.candidate, lambda _done, _of: None)
    assert checked is not None
    assert [one.message for one in checked.findings] == []
    assert read.candidate.book is not None
    sent = {one.got.flow for outcome in checked.outcomes for one in outcome.pairs if one.got}
    assert sent == set(read.candidate.book.flows)
