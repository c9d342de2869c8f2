"""The table of periodic work: name, interval, what to do, and its batch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from orchestrator.bootstrap.engine import Engine
from orchestrator.domain.flows import Channel
from orchestrator.ports import Lane
from orchestrator.schedule import Tick
from orchestrator.services import advance, clicks, dispatch, enrol, moving, notices
from orchestrator.services.consent import make_checkpoint
from orchestrator.services.results import doubt_expired

SHORT: Final = timedelta(milliseconds=200)
LONG: Final = timedelta(seconds=5)


def web_ticks(app: Engine) -> list[Tick]:
    """What a process that only serves HTTP has to do besides."""

    async def follow_versions() -> int:
        return int(await asyncio.to_thread(app.library.refresh))

    return [Tick("follow versions", timedelta(seconds=1), follow_versions)]


def worker_ticks(app: Engine) -> list[Tick]:
    """The engine. Until something is published there is nothing to do."""
    database = app.database

    async def settle_doubt() -> int:
        return await database.run(Lane.RESULTS, lambda uow: doubt_expired(uow, app.clock))

    async def checkpoint() -> int:
        return await database.run(
            Lane.IMPORT, lambda uow: make_checkpoint(uow, app.clock.now(), app.signer)
        )

    def published(work: Callable[[], Awaitable[int]]) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            return await work() if app.library.revision else 0

        return run

    def send_by(channel: Channel) -> Callable[[], Awaitable[int]]:
        return lambda: app.dispatching.run_channel(channel)

    return [
        Tick("hear events", SHORT, published(app.enrolling.run_once), enrol.BATCH),
        Tick("advance runs", SHORT, published(app.advancing.run_once), advance.BATCH),
        Tick("retry runs", timedelta(seconds=1), published(app.advancing.retry_once), 1),
        *(
            Tick(f"dispatch {channel.value}", SHORT, published(send_by(channel)), dispatch.BATCH)
            for channel in app.providers
        ),
        Tick("settle clicks", timedelta(seconds=1), app.clicks.run_once, clicks.BATCH),
        Tick("watch segments", LONG, published(app.segments.run_once), batch=1),
        Tick("tell of a new policy", LONG, published(app.notices.run_once), notices.BATCH),
        Tick("move people to the live version", LONG, published(app.moving.run_once), moving.BATCH),
        Tick("settle doubt", timedelta(seconds=5), settle_doubt),
        Tick("sign the consent ledger", timedelta(minutes=1), checkpoint, batch=1),
    ]
