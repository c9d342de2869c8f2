"""`check` and `explain`: what flows.yaml says, and what is wrong with it."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final

import typer

from orchestrator.domain.findings import Severity, has_errors
from orchestrator.settings import load_paths

FAILED: Final = 1


def check(
    file: Annotated[Path | None, typer.Argument(help="By default ORCHESTRATOR_FLOWS.")] = None,
    templates: Annotated[Path | None, typer.Option(help="The folder of templates.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Check the flows and their templates; needs no database. Exits 1 if there is an error."""
    from orchestrator.bootstrap.files import read_files
    from orchestrator.flowfile.report import render_findings

    paths = load_paths()
    path = file or paths.flows
    read = read_files(path, templates or paths.templates)
    findings = read.candidate.findings
    if as_json:
        rows = [finding.as_json() for finding in findings]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    elif findings:
        typer.echo(render_findings(findings, read.source))
        errors = sum(finding.severity is Severity.ERROR for finding in findings)
        typer.echo(f"\n{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    else:
        typer.echo(f"{path}: no errors, no warnings")
    if has_errors(findings):
        raise typer.Exit(FAILED)


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
