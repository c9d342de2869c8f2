"""A flows file's own tests as findings, and as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from orchestrator.domain.findings import Finding, Severity, has_errors
from orchestrator.domain.journey_tests import SENT, JourneyTest, Told
from orchestrator.flowfile.journey_tests import LoadedTests, load_tests
from orchestrator.services.versions import Candidate
from orchestrator.simulation.journey_tests import Outcome, run_tests
from orchestrator.simulation.people import unreadable

RULE: Final = "test"
NOTHING: Final = "nothing"

Progress = Callable[[int, int], None]
"""Told how many tests have been run, and of how many."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a file of tests."""

    loaded: LoadedTests
    outcomes: tuple[Outcome, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the file, then each failed test at its place."""
        name = self.loaded.source.name
        return (*self.loaded.findings, *(_finding(one, name) for one in self.failed))

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The tests that did not pass."""
        return tuple(one for one in self.outcomes if not one.passed)


def check_journeys(path: Path, candidate: Candidate, progress: Progress) -> Checked | None:
    """Run the tests in a file; None where the flows have errors, which come first.

    Tests run only if the whole file can be read.
    """
    if candidate.book is None or not candidate.publishable:
        return None
    loaded = load_tests(path, candidate.book, unreadable)
    if has_errors(loaded.findings):
        return Checked(loaded)
    outcomes: list[Outcome] = []
    for outcome in run_tests(candidate, loaded.tests):
        outcomes.append(outcome)
        progress(len(outcomes), len(loaded.tests))
    return Checked(loaded, tuple(outcomes))


def _finding(outcome: Outcome, file: str) -> Finding:
    test = outcome.test
    wanted = _listed(test, (pair.wanted for pair in outcome.pairs))
    got = _listed(test, (pair.got for pair in outcome.pairs))
    trouble = f"; {outcome.trouble}" if outcome.trouble else ""
    message = f'"{test.name}" failed: wanted {wanted}; got {got}{trouble}'
    return Finding(Severity.ERROR, RULE, file, test.line, test.column, message)


def _listed(test: JourneyTest, side: Iterable[Told | None]) -> str:
    told = [" ".join(_cells(test, one)) for one in side if one is not None]
    return ", ".join(told) or NOTHING


def side_by_side(outcome: Outcome, file: str) -> str:
    """A failed test for the terminal: wanted and got, row by row, with the times."""
    test = outcome.test
    told = [one for pair in outcome.pairs for one in (pair.wanted, pair.got) if one]
    longest = max((len(spelled(one.at - test.start)) for one in told), default=0)
    rows = [
        (
            "✓" if pair.met else "✗",
            _side(test, pair.wanted, longest),
            _side(test, pair.got, longest),
        )
        for pair in outcome.pairs
    ] or [("✓", "—", "—")]
    width = max(len("wanted"), *(len(wanted) for _, wanted, _ in rows))
    lines = [f"      {'wanted':<{width}}   got"]
    lines += [f"    {mark} {wanted:<{width}}   {got}".rstrip() for mark, wanted, got in rows]
    lines += [f"      {one}" for one in _remarks(outcome)]
    head = f'{file}:{test.line}:{test.column}: the test "{test.name}" failed'
    return "\n".join([head, *lines])


def _side(test: JourneyTest, told: Told | None, longest: int) -> str:
    if told is None:
        return "—"
    when, *rest = _cells(test, told)
    clock = f"{told.at.astimezone(test.zone):%a %d %b %H:%M}"
    return f"{clock}  {when:<{longest}}  {' '.join(rest)}"


def _cells(test: JourneyTest, told: Told) -> list[str]:
    cells = [spelled(told.at - test.start), told.channel.value, told.template]
    return cells if told.outcome == SENT else [*cells, f"not_sent: {told.outcome}"]


def _remarks(outcome: Outcome) -> list[str]:
    problems = {pair.got.problem for pair in outcome.pairs if pair.got and pair.got.problem}
    return sorted(problems) + ([outcome.trouble] if outcome.trouble else [])


def spelled(span: timedelta) -> str:
    """A span to the minute: `2 days 3 hours`, `20 minutes`, `0 minutes`."""
    minutes = round(span.total_seconds() / 60)
    days, rest = divmod(minutes, 24 * 60)
    hours, rest = divmod(rest, 60)
    parts = [(days, "day"), (hours, "hour"), (rest, "minute")]
    words = [f"{amount} {noun}{'' if amount == 1 else 's'}" for amount, noun in parts if amount]
    return " ".join(words) or "0 minutes"
