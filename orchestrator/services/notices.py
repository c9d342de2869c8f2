"""Notices of a new privacy policy: everybody who existed when it went live is told once."""

from __future__ import annotations

from typing import Final

from orchestrator.domain.flows import Flow, FlowBook, PolicyChangeTrigger
from orchestrator.ports import Clock, Database, FlowLibrary, Ids, Lane, UnitOfWork
from orchestrator.services.entering import Door, Wish, enter_people

BATCH: Final = 100
"""People who enter in one transaction."""


class Notices:
    """Enters people into the flows that wait for a change of policy.

    Entries and cursor are one commit, under the lock of the version's row: a crash or a second
    process neither doubles nor misses anybody. While another version of the policy is live
    (somebody went back), the rest waits; when it is live again, they are told.
    """

    def __init__(self, database: Database, library: FlowLibrary, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._library = library
        self._clock = clock
        self._ids = ids

    async def run_once(self, limit: int = BATCH) -> int:
        """Let in the next people who are to be told of the live policy; returns how many."""
        privacy = self._library.book(self._library.live()).brand.privacy
        known = await self._database.query(lambda uow: uow.privacy_versions.known())
        waiting = {one.version for one in known if one.finished_at is None}
        if privacy is None or privacy.version not in waiting:
            return 0
        return await self._database.run(Lane.IMPORT, lambda uow: self._tell(uow, limit))

    def _tell(self, uow: UnitOfWork, limit: int) -> int:
        now = self._clock.now()
        door = Door.open(self._library, self._ids, now)
        privacy = door.book.brand.privacy
        notice = uow.privacy_versions.lock(privacy.version) if privacy else None
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


def policy_flows(book: FlowBook) -> list[Flow]:
    """The flows that a change of policy lets people into."""
    return [
        flow
        for flow in book.flows.values()
        if any(isinstance(trigger, PolicyChangeTrigger) for trigger in flow.triggers)
    ]
