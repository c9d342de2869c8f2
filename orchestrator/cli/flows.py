"""`check` and `explain`: what flows.yaml says, and what is wrong with it."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.domain.findings import Severity, has_errors
from orchestrator.settings import load_paths

if TYPE_CHECKING:
    from orchestrator.bootstrap.files import FilesRead
    from orchestrator.simulation.checking import Checked

FAILED: Final = 1


def check(
    file: Annotated[Path | None, typer.Argument(help="By default ORCHESTRATOR_FLOWS.")] = None,
    templates: Annotated[Path | None, typer.Option(help="The folder of templates.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Check the flows, their templates, and NAME.test.yaml beside NAME.yaml if it is there.

    Needs no database. Exits 1 if there is an error or a test fails.
    """
    from orchestrator.bootstrap.files import read_files
    from orchestrator.flowfile.journey_tests import path_of_tests

    paths = load_paths()
    path = file or paths.flows
    if path.stem.endswith(".test"):
        flows = path.with_name(f"{path.stem.removesuffix('.test')}{path.suffix}")
        raise typer.BadParameter(f"{path} holds tests; check {flows}, which runs them")
    read = read_files(path, templates or paths.templates)
    tests = path_of_tests(path)
    checked = _run_tests(tests, read) if tests.is_file() else None
    findings = (*read.candidate.findings, *(checked.findings if checked else ()))
    if as_json:
        rows = [finding.as_json() for finding in findings]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        _show(path, read, checked)
        if checked is None and tests.is_file():
            typer.echo(f"{tests}: the tests were not run, because of the errors above")
    if has_errors(findings):
        raise typer.Exit(FAILED)


def _run_tests(tests: Path, read: FilesRead) -> Checked | None:
    """What came of the tests; None where the flows have errors. Shows progress on a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    from orchestrator.simulation.checking import check_journeys

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:3], TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(f"running {tests.name}", total=None)
        return check_journeys(
            tests, read.candidate, lambda done, of: bar.update(task, completed=done, total=of)
        )


def _show(path: Path, read: FilesRead, checked: Checked | None) -> None:
    """Findings with their lines, failed tests with wanted and got, and the sum of it."""
    from orchestrator.flowfile.report import render_findings

    findings = read.candidate.findings
    parts = [render_findings(findings, read.source)] if findings else []
    if checked is not None:
        from orchestrator.simulation.checking import side_by_side

        if checked.loaded.findings:
            parts.append(render_findings(checked.loaded.findings, checked.loaded.source))
        name = checked.loaded.source.name
        parts += [side_by_side(one, name) for one in checked.failed]
        findings = (*findings, *checked.findings)
    if findings:
        errors = sum(finding.severity is Severity.ERROR for finding in findings)
        parts.append(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    else:
        parts.append(f"{path}: no errors, no warnings")
    if checked is not None and checked.outcomes and not checked.failed:
        parts[-1] += f"; {_count(len(checked.outcomes), 'journey test')} passed"
    typer.echo("\n\n".join(parts))


def explain(
    flow: Annotated[str | None, typer.Argument(help="A flow; without one, all of them.")] = None,
    flows: Annotated[Path | None, typer.Option(help="By default ORCHESTRATOR_FLOWS.")] = None,
) -> None:
    """Tell in plain sentences what a flow does."""
    from orchestrator.flowfile import load_file
    from orchestrator.flowfile.explain import explain_flow
    from orchestrator.flowfile.report import render_findings

    path = flows or load_paths().flows
    loaded = load_file(path)
    if loaded.book is None:
        typer.echo(render_findings(loaded.findings, loaded.source), err=True)
        raise typer.Exit(FAILED)
    book = loaded.book
    if flow is not None and flow not in book.flows:
        near = get_close_matches(flow, book.flows, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(book.flows)}"
        raise typer.BadParameter(f"{path} has no flow {flow!r}; {hint}")
    names = [flow] if flow else list(book.flows)
    typer.echo("\n\n".join(explain_flow(book, name) for name in names))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
