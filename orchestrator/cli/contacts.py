"""`contacts`: people in, and what is known of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.bootstrap import databases
from orchestrator.cli.contact_page import contact_page
from orchestrator.domain.errors import ConfigurationError
from orchestrator.domain.flows import FlowBook
from orchestrator.flowfile import load_file
from orchestrator.services.contact_import import (
    ContactImport,
    ImportPlan,
    Refusal,
    RowDefaults,
    Summary,
    plan_import,
    write_errors,
)
from orchestrator.services.contact_rows import read_moment
from orchestrator.services.contact_view import as_json as view_as_json
from orchestrator.services.contact_view import find_contact, view_contact
from orchestrator.settings import Settings, load_settings
from orchestrator.sources.phones import normalise_phone

app = typer.Typer(no_args_is_help=True, help="People: import them, look at one.")

USAGE = 2


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV in UTF-8 with a header.")
    ],
    source: Annotated[str | None, typer.Option(help="Where the consent was given.")] = None,
    method: Annotated[
        str | None, typer.Option(help="How: web_form, paper_form, double_opt_in, verbal …")
    ] = None,
    wording: Annotated[str | None, typer.Option(help="What people were shown.")] = None,
    given: Annotated[
        str | None, typer.Option(help="When, where the file has no consent_at: 2026-03-01.")
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Country of phone numbers written without one: FI.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Import people with their consent; repeating it changes nothing, a killed one goes on."""
    settings = load_settings()
    defaults = RowDefaults(source, method, wording, _given(given), country)
    plan = plan_import(file, defaults, _book(settings), normalise_phone)
    if isinstance(plan, Refusal):
        typer.echo(plan.message, err=True)
        raise typer.Exit(USAGE if plan.usage else 1)
    with databases.open_database(settings) as opened, _progress(plan.file.lines) as progress:
        importer = ContactImport(opened.database, opened.clock, opened.ids)
        summary = asyncio.run(importer.run(plan, progress))
    failed = write_errors(plan, summary.errors)
    if as_json:
        typer.echo(json.dumps(_document(summary, failed), ensure_ascii=False))
    else:
        _print(plan, summary, failed)
    raise typer.Exit(1 if summary.errors else 0)


@app.command()
def show(
    who: Annotated[str, typer.Argument(metavar="EMAIL|PHONE|ID")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a person: consent with its proof, journeys, messages."""
    with databases.open_database(load_settings()) as opened, opened.database.read() as uow:
        person = find_contact(uow, who, normalise_phone)
        view = view_contact(uow, person) if person else None
    if view is None:
        typer.echo(f"Nobody is known as {who}.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(view_as_json(view), ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line, heading in contact_page(view):
        console.print(line, markup=False, style="bold" if heading else "")


def _book(settings: Settings) -> FlowBook:
    """The flows file, for its topics and attributes. Raises ConfigurationError."""
    book = load_file(settings.flows).book
    if book is None:
        raise ConfigurationError(f"{settings.flows} has errors: `orchestrator check` lists them")
    return book


def _given(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = read_moment(text)
    if moment is None:
        raise typer.BadParameter(f"{text!r} is no date like 2026-03-01", param_hint="--given")
    return moment


@contextmanager
def _progress(lines: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; silence elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("importing", total=lines)
        yield lambda done: bar.update(task, completed=done)


def _document(summary: Summary, failed: Path | None) -> dict[str, Any]:
    return {
        "rows": summary.rows,
        "imported": summary.imported,
        "already_imported": summary.known,
        "contacts_created": summary.created,
        "contacts_updated": summary.updated,
        "consents_granted": summary.granted,
        "consents_requested": summary.requested,
        "consents_withdrawn": summary.withdrawn,
        "refusals_kept": summary.kept_refusals,
        "suppressed_addresses": summary.suppressed,
        "ignored_columns": list(summary.ignored_columns),
        "errors": [{"line": one.line, "message": one.message} for one in summary.errors],
        "errors_file": str(failed) if failed else None,
    }


def _print(plan: ImportPlan, summary: Summary, failed: Path | None) -> None:
    for error in summary.errors:
        typer.echo(f"{plan.file.path}:{error.line}: {error.message}", err=True)
    for line in _sentences(plan, summary):
        typer.echo(line)
    if failed:
        count = len(summary.errors)
        rows = "1 row was" if count == 1 else f"{count} rows were"
        typer.echo(f"{rows} not imported; mend them in {failed}")


def _sentences(plan: ImportPlan, summary: Summary) -> Iterator[str]:
    yield (
        f"{summary.imported} of {summary.rows} rows imported: {summary.created} new contacts, "
        f"{summary.updated} updated; {summary.known} were imported before."
    )
    yield f"Consent: {summary.granted} granted, {summary.requested} to be confirmed."
    if summary.withdrawn:
        yield f"{summary.withdrawn} withdrawals recorded."
    if summary.kept_refusals:
        yield (
            f"{summary.kept_refusals} answers left out: these people had said no, and the file "
            "does not say that they agreed later (consent_at or --given)."
        )
    if summary.suppressed:
        yield f"{summary.suppressed} addresses are suppressed and stay so."
    if summary.ignored_columns:
        yield f"Columns not used: {', '.join(summary.ignored_columns)}"
    if not any(name.startswith("consent_") for name in _answers(plan)):
        yield "No column consent_email, consent_sms or consent_whatsapp: nothing was granted."


def _answers(plan: ImportPlan) -> set[str]:
    return {"consent_email", "consent_sms", "consent_whatsapp"} & set(plan.file.header)
