"""`run` and `init`: the daemon, and the files to start from."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import starting_files
from orchestrator.settings import load_settings, unknown_variables, write_env

ENV_FILE = Path(".env")


def run(
    *,
    write_secrets: Annotated[
        bool,
        typer.Option(
            "--write-secrets", help="First write random secrets that are missing to .env."
        ),
    ] = False,
) -> None:
    """Run the daemon: web, journeys and delivery in one process, until it is told to stop."""
    from orchestrator import daemon
    from orchestrator.bootstrap.application import build
    from orchestrator.observability import configure_logging

    if write_secrets:
        for name in write_env(ENV_FILE):
            typer.echo(f"{name}: a random secret was written to {ENV_FILE}", err=True)
    settings = load_settings(ENV_FILE)
    configure_logging(secrets=settings.secret_texts())
    for warning in unknown_variables(ENV_FILE):
        typer.echo(f"orchestrator: {warning}", err=True)
    with build(settings) as app:
        sys.exit(asyncio.run(daemon.serve(app, typer.echo)))


def init(
    folder: Annotated[Path, typer.Argument(help="Where to put them.")] = Path(),
) -> None:
    """Write the starting files: flows.yaml, templates and examples. Nothing is overwritten."""
    written, kept = starting_files.copy_to(folder)
    for path in written:
        typer.echo(f"wrote {path}")
    for path in kept:
        typer.echo(f"kept  {path}, which was there before")
    typer.echo(f"Now: cd {folder} && orchestrator run --write-secrets")
