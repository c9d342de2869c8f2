"""Documentation is held by tests: what users can name is named there."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
import typer

from orchestrator import cli
from orchestrator.domain.messages import (
    CancelledReason,
    FailedReason,
    HeldReason,
    MessageState,
    NotSentReason,
)

ROOT = Path(__file__).parents[2]
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def verbs() -> set[str]:
    """Every verb, with its sub-verbs as `group verb`."""
    names: set[str] = set()
    program = typer.main.get_command(cli.program)
    for name, command in program.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        names |= {f"{name} {sub}" for sub in inner} or {name}
        if inner and getattr(command, "invoke_without_command", False):
            names.add(name)
    return names


def test_every_verb_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z-]+(?: [a-z-]+)?)", COMMANDS, re.MULTILINE))
    assert verbs() <= documented


@pytest.mark.parametrize(
    "words", [MessageState, HeldReason, NotSentReason, CancelledReason, FailedReason]
)
def test_every_state_and_reason_is_documented(words: type[StrEnum]) -> None:
    assert [word.value for word in words if f"`{word.value}`" not in COMMANDS] == []


def test_not_sent_reasons_stand_in_the_order_in_which_they_are_given() -> None:
    places = [COMMANDS.index(f"| `{reason.value}` |") for reason in NotSentReason]
    assert places == sorted(places)


def test_every_link_between_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    ]
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []
