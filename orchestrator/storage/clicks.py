"""Links that were followed, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from orchestrator.domain.clicks import Click
from orchestrator.domain.identifiers import ClickId, MessageId, shard_of
from orchestrator.storage.batches import among, takes_locks
from orchestrator.storage.tables import click
from orchestrator.storage.tables.clicks import UNSETTLED_CLICK

K: Final = click.c
_COLUMNS: Final = (K.id, K.message_id, K.contact_id, K.url, K.clicked_at, K.scanner)


class SqlClicks:
    """`ports.Clicks` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, one: Click) -> None:
        """Store a click, to be settled later."""
        self._connection.execute(
            click.insert().values(
                id=one.id,
                shard=shard_of(one.contact_id),
                message_id=one.message_id,
                contact_id=one.contact_id,
                url=one.url,
                clicked_at=one.clicked_at,
                scanner=one.scanner,
            )
        )

    def unsettled(self, before: datetime, limit: int) -> list[Click]:
        """The oldest clicks before a moment that nobody has settled, locked against others."""
        wanted = select(*_COLUMNS).where(UNSETTLED_CLICK, K.clicked_at <= before)
        wanted = wanted.order_by(K.clicked_at).limit(limit)
        if takes_locks(self._connection):
            wanted = wanted.with_for_update(skip_locked=True)
        return [Click(*row) for row in self._connection.execute(wanted)]

    def of_messages(self, ids: Iterable[MessageId]) -> list[Click]:
        """Every click on links of these messages."""
        wanted = select(*_COLUMNS).where(among(self._connection, K.message_id, ids))
        return [Click(*row) for row in self._connection.execute(wanted)]

    def settle(self, machines: Mapping[ClickId, bool]) -> None:
        """Write down of each click whether it was a machine's."""
        for verdict in (True, False):
            ids = [click_id for click_id, machine in machines.items() if machine is verdict]
            if ids:
                changed = update(click).where(among(self._connection, K.id, ids))
                self._connection.execute(changed.values(machine=verdict))
