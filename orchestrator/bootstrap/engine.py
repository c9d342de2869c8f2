"""The engine: what takes people through their journeys, without HTTP or real providers."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.bootstrap.databases import OpenDatabase, checkpoint_signer
from orchestrator.domain.flows import Channel
from orchestrator.ports import CheckpointSigner, Clock, Metrics, Provider
from orchestrator.services.advance import Advancing
from orchestrator.services.audiences import Segments
from orchestrator.services.clicks import Clicks
from orchestrator.services.dispatch import Dispatching
from orchestrator.services.enrol import Enrolling
from orchestrator.services.intake import Intake
from orchestrator.services.letters import Letters
from orchestrator.services.moving import Moving
from orchestrator.services.notices import Notices
from orchestrator.services.preferences import Preferences
from orchestrator.services.replies import HeedingProvider, Replies
from orchestrator.services.results import Results
from orchestrator.services.versions import VersionLibrary
from orchestrator.settings import Settings
from orchestrator.storage.unit_of_work import SqlDatabase

MakeResults = Callable[[SqlDatabase, Clock, Callable[[], float]], Results]

DRAW: Final = random.random
"""What spreads retries: numbers from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Every service that a worker's ticks call, on one database and one clock."""

    database: SqlDatabase
    clock: Clock
    library: VersionLibrary
    intake: Intake
    preferences: Preferences
    clicks: Clicks
    letters: Letters
    replies: Replies
    enrolling: Enrolling
    segments: Segments
    notices: Notices
    moving: Moving
    advancing: Advancing
    dispatching: Dispatching
    results: Results
    providers: Mapping[Channel, Provider]
    signer: CheckpointSigner


def assemble_engine(
    settings: Settings,
    opened: OpenDatabase,
    library: VersionLibrary,
    providers: Mapping[Channel, Provider],
    metrics: Metrics,
    make_results: MakeResults = Results,
) -> Engine:
    """Put the engine together around an open database, a library and the providers given."""
    database, clock, ids = opened.database, opened.clock, opened.ids
    results = make_results(database, clock, DRAW)
    replies = Replies(database, library, clock, ids, metrics)
    heeding = {
        channel: HeedingProvider(provider, channel, replies)
        for channel, provider in providers.items()
    }
    return Engine(
        database=database,
        clock=clock,
        library=library,
        intake=Intake(database, library, clock, ids, metrics),
        preferences=Preferences(database, library, clock, ids),
        clicks=Clicks(database, clock, ids),
        letters=Letters(database, library),
        replies=replies,
        enrolling=Enrolling(database, library, clock, ids, metrics),
        segments=Segments(database, library, clock, ids),
        notices=Notices(database, library, clock, ids),
        moving=Moving(database, library, clock),
        advancing=Advancing(database, library, clock, ids, metrics),
        dispatching=Dispatching(database, library, heeding, results, clock, ids, metrics),
        results=results,
        providers=providers,
        signer=checkpoint_signer(settings),
    )
