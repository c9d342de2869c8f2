"""`demo`: a sample shop's three months of traffic, so that every page has something on it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.run import ENV_FILE
from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import Settings, load_settings, write_env

if TYPE_CHECKING:
    from orchestrator.bootstrap.engine import Engine
    from orchestrator.bootstrap.virtual import RecordingProvider
    from orchestrator.channels.outbox import OutboxProvider
    from orchestrator.domain.flows import Channel
    from orchestrator.domain.messages import Message
    from orchestrator.services.versions import Candidate
    from orchestrator.simulation.demo import Progress


def demo(
    database: Annotated[
        str | None,
        typer.Option(
            help="Where to, such as sqlite:///var/demo.db; by default the configured one."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number draws another three months.")] = 0,
    people: Annotated[int, typer.Option(min=20, max=500, help="How many customers.")] = 300,
    *,
    write_secrets: Annotated[
        bool,
        typer.Option(
            "--write-secrets", help="First write random secrets that are missing to .env."
        ),
    ] = False,
) -> None:
    """Play a sample shop's last three months into an empty database; takes about half a minute.

    Nobody is written to: the addresses lead nowhere, and only an outbox may be configured. A
    database that holds people already is left alone.
    """
    from orchestrator.bootstrap.virtual import VirtualClock, open_in_virtual_time
    from orchestrator.simulation.demo import KEPT, Demo, SampleProvider

    settings = _settings(database, write_secrets=write_secrets)
    outboxes = _outboxes(settings)
    candidate = _candidate(settings)
    clock = VirtualClock(datetime.now(UTC).replace(microsecond=0))
    provider = SampleProvider(name="outbox", most=KEPT, clock=clock)
    began = time.monotonic()
    with open_in_virtual_time(settings, clock, seed, provider) as engine:
        _refuse_inhabited(engine)
        with _progress() as progress:
            Demo(engine, clock, provider, candidate, seed, people).play(progress)
        asyncio.run(_keep(provider, outboxes))
        summary = _summary(engine)
    typer.echo(f"{summary}, in {time.monotonic() - began:.0f} seconds")
    typer.echo(_next_steps(database, provider))


def _settings(database: str | None, *, write_secrets: bool) -> Settings:
    from pydantic import SecretStr

    if write_secrets:
        for name in write_env(ENV_FILE):
            typer.echo(f"{name}: a random secret was written to {ENV_FILE}", err=True)
    settings = load_settings(ENV_FILE)
    if database is None:
        return settings
    return settings.model_copy(update={"database_url": SecretStr(database)})


def _outboxes(settings: Settings) -> Mapping[Channel, OutboxProvider]:
    """The outbox of each channel; a real provider is refused: the daemon would go on with it."""
    from orchestrator.bootstrap.application import providers_of
    from orchestrator.bootstrap.virtual import VirtualClock
    from orchestrator.channels.outbox import OutboxProvider

    providers = providers_of(settings, VirtualClock(datetime.now(UTC)))
    found: dict[Channel, OutboxProvider] = {}
    for channel, provider in providers.items():
        if not isinstance(provider, OutboxProvider):
            raise ConfigurationError(
                f"ORCHESTRATOR_{channel.value.upper()}_URL names a real provider, and a daemon on "
                "this database would write to people who do not exist; "
                "set it to outbox:var/outbox for the demo"
            )
        found[channel] = provider
    return found


def _candidate(settings: Settings) -> Candidate:
    from orchestrator.bootstrap.files import read_files

    read = read_files(settings.flows, settings.templates)
    if not read.candidate.publishable:
        raise ConfigurationError(
            f"{settings.flows} cannot be published; `orchestrator check` says why"
        )
    return read.candidate


def _refuse_inhabited(engine: Engine) -> None:
    with engine.database.read() as uow:
        inhabited = bool(uow.contacts.page(None, 1))
    if inhabited:
        raise ConfigurationError(
            "this database holds people already, and the demo would mix made-up ones with them; "
            "give it one of its own: orchestrator demo --database sqlite:///var/demo.db"
        )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("day 1 of 92", total=None)

        def report(passed: timedelta, whole: timedelta) -> None:
            bar.update(
                task,
                completed=passed.total_seconds(),
                total=whole.total_seconds(),
                description=f"day {passed.days + 1} of {whole.days}",
            )

        yield report


async def _keep(provider: RecordingProvider, outboxes: Mapping[Channel, OutboxProvider]) -> None:
    """Write the newest messages to the outbox, each dated by when it was sent."""
    from orchestrator.bootstrap.virtual import VirtualClock
    from orchestrator.channels.outbox import OutboxProvider

    for message_id, message, sent_at in provider.taken:
        outbox = OutboxProvider(outboxes[message.channel].folder, VirtualClock(sent_at))
        await outbox.send(message_id, message)


def _summary(engine: Engine) -> str:
    from orchestrator.ports import MessageFilter

    with engine.database.read() as uow:
        people = len(uow.contacts.page(None, 1_000_000))
        messages = uow.messages.find(MessageFilter())
    return f"{people:,} people, {len(messages):,} messages ({_by_state(messages)})"


def _by_state(messages: Sequence[Message]) -> str:
    counted = Counter(message.state.value for message in messages)
    return ", ".join(f"{number:,} {state}" for state, number in counted.most_common())


def _next_steps(database: str | None, provider: RecordingProvider) -> str:
    start = f"ORCHESTRATOR_DATABASE_URL={database} " if database else ""
    someone = provider.taken[-1][1].envelope_to if provider.taken else "EMAIL"
    return f"""
Now:  {start}make run          (or: {start}orchestrator run)
      and open the link it prints. Nothing leaves this computer: what is due from now on goes to
      the outbox as well, and no address of these people exists.

Look at
  /            the journeys, with how many people stand where
  /people      somebody's consent, runs and messages
  /messages    what was sent, and why something was not
  /outbox      the newest {len(provider.taken)} messages

  {start}orchestrator messages --status held
  {start}orchestrator contacts show {someone}"""
