"""Segments watched: whoever joins one enters the flows that wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from orchestrator.domain.expressions import roots_used, segments_used
from orchestrator.domain.expressions.wording import written
from orchestrator.domain.flows import Current, Flow, FlowBook, SegmentTrigger
from orchestrator.ports import (
    Audience,
    Clock,
    Database,
    Difference,
    FlowLibrary,
    Ids,
    Lane,
    SegmentWatch,
    UnitOfWork,
)
from orchestrator.services.entering import Door, Wish, enter_people

EVERY: Final = timedelta(minutes=5)
"""How long after the end of one look at a segment the next begins."""
BATCH: Final = 100
"""People who join in one transaction."""
WINDOW: Final = 2_000
"""People looked at by one query; it holds up no writer."""
WINDOWS: Final = 5
"""Windows without a difference after which the cursor is stored."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A flow of the live version that waits for people to join a segment."""

    flow: Flow
    segment: str
    current: Current
    audience: Audience

    @property
    def key(self) -> tuple[str, str]:
        return self.flow.name, self.segment


class Segments:
    """Looks at every segment that a flow waits for, every five minutes and after publishing.

    A look goes through everybody in the order of ids, in windows read beside the writers; who
    joined or left is then written, with the cursor, in one short transaction. The cursor's
    revision lets one of several processes do that, and a restart goes on where it stopped.
    """

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids

    async def run_once(self) -> int:
        """Take one look a piece further; 0 if nothing is to be looked at now."""
        book = self._library.book(self._library.live())
        watched = {one.key: one for one in _watched(book)}
        known = {
            (one.flow, one.segment): one
            for one in await self._database.query(lambda uow: uow.audiences.watches())
        }
        for flow, segment in known.keys() - watched.keys():
            await self._forget(flow, segment)
            return 1
        now = self._clock.now()
        for key, one in watched.items():
            watch = next_watch(one, known.get(key), now)
            if watch is not None:
                return int(await self._look(one, watch))
        return 0

    async def _forget(self, flow: str, segment: str) -> None:
        """A flow that no longer waits begins anew if it ever comes back."""
        await self._database.run(
            Lane.IMPORT, lambda uow: uow.audiences.forget(flow, segment, BATCH)
        )

    async def _look(self, one: Watched, watch: SegmentWatch) -> bool:
        """Find the next differences and write them; False if another process was faster."""
        found = await self._database.query(lambda uow: self._compare(uow, one, watch))
        return await self._database.run(
            Lane.IMPORT, lambda uow: self._write(uow, one, watch, found)
        )

    def _compare(self, uow: UnitOfWork, one: Watched, watch: SegmentWatch) -> Difference:
        now = self._clock.now()
        for _ in range(WINDOWS):
            found = uow.audiences.compare(one.audience, watch, now, WINDOW, BATCH)
            if found.joined or found.left or found.upto is None:
                break
            watch = replace(watch, cursor=found.upto)
        return found

    def _write(self, uow: UnitOfWork, one: Watched, watch: SegmentWatch, found: Difference) -> bool:
        now = self._clock.now()
        finished_at = now if found.upto is None else None
        if not uow.audiences.advance(replace(watch, cursor=found.upto, finished_at=finished_at)):
            return False
        uow.audiences.leave(one.audience, watch, found.left, now)
        joined = uow.audiences.join(one.audience, watch, found.joined, now)
        if joined and not watch.baseline:
            door = Door.open(self._library, self._ids, now)
            flow = door.book.flows.get(one.flow.name)
            if flow is not None:
                enter_people(uow, door, Wish(flow, joined))
        return True


def next_watch(one: Watched, known: SegmentWatch | None, now: datetime) -> SegmentWatch | None:
    """The look to take now, with the revision it will be stored under; None if none is due.

    The first look, and the first one after an edit of the condition, is a baseline: people who
    are inside already, or whom the edit brings in, do not enter, unless `current: enter`.
    """
    condition = fingerprint(one.audience)
    revision = known.revision + 1 if known else 1
    if known is not None and known.condition == condition:
        if known.finished_at is None:
            return replace(known, revision=revision)
        if now < known.finished_at + EVERY:
            return None
        return replace(
            known,
            revision=revision,
            baseline=False,
            cursor=None,
            started_at=now,
            finished_at=None,
        )
    return SegmentWatch(
        flow=one.flow.name,
        segment=one.segment,
        condition=condition,
        baseline=one.current is Current.SKIP,
        started_at=now,
        revision=revision,
    )


def fingerprint(audience: Audience) -> str:
    """The SHA-256 of what a condition means: itself, the segments it names, the tables it reads.

    The layout of the file does not matter.
    """
    meaning = [written(audience.condition.root)]
    seen: set[str] = set()
    waiting = [audience.condition]
    tables = False
    while waiting:
        expression = waiting.pop()
        tables = tables or "tables" in roots_used(expression)
        for name in sorted(segments_used(expression) - seen):
            seen.add(name)
            meaning.append(f"{name}: {written(audience.segments[name].root)}")
            waiting.append(audience.segments[name])
    if tables:
        meaning += [
            f"{table}[{key}]: {value!r}"
            for table, rows in sorted(audience.tables.items())
            for key, value in sorted(rows.items())
        ]
    return sha256("\n".join(meaning).encode()).hexdigest()


def _watched(book: FlowBook) -> Iterator[Watched]:
    for flow in book.flows.values():
        for trigger in flow.triggers:
            if isinstance(trigger, SegmentTrigger):
                condition = book.segments[trigger.segment]
                audience = Audience(condition, book.segments, book.tables)
                yield Watched(flow, trigger.segment, trigger.current, audience)
