"""The page on expressions names everything there is, and its examples are expressions."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.expressions import Expression, Kind, Record, StepOutput, vocabulary
from orchestrator.domain.expressions.vocabulary import (
    CHANNELS,
    CHECKOUT,
    EVENT,
    EVENT_COUNTED,
    FILTERS,
    FUNCTIONS,
    ITEM,
    ORDER,
)
from orchestrator.flowfile.expressions import parse

PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")
EXAMPLES = [
    line
    for block in re.findall(r"```jinja\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
NAMES = (
    vocabulary(
        attributes={"points": Kind.NUMBER},
        topics=["offers"],
        segments=["lapsed"],
        tables={"refill": {"COF-1KG": timedelta(days=28)}},
    )
    .with_event()
    .with_item()
    .with_key()
    .with_steps({"first": StepOutput.SEND})
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_condition(example: str) -> None:
    assert isinstance(parse(example, NAMES), Expression)


def test_every_name_is_on_the_page() -> None:
    people = NAMES.roots["contact"]
    assert isinstance(people, Record)
    orders = people.fields["orders"]
    assert isinstance(orders, Record)
    words = {*NAMES.roots, *FUNCTIONS, *FILTERS, *CHANNELS, *EVENT_COUNTED} - {"first"}
    for record in (people, EVENT, CHECKOUT, ORDER, ITEM):
        words |= set(record.fields)
    words |= {f"orders.{name}" for name in orders.fields}
    assert {word for word in words if not re.search(rf"\b{re.escape(word)}\b", PAGE)} == set()
