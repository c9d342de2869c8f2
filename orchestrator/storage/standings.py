"""Where people stand in the versions of the flows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select, update

from orchestrator.domain.flows import Channel
from orchestrator.domain.identifiers import ContactId, VersionHash
from orchestrator.ports.standings import Move, Standing, Waiting
from orchestrator.storage.batches import lock_rows, rows_of
from orchestrator.storage.tables import enrolment, message
from orchestrator.storage.tables.journeys import DUE_MESSAGE

E: Final = enrolment.c
M: Final = message.c
_LIVE: Final = E.ended_at.is_(None)


class SqlStandings:
    """`ports.Standings` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def runs(self) -> list[Standing]:
        """Every place where somebody stands."""
        place = (E.flow, E.version, E.step)
        counted = select(*place, func.count()).where(_LIVE).group_by(*place).order_by(*place)
        return [Standing(*row) for row in self._connection.execute(counted)]

    def waiting(self) -> list[Waiting]:
        """Every template of which a message is queued or held."""
        place = (M.flow, M.step, M.channel, M.template)
        counted = select(*place, func.count()).where(DUE_MESSAGE).group_by(*place)
        return [
            Waiting(flow, step, Channel(channel), template, messages)
            for flow, step, channel, template, messages in self._connection.execute(
                counted.order_by(*place)
            )
        ]

    def outside(
        self, flow: str, version: VersionHash, after: ContactId | None, limit: int
    ) -> list[ContactId]:
        """The next people with a live run of a flow in another version than this."""
        others = select(E.contact_id).where(_LIVE, E.flow == flow, E.version != version)
        if after is not None:
            others = others.where(E.contact_id > after)
        ordered = others.distinct().order_by(E.contact_id).limit(limit)
        return list(self._connection.scalars(ordered))

    def move(self, moves: Sequence[Move], now: datetime) -> None:
        """Take live runs to their new places; they are due at once."""
        if not moves:
            return
        rows = [{"id": one.id, "version": one.version, "step": one.step} for one in moves]
        new = rows_of(self._connection, (E.id, E.version, E.step), rows)
        lock_rows(self._connection, enrolment, [one.id for one in moves])
        self._connection.execute(
            update(enrolment)
            .where(E.id == new.c.id, _LIVE)
            .values(version=new.c.version, step=new.c.step, due_at=now)
        )
