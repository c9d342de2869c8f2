"""`consent`: the ledger's proof."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from orchestrator.bootstrap import databases
from orchestrator.domain.consent import VerifyReport
from orchestrator.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The consent ledger: walk its chains.")


@app.callback()
def _group() -> None:
    """Keep `verify` a verb of its own."""


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Walk every chain and checkpoint; exit code 1 if anything is not as it was written."""
    settings = load_settings()
    with databases.open_database(settings) as opened, opened.database.read() as uow:
        report = uow.consents.verify(databases.checkpoint_signer(settings))
    if as_json:
        typer.echo(json.dumps(as_document(report), ensure_ascii=False))
    else:
        _print(report)
    raise typer.Exit(0 if report.intact else 1)


def as_document(report: VerifyReport) -> dict[str, Any]:
    """The report as `--json` prints it."""
    return {
        "intact": report.intact,
        "subjects": report.subjects,
        "records": report.records,
        "redacted": report.redacted,
        "states": report.states,
        "checkpoints": report.checkpoints,
        "newest_checkpoint": report.newest,
        "records_not_signed_yet": report.unsigned,
        "findings": [
            {"subject": one.subject_id, "seq": one.seq, "what": one.what} for one in report.findings
        ],
        "findings_omitted": report.omitted,
    }


def _print(report: VerifyReport) -> None:
    for finding in report.findings:
        typer.echo(str(finding))
    if report.omitted:
        typer.echo(f"and {report.omitted} more places")
    typer.echo(
        f"{_many(report.records, 'record')} of {_many(report.subjects, 'person', 'people')}, "
        f"{report.redacted} with personal fields erased; {_many(report.states, 'state')}; "
        f"{_many(report.checkpoints, 'signed checkpoint')}, "
        f"{_many(report.unsigned, 'record')} not signed yet."
    )
    if report.newest:
        typer.echo(f"Newest checkpoint: {report.newest}")
    places = len(report.findings) + report.omitted
    typer.echo(
        "The ledger is whole."
        if report.intact
        else f"The ledger is NOT whole: {_many(places, 'place')} above."
    )


def _many(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
