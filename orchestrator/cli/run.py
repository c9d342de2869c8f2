"""`run` and `init`: the daemon, and the files to start from."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import starting_files
from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import load_settings, unknown_variables, write_env

if TYPE_CHECKING:
    from orchestrator import daemon
    from orchestrator.bootstrap.application import App

ENV_FILE = Path(".env")


class Role(StrEnum):
    """The parts of a daemon that can run alone."""

    WEB = "web"
    WORKER = "worker"


def run(
    *,
    only: Annotated[
        Role | None, typer.Option(help="Only this part; needs PostgreSQL and `apply`.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
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
    from orchestrator.daemon.supervision import command_of_worker, supervise
    from orchestrator.observability import configure_logging

    if write_secrets:
        for name in write_env(ENV_FILE):
            typer.echo(f"{name}: a random secret was written to {ENV_FILE}", err=True)
    settings = load_settings(ENV_FILE)
    configure_logging(secrets=settings.secret_texts())
    for warning in unknown_variables(ENV_FILE):
        typer.echo(f"orchestrator: {warning}", err=True)
    role = daemon.Role(only or "all")
    if processes > 1 and role is not daemon.Role.WORKER:
        raise typer.BadParameter("goes with --only worker", param_hint="--processes")
    if role is not daemon.Role.ALL and settings.database_url.get_secret_value().startswith(
        "sqlite"
    ):
        raise ConfigurationError(
            "ORCHESTRATOR_DATABASE_URL: SQLite serves one process; --only needs postgresql://"
        )
    if processes > 1:
        _leave(asyncio.run(supervise(command_of_worker(), processes)))
    with build(settings) as app:
        code = asyncio.run(_serve(app, role))
    _leave(code)


async def _serve(app: App, role: daemon.Role) -> int:
    """Until it is told to stop. Threads that a hanging database holds are not waited for."""
    from orchestrator.daemon import serve

    code = await serve(app, role, typer.echo)
    if app.standing.cut_short:
        _leave(code)
    return code


def _leave(code: int) -> NoReturn:
    """End now that everything is closed, without taking the interpreter apart.

    That costs most of a second of CPU, more than a busy machine has left of the 15 seconds in
    which SIGTERM promises an end.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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
