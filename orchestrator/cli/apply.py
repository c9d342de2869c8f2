"""`apply`: check the flows and their templates, and publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from orchestrator.domain.findings import Severity
from orchestrator.settings import load_settings

FAILED: Final = 1


def apply(
    file: Annotated[Path | None, typer.Argument(help="By default ORCHESTRATOR_FLOWS.")] = None,
    templates: Annotated[Path | None, typer.Option(help="The folder of templates.")] = None,
) -> None:
    """Publish the flows and their templates; every worker follows within two seconds.

    Exits 1 with the findings if there is an error: what was live before stays.
    """
    from orchestrator.bootstrap.databases import open_database
    from orchestrator.bootstrap.files import read_files
    from orchestrator.bootstrap.library import open_library
    from orchestrator.flowfile.report import render_findings
    from orchestrator.services.publishing import publish

    settings = load_settings()
    path = file or settings.flows
    read = read_files(path, templates or settings.templates)
    with open_database(settings) as opened:
        library = open_library(settings, opened)
        done = publish(opened.database, library, read.candidate, "apply", opened.clock)
    errors = tuple(one for one in done.findings if one.severity is Severity.ERROR)
    warnings = len(done.findings) - len(errors)
    if done.version is None:
        typer.echo(render_findings(errors, read.source), err=True)
        stays = f"; revision {done.revision} stays live" if done.revision else ""
        typer.echo(f"\nnot published{stays}", err=True)
        raise typer.Exit(FAILED)
    if not done.changed:
        typer.echo(f"revision {done.revision} ({done.version[:12]}) is live already")
    else:
        typer.echo(f"revision {done.revision} ({done.version[:12]}) is live")
        for line in done.changes.sentences():
            typer.echo(f"  {line}")
    if warnings:
        typer.echo(f"{warnings} warnings: `orchestrator check` shows them", err=True)
