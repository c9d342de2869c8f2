"""`messages`: every message with what became of it and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.domain.contacts import Contact
from orchestrator.domain.durations import parse_duration
from orchestrator.domain.identifiers import ContactId, MessageId
from orchestrator.domain.messages import Message, MessageState
from orchestrator.ports import MessageFilter, UnitOfWork
from orchestrator.settings import load_settings

WIDEST: Final = 1000
"""Columns where no terminal sets the width."""
COLOURS: Final = {
    MessageState.SENT: "green",
    MessageState.DELIVERED: "green",
    MessageState.FAILED: "red",
    MessageState.BOUNCED: "red",
    MessageState.COMPLAINED: "red",
    MessageState.UNKNOWN: "yellow",
}


app = typer.Typer(invoke_without_command=True, help="Messages: list them, settle those in doubt.")


@app.callback()
def messages(
    context: typer.Context,
    contact: Annotated[str | None, typer.Option(help="Email address, phone number or id.")] = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow.")] = None,
    status: Annotated[
        list[MessageState] | None, typer.Option(help="Only this state; may be given several times.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help='A date, a time, or how long ago: "2 days".')
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List messages, oldest first, with their state and its reason."""
    if context.invoked_subcommand is not None:
        return
    from orchestrator.bootstrap.databases import open_database
    from orchestrator.services.contact_view import find_contact

    moment = _moment(since)
    with open_database(load_settings()) as opened, opened.database.read() as uow:
        person = find_contact(uow, contact) if contact else None
        wanted = MessageFilter(
            contact_id=person.id if person else None,
            flow=flow,
            states=frozenset(status or ()),
            since=moment,
            limit=limit,
            newest_first=limit is not None,
        )
        unknown = contact is not None and person is None
        found = [] if unknown else _in_order(uow.messages.find(wanted))
        people = _people(uow, found)
    if as_json:
        typer.echo(json.dumps([as_row(message, people) for message in found], ensure_ascii=False))
    elif found:
        _print(found, people)
    else:
        typer.echo("No messages." if not unknown else f"Nobody is known as {contact}.")


@app.command()
def resolve(
    message_id: Annotated[str, typer.Argument(help="Of a message that is unknown.")],
    *,
    sent: Annotated[bool, typer.Option("--sent", help="It did reach the provider.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="It did not: send it again.")] = False,
) -> None:
    """Settle a message in doubt: it was sent, or is to be sent again."""
    from orchestrator.bootstrap.databases import open_database
    from orchestrator.services.settling import resolve_message

    if sent is resend:
        raise typer.BadParameter("give either --sent or --resend")
    identity = known_id(message_id)
    with open_database(load_settings()) as opened, opened.database.transaction() as uow:
        done = resolve_message(uow, MessageId(identity), opened.clock.now(), resend=resend)
    typer.echo(f"{done.id} is {done.state.value} now.")


def retry(
    row_id: Annotated[str, typer.Argument(help="Of a parked run, event or message.")],
) -> None:
    """Release a row that was parked after five failed tries."""
    from orchestrator.bootstrap.databases import open_database
    from orchestrator.services.settling import release

    identity = known_id(row_id)
    with open_database(load_settings()) as opened, opened.database.transaction() as uow:
        kind = release(uow, identity, opened.clock.now())
    typer.echo(f"The {kind} {row_id} is tried again.")


def known_id(text: str) -> str:
    """An id as the database takes it; a usage error for a text that is none."""
    try:
        return str(UUID(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an id") from None


def as_row(message: Message, people: Mapping[ContactId, Contact]) -> dict[str, Any]:
    """A message as `messages --json` shows it."""
    person = people.get(message.contact_id)
    return {
        "id": message.id,
        "contact": person.label if person else message.contact_id,
        "channel": message.channel.value,
        "flow": message.flow,
        "step": message.step,
        "template": message.template,
        "variant": message.variant,
        "status": message.state.value,
        "reason": message.reason,
        "provider": message.provider,
        "provider_id": message.provider_id,
        "created_at": _iso(message.created_at),
        "sent_at": _iso(message.sent_at),
        "problem": message.decision.get("problem"),
        "segments": message.decision.get("rendered", {}).get("segments"),
    }


def _in_order(found: Sequence[Message]) -> list[Message]:
    return sorted(found, key=lambda message: (message.created_at, message.id))


def _people(uow: UnitOfWork, found: Sequence[Message]) -> dict[ContactId, Contact]:
    return uow.contacts.load({message.contact_id for message in found})


def _moment(text: str | None) -> datetime | None:
    """A point in time from an option; typer's own usage error where it is none."""
    if text is None:
        return None
    ago = parse_duration(text)
    if ago is not None and not ago.calendar_days:
        return datetime.now(UTC) - ago.fixed
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f'{text!r} is neither a date like 2026-12-01 nor a span like "2 days"',
            param_hint="--since",
        ) from None
    return moment if moment.tzinfo else moment.astimezone()


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _print(found: Sequence[Message], people: Mapping[ContactId, Contact]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("created", "contact", "flow", "step", "by", "status"):
        table.add_column(heading, no_wrap=heading in {"created", "by"}, overflow="fold")
    for message in found:
        person = people.get(message.contact_id)
        status = message.state.value + (f" ({message.reason})" if message.reason else "")
        table.add_row(
            f"{message.created_at.astimezone():%d.%m. %H:%M}",
            person.label if person else message.contact_id,
            message.flow,
            message.step,
            message.channel.value,
            status,
            style=COLOURS.get(message.state, ""),
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDEST  # a program that reads lines finds no address cut apart
    console.print(table)
