"""The command line: verbs and exit codes, nothing else.

Exit codes: 0 done (warnings alone are 0), 1 at least one error, 2 usage, 3 configuration.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator import __version__
from orchestrator.cli import (
    apply,
    consent,
    contacts,
    db,
    demo,
    events,
    flows,
    messages,
    preview,
    run,
    trigger,
)
from orchestrator.domain.errors import ConfigurationError, OrchestratorError

FAILED: Final = 1
MISCONFIGURED: Final = 3


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"orchestrator {__version__}")
        raise typer.Exit


def _program(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_tell_version,
            is_eager=True,
            help="Say which version this is, and end.",
        ),
    ] = False,
) -> None:
    """Retention messaging for online shops: journeys in flows.yaml, by email and SMS."""


program = typer.Typer(
    name="orchestrator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    callback=_program,
)
program.command("run")(run.run)
program.command("init")(run.init)
program.command("send-event")(events.send_event)
program.command("check")(flows.check)
program.command("explain")(flows.explain)
program.command("preview")(preview.preview)
program.command("apply")(apply.apply)
program.command("trigger")(trigger.trigger)
program.command("demo")(demo.demo)
program.command("retry")(messages.retry)
program.add_typer(messages.app, name="messages")
program.add_typer(contacts.app, name="contacts")
program.add_typer(consent.app, name="consent")
program.add_typer(db.app, name="db")


def app() -> None:
    """The `orchestrator` command: what is expected to go wrong ends in one clear line."""
    try:
        program()
    except ConfigurationError as error:
        _complain(error)
        sys.exit(MISCONFIGURED)
    except OrchestratorError as error:
        _complain(error)
        sys.exit(FAILED)


def _complain(error: Exception) -> None:
    Console(stderr=True, soft_wrap=True).print(f"orchestrator: {error}", markup=False)
