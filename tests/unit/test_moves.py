"""Where people inside an older version of a flow go on, and what they may still get."""

from __future__ import annotations

from textwrap import indent

import pytest

from orchestrator.domain.flows import Channel, Flow
from orchestrator.domain.moves import Use, ahead, destination, templates_ahead
from orchestrator.flowfile import load_text

BRAND = """\
version: 1
brand:
  name: Shop
  url: https://shop.example
  email: shop@shop.example
  sms: "+15005550006"
  postal_address: Street 1
  support: help@shop.example
  locale: en
  timezone: UTC
topics: {offers: {title: Offers}}
"""

STEPS = """\
- wait: 1 hour
- send: cart/reminder
  id: first
- wait_for: first.clicked
  within: 1 day
  then: [exit: seen]
  otherwise:
    - send: cart/nudge
      via: [email, sms]
- send: cart/last
"""


def flow(steps: str = STEPS, moved: str = "{}") -> Flow:
    head = "flows:\n  cart:\n    class: marketing\n    topic: offers\n    when: manual\n"
    text = f"{BRAND}{head}    moved: {moved}\n    steps:\n{indent(steps, ' ' * 6)}"
    loaded = load_text(text)
    assert loaded.book is not None, loaded.findings
    return loaded.book.flows["cart"]


def test_everything_lies_ahead_of_somebody_before_the_first_step() -> None:
    assert {step.id for step in ahead(flow(), None)} == set(flow().program)


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("1", {"1", "first", "3", "3.then.1", "3.otherwise.1", "4"}),
        ("3", {"3", "3.then.1", "3.otherwise.1", "4"}),
        ("3.otherwise.1", {"3.otherwise.1", "4"}),
        ("3.then.1", {"3.then.1"}),
        ("4", {"4"}),
    ],
)
def test_what_lies_ahead_follows_the_branches(step: str, left: set[str]) -> None:
    assert {one.id for one in ahead(flow(), step)} == left


def test_templates_ahead_are_those_of_every_channel() -> None:
    assert set(templates_ahead(flow(), "3.otherwise.1")) == {
        Use("3.otherwise.1", Channel.EMAIL, "cart/nudge"),
        Use("3.otherwise.1", Channel.SMS, "cart/nudge"),
        Use("4", Channel.EMAIL, "cart/last"),
    }


def test_a_step_with_an_id_is_found_wherever_it_went() -> None:
    new = flow("- wait: 2 hours\n- wait: 1 hour\n" + STEPS.partition("\n")[2])
    assert destination(flow(), new, "first") == "first"


def test_a_place_means_the_same_step_while_the_outline_stays() -> None:
    longer = flow(STEPS.replace("1 hour", "3 hours").replace("1 day", "2 days"))
    for step in flow().program:
        assert destination(flow(), longer, step) == step


@pytest.mark.parametrize(
    "steps",
    [
        "- wait: 1 minute\n" + STEPS,
        STEPS.partition("\n")[2],
        STEPS.replace("- wait: 1 hour", "- wait_until: tuesday 10:00"),
        STEPS.replace("cart/last", "cart/other"),
    ],
)
def test_a_place_means_nothing_once_steps_came_went_or_changed_kind(steps: str) -> None:
    new = flow(steps)
    for step in ("1", "3", "3.otherwise.1", "4"):
        assert destination(flow(), new, step) is None
    assert destination(flow(), new, "first") == "first"


def test_moved_decides_before_anything_else() -> None:
    new = flow("- wait: 1 minute\n" + STEPS, '{"1": "2", first: "5"}')
    assert destination(flow(), new, "1") == "2"
    assert destination(flow(), new, "first") == "5"


def test_a_step_that_is_gone_has_no_destination() -> None:
    assert destination(flow(), flow("- send: cart/last\n"), "first") is None


def test_renaming_a_step_changes_no_place() -> None:
    new = flow(
        STEPS.replace("id: first", "id: hello").replace("first.", "hello."), "{first: hello}"
    )
    assert destination(flow(), new, "first") == "hello"
    assert destination(flow(), new, "3.otherwise.1") == "3.otherwise.1"


def test_places_below_a_renamed_step_are_renamed_with_it() -> None:
    old = flow(STEPS.replace("- wait_for:", "- id: look\n  wait_for:"))
    new = flow(STEPS.replace("- wait_for:", "- id: glance\n  wait_for:"), "{look: glance}")
    assert destination(old, new, "look.otherwise.1") == "glance.otherwise.1"
