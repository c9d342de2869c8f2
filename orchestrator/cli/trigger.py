"""`trigger`: enter a person into a flow by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import typer

from orchestrator.domain.errors import MalformedPayload, NotFound
from orchestrator.settings import load_settings

if TYPE_CHECKING:
    from orchestrator.services.manual import ManualEntry


def trigger(
    flow: Annotated[str, typer.Argument(help="The flow to enter.")],
    contact: Annotated[str, typer.Option(help="Email address, phone number or id.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A JSON object with the fields of an event: the run's `event`."),
    ] = None,
) -> None:
    """Enter a person into a flow by hand; the re-entry rule and the audience hold as always."""
    from orchestrator.bootstrap.databases import open_database
    from orchestrator.bootstrap.library import open_library
    from orchestrator.services.contact_view import find_contact
    from orchestrator.services.entering import Door
    from orchestrator.services.manual import enter_by_hand
    from orchestrator.sources.phones import normalise_phone

    settings = load_settings()
    fields = _fields(data) if data else {}
    with open_database(settings) as opened:
        library = open_library(settings, opened)
        library.refresh()
        version = library.live()
        library.book(version)  # read before the transaction: SQLite has one writer
        with opened.database.transaction() as uow:
            person = find_contact(uow, contact, normalise_phone)
            if person is None:
                raise NotFound(f"nobody is known as {contact}")
            door = Door.open(library, opened.ids, opened.clock.now())
            entry = enter_by_hand(uow, door, flow, person, fields)
    refusal = _refusal(entry, contact)
    if refusal is not None:
        typer.echo(f"orchestrator: {refusal}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{contact} has entered {flow}.")
    if not entry.meant_for_hands:
        typer.echo(f"{flow} has no `when: manual`: by itself it starts otherwise.")


def _refusal(entry: ManualEntry, contact: str) -> str | None:
    """Why nobody entered, in a sentence."""
    from orchestrator.services.manual import Outcome

    name = entry.flow.name
    match entry.outcome:
        case Outcome.ENTERED:
            return None
        case Outcome.INSIDE:
            since = f" since {entry.last.entered_at:%Y-%m-%d %H:%M} UTC" if entry.last else ""
            return f"{contact} is inside {name} already{since}; two runs of a key never overlap"
        case Outcome.NOT_AGAIN:
            last = f" on {entry.last.entered_at:%Y-%m-%d %H:%M} UTC" if entry.last else ""
            return f"{contact} entered {name}{last}, and its `reenter` does not let them in again"
        case Outcome.NOT_MEANT:
            return f"{contact} is not in the audience of {name}"
        case Outcome.ERASED:
            return f"{contact} has been erased"
        case _:
            assert_never(entry.outcome)


def _fields(file: Path) -> Mapping[str, Any]:
    """The fields of an event, read as those of a webhook are. Raises BadParameter."""
    from orchestrator.sources.fields import DROPPED, read_fields
    from orchestrator.sources.json_values import read_json
    from orchestrator.sources.phones import normalise_phone

    try:
        given = read_json(file.read_bytes())
    except OSError as error:
        raise _unfit(f"{file} cannot be read: {error.strerror}") from None
    except MalformedPayload as error:
        raise _unfit(f"{file}: {error}") from None
    if not isinstance(given, dict):
        raise _unfit(f"{file} is not a JSON object with the fields of an event")
    payload = read_fields(given, normalise_phone).payload
    dropped = payload.get("data", {}).get(DROPPED, {})
    for place, told in dropped.items():
        typer.echo(f"orchestrator: {file}: {place} {told['why']} and is left out", err=True)
    return payload


def _unfit(why: str) -> typer.BadParameter:
    return typer.BadParameter(why, param_hint="--data")
