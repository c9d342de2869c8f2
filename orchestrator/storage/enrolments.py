"""Runs in the database: claimed in batches, changed by many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Select,
    Update,
    case,
    func,
    select,
    update,
)

from orchestrator.domain.enrolments import Enrolment, EnrolmentUpdate, LastEntry, NewEnrolment
from orchestrator.domain.identifiers import ContactId, EnrolmentId, shard_of
from orchestrator.storage import enrolment_statements as statements
from orchestrator.storage.batches import (
    AnyRow,
    among,
    insert_new,
    listing,
    lock_rows,
    recording,
    takes_locks,
)
from orchestrator.storage.enrolment_statements import ENDED, ENTRY, FREED, LIVE, NOTED, UPDATED
from orchestrator.storage.tables import enrolment
from orchestrator.storage.types import moment

E: Final = enrolment.c
MOST_PARKED: Final = 1000
_ANY_TRIES: Final = 1000


class SqlEnrolments:
    """`ports.Enrolments` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, rows: Sequence[NewEnrolment]) -> set[EnrolmentId]:
        """Insert runs; one whose (flow, contact, key) is live or entry taken is left out."""
        ordered = sorted(rows, key=lambda row: (row.contact_id, row.flow, row.key, row.entry))
        return insert_new(self._connection, enrolment, [_row(one) for one in ordered], E.id)

    def last_entries(
        self, keys: Iterable[tuple[str, ContactId, str]]
    ) -> dict[tuple[str, ContactId, str], LastEntry]:
        """The newest run of each (flow, contact, key); a live one counts as the newest."""
        dialect = self._connection.dialect.name
        names = [column.name for column in ENTRY]
        asked = [dict(zip(names, key, strict=True)) for key in set(keys)]
        rows = {"rows": recording(dialect, ENTRY, asked)}
        return {
            (row.flow, row.contact_id, row.key): LastEntry(
                row.id, row.entry, row.entered_at, bool(row.live), row.ended_at
            )
            for row in self._connection.execute(statements.newest(dialect), rows).all()
        }

    def live_of(self, ids: Iterable[ContactId]) -> dict[ContactId, list[Enrolment]]:
        """The live runs of contacts, locked until the transaction ends."""
        found: dict[ContactId, list[Enrolment]] = defaultdict(list)
        for one in self._locked(statements.live_of, ids):
            found[one.contact_id].append(one)
        return dict(found)

    def contacts_in(self, flows: Iterable[str]) -> list[ContactId]:
        """Everybody with a live run of these flows, for events that name nobody."""
        waiting = select(E.contact_id).where(among(self._connection, E.flow, flows), LIVE)
        return list(self._connection.scalars(waiting.distinct().order_by(E.contact_id)))

    def claim_due(
        self,
        now: datetime,
        limit: int,
        lease: timedelta,
        token: str,
        tries: Sequence[int] | None = None,
    ) -> list[ContactId]:
        """Lease up to `limit` due runs to `token`, oldest first; returns the contact of each.

        Each claim counts as a try, so that a run which kills its worker is noticed; with
        `tries` only runs with so many of them behind them are taken.
        """
        tried = tries or range(_ANY_TRIES)
        values = {**_claim(now, limit, tried), "until": now + lease, "by": token}
        return list(
            self._connection.scalars(statements.claiming(self._connection.dialect.name), values)
        )

    def park_exhausted(self, now: datetime, tries: int) -> int:
        """Park due runs with `tries` tries behind them that nobody works on; returns how many."""
        values = _claim(now, MOST_PARKED, range(tries, _ANY_TRIES))
        done = self._connection.execute(statements.parking(self._connection.dialect.name), values)
        return done.rowcount

    def claimed(self, token: str, ids: Iterable[ContactId]) -> list[Enrolment]:
        """The live runs of these contacts leased to `token`, locked until the transaction ends.

        Found by contact, because no index holds the leases: a claim must leave them alone.
        """
        return self._locked(statements.claimed, ids, by=token)

    def save(self, updates: Sequence[EnrolmentUpdate]) -> None:
        """Write decisions, give back the leases and clear the count of tries."""
        if not updates:
            return
        names = [column.name for column in UPDATED]
        rows = [{name: getattr(one, name) for name in names} for one in updates]
        self._lock(one.id for one in updates)
        dialect = self._connection.dialect.name
        self._connection.execute(
            statements.saving(dialect), {"rows": recording(dialect, UPDATED, rows)}
        )

    def end(self, ids: Iterable[EnrolmentId], reason: str, now: datetime) -> None:
        """End live runs; ended ones stay as they are."""
        if (statement := self._live(ids)) is not None:
            ended = {"ended_at": now, "end_reason": reason, "due_at": None, "parked_at": None}
            self._connection.execute(statement.values(**ended, **FREED))

    def end_at(self, moments: Mapping[EnrolmentId, datetime], reason: str) -> None:
        """End live runs, each at a moment of its own; ended ones stay as they are."""
        if not moments:
            return
        self._lock(moments)
        dialect = self._connection.dialect.name
        rows = [{"id": one, "ended_at": at} for one, at in moments.items()]
        values = {"rows": recording(dialect, ENDED, rows), "why": reason}
        self._connection.execute(statements.ending(dialect), values)

    def postpone(self, ids: Iterable[EnrolmentId], until: datetime) -> None:
        """Give back the leases of live runs, not to be claimed before `until`."""
        if (statement := self._live(ids)) is not None:
            later = {"lease_until": until, "lease_token": None, "attempts": 0}
            self._connection.execute(statement.values(**later))

    def wake(self, ids: Iterable[EnrolmentId], now: datetime) -> None:
        """Make live runs due now (or leave them, if due earlier).

        Every row is written, due or not: PostgreSQL looks at a row that another transaction
        is changing only if the row as it was before fits the condition, and a run under way
        was due before.
        """
        wanted = list(ids)
        if wanted:
            self._lock(wanted)
            dialect = self._connection.dialect.name
            values = {"ids": listing(dialect, E.id, wanted), "at": now}
            self._connection.execute(statements.waking(dialect), values)

    def note(self, outputs: Mapping[EnrolmentId, Mapping[str, Any]]) -> None:
        """Replace the outputs of live runs; nothing else of them changes."""
        if not outputs:
            return
        rows = [{"id": one, "outputs": dict(values)} for one, values in outputs.items()]
        self._lock(outputs)
        dialect = self._connection.dialect.name
        self._connection.execute(
            statements.noting(dialect), {"rows": recording(dialect, NOTED, rows)}
        )

    def fail(
        self, ids: Iterable[EnrolmentId], now: datetime, retry_at: datetime, tries: int
    ) -> None:
        """Give back the leases of runs that raised: due again at `retry_at`, parked after `tries`.

        The try itself was counted when the run was claimed.
        """
        if (statement := self._live(ids)) is not None:
            parked = case((E.attempts >= tries, moment(now)), else_=None)
            self._connection.execute(statement.values(due_at=retry_at, parked_at=parked, **FREED))

    def unpark(self, enrolment_id: EnrolmentId, now: datetime) -> bool:
        """Make a parked run due now, with no tries behind it; False if it is not parked."""
        parked = update(enrolment).where(E.id == enrolment_id, LIVE, E.parked_at.is_not(None))
        done = self._connection.execute(
            parked.values(parked_at=None, due_at=now, attempts=0, **FREED)
        )
        return done.rowcount > 0

    def release_leases(self) -> None:
        """Give back all leases."""
        leased = update(enrolment).where(LIVE, E.lease_token.is_not(None))
        self._connection.execute(leased.values(**FREED))

    def load(self, ids: Iterable[EnrolmentId]) -> dict[EnrolmentId, Enrolment]:
        """Runs by id."""
        dialect = self._connection.dialect.name
        wanted = {"ids": listing(dialect, E.id, ids)}
        rows = self._connection.execute(statements.runs_by_id(dialect), wanted)
        return {row[0]: _enrolment(row) for row in rows.all()}

    def of_contact(self, contact_id: ContactId) -> list[Enrolment]:
        """Every run of a person, oldest first."""
        mine = statements.runs().where(E.contact_id == contact_id).order_by(E.entered_at, E.id)
        return [_enrolment(row) for row in self._connection.execute(mine)]

    def next_due_at(self) -> datetime | None:
        """When the next run falls due; one that is leased, when its lease ends."""
        waiting = (LIVE, E.parked_at.is_(None), E.due_at.is_not(None))
        free = select(E.due_at).where(*waiting, E.lease_until.is_(None))
        first_free = self._connection.scalar(free.order_by(E.due_at).limit(1))
        leased = select(func.min(E.lease_until)).where(*waiting, E.lease_until.is_not(None))
        if first_free is not None:
            # Claims take the oldest: only runs before the first free one can be leased.
            leased = leased.where(E.due_at <= first_free)
        moments = (first_free, self._connection.scalar(leased))
        return min((moment for moment in moments if moment is not None), default=None)

    def _locked(
        self, statement: Callable[..., Select[Any]], ids: Iterable[ContactId], **values: str
    ) -> list[Enrolment]:
        dialect = self._connection.dialect.name
        wanted = statement(dialect, locked=takes_locks(self._connection))
        values["ids"] = listing(dialect, E.contact_id, ids)
        return [_enrolment(row) for row in self._connection.execute(wanted, values).all()]

    def _lock(self, ids: Iterable[EnrolmentId]) -> None:
        lock_rows(self._connection, enrolment, ids)

    def _live(self, ids: Iterable[EnrolmentId]) -> Update | None:
        wanted = list(ids)
        if not wanted:
            return None
        self._lock(wanted)
        return update(enrolment).where(among(self._connection, E.id, wanted), LIVE)


def _claim(now: datetime, limit: int, tries: Sequence[int]) -> dict[str, Any]:
    """The values of a statement on `_due`."""
    return {"at": now, "most": limit, "fewest": min(tries), "greatest": max(tries)}


def _enrolment(row: AnyRow) -> Enrolment:
    return Enrolment(*row)


def _row(new: NewEnrolment) -> dict[str, Any]:
    return {
        "id": new.id,
        "shard": shard_of(new.contact_id),
        "flow": new.flow,
        "version": new.version,
        "contact_id": new.contact_id,
        "key": new.key,
        "entry": new.entry,
        "event_id": new.event_id,
        "step": new.step,
        "step_started_at": new.step_started_at,
        "due_at": new.due_at,
        "outputs": dict(new.outputs),
        "entered_at": new.entered_at,
        "ended_at": new.ended_at,
        "end_reason": new.end_reason,
        "attempts": 0,
    }
