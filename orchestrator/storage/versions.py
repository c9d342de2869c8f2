"""Published versions, schedule firings and the watermarks of periodic work."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, literal, select

from orchestrator.domain.identifiers import VersionHash, shard_of
from orchestrator.ports.journeys import StoredVersion
from orchestrator.storage.batches import insert_into, insert_new
from orchestrator.storage.tables import flow_version, live_version, schedule_firing, watermark

F: Final = flow_version.c
L: Final = live_version.c


class SqlVersions:
    """`ports.Versions` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, version: StoredVersion, now: datetime) -> None:
        """Store a version; storing it again changes nothing."""
        row = {
            "hash": version.hash,
            "name": version.name,
            "source": version.source,
            "templates": dict(version.templates),
            "created_at": now,
        }
        insert_new(self._connection, flow_version, [row], F.hash)

    def publish(self, version: VersionHash, expected: int, by: str, now: datetime) -> bool:
        """Make a version live if revision `expected` is still the newest (0: none yet).

        Of two that publish at the same moment the unique revision lets one through.
        """
        newest = select(func.coalesce(func.max(L.revision), 0)).scalar_subquery()
        row = select(
            literal(expected + 1, L.revision.type),
            literal(version, L.hash.type),
            literal(now, L.published_at.type),
            literal(by, L.published_by.type),
        ).where(newest == expected)
        statement = (
            insert_into(self._connection, live_version)
            .from_select(["revision", "hash", "published_at", "published_by"], row)
            .on_conflict_do_nothing()
            .returning(L.revision)
        )
        return self._connection.scalar(statement) is not None

    def live(self) -> tuple[int, VersionHash] | None:
        """The newest revision and its version."""
        newest = select(L.revision, L.hash).order_by(L.revision.desc()).limit(1)
        row = self._connection.execute(newest).first()
        return None if row is None else (row.revision, VersionHash(row.hash))

    def live_at(self, moment: datetime) -> VersionHash | None:
        """The version that was live at a moment; the first one for what was before it."""
        by_then = L.published_at <= moment
        newest = select(L.hash).where(by_then).order_by(L.revision.desc()).limit(1)
        first = select(L.hash).order_by(L.revision).limit(1)
        found = self._connection.scalar(newest) or self._connection.scalar(first)
        return None if found is None else VersionHash(found)

    def load(self, version: VersionHash) -> StoredVersion | None:
        """A version by its hash."""
        wanted = select(F.hash, F.name, F.source, F.templates).where(F.hash == version)
        row = self._connection.execute(wanted).first()
        return None if row is None else StoredVersion(*row)


class SqlFirings:
    """`ports.Firings` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fire(self, flow: str, scheduled_at: datetime, now: datetime) -> bool:
        """Record a firing; False if somebody did already."""
        row = {
            "flow": flow,
            "scheduled_at": scheduled_at,
            "shard": shard_of(flow),
            "fired_at": now,
        }
        return bool(insert_new(self._connection, schedule_firing, [row], schedule_firing.c.flow))

    def watermark(self, name: str) -> str | None:
        """How far a periodic task has come."""
        value: str | None = self._connection.scalar(
            select(watermark.c.value).where(watermark.c.name == name)
        )
        return value

    def set_watermark(self, name: str, value: str, now: datetime) -> None:
        """Remember how far it has come."""
        new = insert_into(self._connection, watermark).values(
            name=name, shard=shard_of(name), value=value, updated_at=now
        )
        self._connection.execute(
            new.on_conflict_do_update(
                index_elements=["name", "shard"],
                set_={"value": new.excluded.value, "updated_at": new.excluded.updated_at},
            )
        )
