"""What the database says of the messages, read beside the daemon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Engine, func, select

from bench.shop.events import WAIT
from orchestrator.storage.engine import READ_ONLY, create_engine_for
from orchestrator.storage.tables import enrolment, event, message

UNDER_WAY = frozenset({"queued", "held", "sending"})


class Ledger:
    """Questions to a database that a daemon works on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def waiting(self) -> int:
        """Runs that stand in their wait."""
        e = enrolment.c
        return self._number(
            select(func.count()).where(e.ended_at.is_(None), e.step_started_at.is_not(None))
        )

    def states(self) -> Counter[str]:
        """Messages by state."""
        m = message.c
        with self._engine.begin() as connection:
            rows = connection.execute(select(m.state, func.count()).group_by(m.state)).all()
        return Counter({row[0]: row[1] for row in rows})

    def sent(self) -> set[str]:
        """Ids of messages that are `sent`."""
        m = message.c
        with self._engine.begin() as connection:
            return set(connection.scalars(select(m.id).where(m.state == "sent")))

    def lateness(self, since: datetime) -> list[float]:
        """Seconds from each due moment at or after `since` to the commit of `sending`, sorted."""
        m, e, v = message.c, enrolment.c, event.c
        wanted = (
            select(m.sending_at, v.occurred_at)
            .join(enrolment, e.id == m.enrolment_id)
            .join(event, v.id == e.event_id)
            .where(m.sending_at.is_not(None), v.occurred_at >= since - WAIT)
        )
        with self._engine.begin() as connection:
            rows = connection.execute(wanted).all()
        return sorted((at - occurred - WAIT).total_seconds() for at, occurred in rows)

    def _number(self, wanted: object) -> int:
        with self._engine.begin() as connection:
            return int(connection.scalar(wanted) or 0)  # type: ignore[call-overload]


@contextmanager
def ledger_of(url: str) -> Iterator[Ledger]:
    engine = create_engine_for(url)
    try:
        yield Ledger(engine.execution_options(**{READ_ONLY: True}))
    finally:
        engine.dispose()
