"""Segments as sets: who came and who went, found in SQL in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, select, update

from orchestrator.domain.identifiers import ContactId, shard_of
from orchestrator.ports.audiences import Audience, Difference, PrivacyVersion, SegmentWatch
from orchestrator.storage.batches import among, insert_new, takes_locks
from orchestrator.storage.expression_sql import compile_condition
from orchestrator.storage.tables import contact, privacy_version, segment_member, segment_watch

C: Final = contact.c
M: Final = segment_member.c
W: Final = segment_watch.c
P: Final = privacy_version.c
_REACHABLE: Final = and_(C.erased_at.is_(None), C.merged_into.is_(None))
_WATCH: Final = (
    W.flow,
    W.segment,
    W.condition,
    W.baseline,
    W.started_at,
    W.revision,
    W.cursor,
    W.finished_at,
)
_PRIVACY: Final = (P.version, P.published_at, P.cursor, P.finished_at)


class SqlAudiences:
    """`ports.Audiences` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def watches(self) -> list[SegmentWatch]:
        """Every watch, by flow and segment."""
        rows = self._connection.execute(select(*_WATCH).order_by(W.flow, W.segment))
        return [SegmentWatch(*row) for row in rows]

    def advance(self, watch: SegmentWatch) -> bool:
        """Store a watch if its revision follows the stored one; False if somebody else did."""
        row = {
            "condition": watch.condition,
            "baseline": watch.baseline,
            "revision": watch.revision,
            "cursor": watch.cursor,
            "started_at": watch.started_at,
            "finished_at": watch.finished_at,
        }
        key = {"flow": watch.flow, "segment": watch.segment, "shard": shard_of(watch.flow)}
        if watch.revision == 1:
            return bool(insert_new(self._connection, segment_watch, [{**key, **row}], W.flow))
        mine = and_(W.flow == watch.flow, W.segment == watch.segment)
        changed = self._connection.execute(
            update(segment_watch).where(mine, W.revision == watch.revision - 1).values(row)
        )
        return changed.rowcount == 1

    def compare(
        self, audience: Audience, watch: SegmentWatch, now: datetime, window: int, most: int
    ) -> Difference:
        """Look at up to `window` people after the cursor, until `most` have joined."""
        after: list[ColumnElement[bool]] = [] if watch.cursor is None else [C.id > watch.cursor]
        ids = select(C.id).where(*after).order_by(C.id).offset(window - 1).limit(1)
        upto: ContactId | None = self._connection.scalar(ids)
        within = after if upto is None else [*after, C.id <= upto]
        inside, member = self._inside(audience, now), self._member(watch)
        came = select(C.id).where(*within, inside, ~member).order_by(C.id).limit(most)
        joined = tuple(self._connection.scalars(came))
        if len(joined) == most:
            upto = joined[-1]
            within = [*after, C.id <= upto]
        went = select(C.id).where(*within, member, ~inside).order_by(C.id)
        return Difference(upto, joined, tuple(self._connection.scalars(went)))

    def join(
        self, audience: Audience, watch: SegmentWatch, ids: Iterable[ContactId], now: datetime
    ) -> list[ContactId]:
        """Record those of whom the condition (still) holds; returns who was no member before."""
        wanted = among(self._connection, C.id, ids)
        still = select(C.id).where(wanted, self._inside(audience, now)).order_by(C.id)
        rows = [
            {
                "flow": watch.flow,
                "segment": watch.segment,
                "contact_id": one,
                "shard": shard_of(one),
                "since": now,
            }
            for one in self._connection.scalars(still)
        ]
        return sorted(insert_new(self._connection, segment_member, rows, M.contact_id))

    def leave(
        self, audience: Audience, watch: SegmentWatch, ids: Iterable[ContactId], now: datetime
    ) -> None:
        """Remove the members of whom the condition does not hold (any more)."""
        gone = list(ids)
        if not gone:
            return
        still = select(C.id).where(C.id == M.contact_id, self._inside(audience, now))
        self._connection.execute(
            delete(segment_member).where(
                *_of(watch), among(self._connection, M.contact_id, gone), ~exists(still)
            )
        )

    def forget(self, flow: str, segment: str, limit: int) -> int:
        """Remove up to `limit` members; once there are none, the watch. Returns how many went."""
        mine = (M.flow == flow, M.segment == segment)
        some = select(M.contact_id).where(*mine).order_by(M.contact_id).limit(limit)
        ids = list(self._connection.scalars(some))
        if not ids:
            self._connection.execute(
                delete(segment_watch).where(W.flow == flow, W.segment == segment)
            )
            return 0
        self._connection.execute(
            delete(segment_member).where(*mine, among(self._connection, M.contact_id, ids))
        )
        return len(ids)

    def people(self, after: ContactId | None, created_by: datetime, limit: int) -> list[ContactId]:
        """The next people who existed at a moment; neither merged nor erased ones."""
        wanted: Select[tuple[ContactId]] = select(C.id).where(
            _REACHABLE, C.created_at <= created_by
        )
        if after is not None:
            wanted = wanted.where(C.id > after)
        return list(self._connection.scalars(wanted.order_by(C.id).limit(limit)))

    def _inside(self, audience: Audience, now: datetime) -> ColumnElement[bool]:
        condition = compile_condition(
            audience.condition,
            now=now,
            dialect=self._connection.dialect.name,
            segments=audience.segments,
            tables=audience.tables,
        )
        return and_(_REACHABLE, condition)

    @staticmethod
    def _member(watch: SegmentWatch) -> ColumnElement[bool]:
        return exists(select(M.contact_id).where(*_of(watch), M.contact_id == C.id))


def _of(watch: SegmentWatch) -> tuple[ColumnElement[bool], ...]:
    return (M.flow == watch.flow, M.segment == watch.segment)


class SqlPrivacyVersions:
    """`ports.PrivacyVersions` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, version: str, now: datetime) -> None:
        """Remember a version that goes live; the first one ever has nobody to be told."""
        first = self._connection.scalar(select(func.count()).select_from(privacy_version)) == 0
        row = {
            "version": version,
            "shard": shard_of(version),
            "published_at": now,
            "finished_at": now if first else None,
        }
        insert_new(self._connection, privacy_version, [row], P.version)

    def lock(self, version: str) -> PrivacyVersion | None:
        """A version of which people are still being told, unless somebody else is at it."""
        open_one = select(*_PRIVACY).where(P.version == version, P.finished_at.is_(None))
        if takes_locks(self._connection):
            open_one = open_one.with_for_update(skip_locked=True)
        row = self._connection.execute(open_one).first()
        return None if row is None else PrivacyVersion(*row)

    def told(self, version: str, cursor: ContactId | None, finished_at: datetime | None) -> None:
        """Remember how far people were told."""
        self._connection.execute(
            update(privacy_version)
            .where(P.version == version)
            .values(cursor=cursor, finished_at=finished_at)
        )

    def known(self) -> list[PrivacyVersion]:
        """Every version that has been live, oldest first."""
        rows = self._connection.execute(select(*_PRIVACY).order_by(P.published_at, P.version))
        return [PrivacyVersion(*row) for row in rows]
