"""Notices of a new privacy policy: everybody who existed when it went live enters once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orchestrator.domain.flows import Flow, FlowBook, PolicyChangeTrigger
from orchestrator.ports import (
    Clock,
    Database,
    FlowLibrary,
    Ids,
    Lane,
    PrivacyVersion,
    UnitOfWork,
)
from orchestrator.services.entering import Door, Wish, enter_people

BATCH: Final = 100
"""People who enter in one transaction."""


class Notices:
    """Enters people into the flows that wait for a change of policy.

    Entries and cursor are one commit, under the lock of the version's row: a crash or a second
    process neither doubles nor misses anybody. Versions have their turn in the order in which
    they were published, up to the live one: everybody enters for each, and the gate lets only
    the newest notice go. While an earlier version is live (somebody went back), the rest
    waits; when the later one is live again, they enter.
    """

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids

    async def run_once(self, limit: int = BATCH) -> int:
        """Let in the next people who are to be told of a policy; returns how many."""
        privacy = self._library.book(self._library.live()).brand.privacy
        if privacy is None:
            return 0
        known = await self._database.query(lambda uow: uow.privacy_versions.known())
        owed = [one for one in until(known, privacy.version) if one.finished_at is None]
        if not owed:
            return 0
        oldest = owed[0].version
        return await self._database.run(Lane.IMPORT, lambda uow: self._tell(uow, oldest, limit))

    def _tell(self, uow: UnitOfWork, version: str, limit: int) -> int:
        now = self._clock.now()
        door = Door.open(self._library, self._ids, now)
        notice = uow.privacy_versions.lock(version)
        if notice is None:
            return 0
        flows = policy_flows(door.book)
        people = uow.audiences.people(notice.cursor, notice.published_at, limit) if flows else []
        for flow in flows:
            enter_people(uow, door, Wish(flow, people, key=notice.version))
        finished = len(people) < limit
        cursor = people[-1] if people else notice.cursor
        uow.privacy_versions.told(notice.version, cursor, now if finished else None)
        return len(people)


def until(known: Sequence[PrivacyVersion], live: str) -> Sequence[PrivacyVersion]:
    """The versions published up to the live one, itself included."""
    versions = [one.version for one in known]
    return known[: versions.index(live) + 1] if live in versions else ()


def superseded(known: Sequence[PrivacyVersion], live: str) -> frozenset[str]:
    """The versions that the live one has replaced."""
    return frozenset(one.version for one in until(known, live)) - {live}


def policy_flows(book: FlowBook) -> list[Flow]:
    """The flows that a change of policy lets people into."""
    return [flow for flow in book.flows.values() if is_about_policy(flow)]


def is_about_policy(flow: Flow) -> bool:
    """Whether a change of policy lets people into it."""
    return any(isinstance(trigger, PolicyChangeTrigger) for trigger in flow.triggers)
