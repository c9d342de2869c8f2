"""Runs in the database: claimed in batches, changed by many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from orchestrator.domain.enrolments import Enrolment, EnrolmentUpdate, LastEntry, NewEnrolment
from orchestrator.domain.identifiers import ContactId, EnrolmentId, shard_of
from orchestrator.storage.batches import (
    AnyRow,
    among,
    insert_new,
    listed,
    listing,
    lock_rows,
    rows_of,
    takes_locks,
)
from orchestrator.storage.tables import enrolment
from orchestrator.storage.types import UtcDateTime, moment

E: Final = enrolment.c
_FIELDS: Final = (
    E.id,
    E.flow,
    E.version,
    E.contact_id,
    E.key,
    E.entry,
    E.event_id,
    E.step,
    E.step_started_at,
    E.due_at,
    E.outputs,
    E.entered_at,
    E.ended_at,
    E.end_reason,
    E.attempts,
    E.lease_token,
)
_UPDATED: Final = (
    E.id,
    E.step,
    E.step_started_at,
    E.due_at,
    E.outputs,
    E.ended_at,
    E.end_reason,
)
_LIVE: Final = E.ended_at.is_(None)
_AT: Final = bindparam("at", type_=UtcDateTime())
MOST_PARKED: Final = 1000
_ANY_TRIES: Final = 1000
_FREED: Final = {"lease_until": None, "lease_token": None}


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
        columns = (E.flow, E.contact_id, E.key)
        names = [column.name for column in columns]
        wanted = rows_of(
            self._connection, columns, [dict(zip(names, key, strict=True)) for key in set(keys)]
        )
        ranked = (
            select(
                *columns,
                E.id,
                func.max(E.entry).over(partition_by=columns).label("entry"),
                func.max(E.entered_at).over(partition_by=columns).label("entered_at"),
                _LIVE.label("live"),
                func.row_number()
                .over(partition_by=columns, order_by=(E.ended_at.is_not(None), E.entry.desc()))
                .label("rank"),
            )
            .join(wanted, and_(*[column == wanted.c[column.name] for column in columns]))
            .subquery()
        )
        newest = select(ranked).where(ranked.c.rank == 1)
        return {
            (row.flow, row.contact_id, row.key): LastEntry(
                row.id, row.entry, row.entered_at, bool(row.live)
            )
            for row in self._connection.execute(newest)
        }

    def live_of(self, ids: Iterable[ContactId]) -> dict[ContactId, list[Enrolment]]:
        """The live runs of contacts, locked until the transaction ends."""
        mine = among(self._connection, E.contact_id, ids)
        found: dict[ContactId, list[Enrolment]] = defaultdict(list)
        for one in self._locked(mine, _LIVE):
            found[one.contact_id].append(one)
        return dict(found)

    def contacts_in(self, flows: Iterable[str]) -> list[ContactId]:
        """Everybody with a live run of these flows, for events that name nobody."""
        waiting = select(E.contact_id).where(among(self._connection, E.flow, flows), _LIVE)
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
        return list(self._connection.scalars(_claiming(self._connection.dialect.name), values))

    def park_exhausted(self, now: datetime, tries: int) -> int:
        """Park due runs with `tries` tries behind them that nobody works on; returns how many."""
        values = _claim(now, MOST_PARKED, range(tries, _ANY_TRIES))
        done = self._connection.execute(_parking(self._connection.dialect.name), values)
        return done.rowcount

    def claimed(self, token: str, ids: Iterable[ContactId]) -> list[Enrolment]:
        """The live runs of these contacts leased to `token`, locked until the transaction ends.

        Found by contact, because no index holds the leases: a claim must leave them alone.
        """
        mine = among(self._connection, E.contact_id, ids)
        return self._locked(mine, E.lease_token == token, _LIVE)

    def save(self, updates: Sequence[EnrolmentUpdate]) -> None:
        """Write decisions, give back the leases and clear the count of tries."""
        if not updates:
            return
        names = [column.name for column in _UPDATED]
        new = rows_of(
            self._connection,
            _UPDATED,
            [{name: getattr(one, name) for name in names} for one in updates],
        )
        self._lock(one.id for one in updates)
        self._connection.execute(
            update(enrolment)
            .where(E.id == new.c.id, _LIVE)
            .values({name: new.c[name] for name in names if name != "id"})
            .values(attempts=0, **_FREED)
        )

    def end(self, ids: Iterable[EnrolmentId], reason: str, now: datetime) -> None:
        """End live runs; ended ones stay as they are."""
        if (statement := self._live(ids)) is not None:
            ended = {"ended_at": now, "end_reason": reason, "due_at": None, "parked_at": None}
            self._connection.execute(statement.values(**ended, **_FREED))

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
            self._connection.execute(_waking(dialect), values)

    def note(self, outputs: Mapping[EnrolmentId, Mapping[str, Any]]) -> None:
        """Replace the outputs of live runs; nothing else of them changes."""
        if not outputs:
            return
        new = rows_of(
            self._connection,
            (E.id, E.outputs),
            [{"id": one, "outputs": dict(values)} for one, values in outputs.items()],
        )
        self._lock(outputs)
        self._connection.execute(
            update(enrolment).where(E.id == new.c.id, _LIVE).values(outputs=new.c.outputs)
        )

    def fail(
        self, ids: Iterable[EnrolmentId], now: datetime, retry_at: datetime, tries: int
    ) -> None:
        """Give back the leases of runs that raised: due again at `retry_at`, parked after `tries`.

        The try itself was counted when the run was claimed.
        """
        if (statement := self._live(ids)) is not None:
            parked = case((E.attempts >= tries, moment(now)), else_=None)
            self._connection.execute(statement.values(due_at=retry_at, parked_at=parked, **_FREED))

    def unpark(self, enrolment_id: EnrolmentId, now: datetime) -> bool:
        """Make a parked run due now, with no tries behind it; False if it is not parked."""
        parked = update(enrolment).where(E.id == enrolment_id, _LIVE, E.parked_at.is_not(None))
        done = self._connection.execute(
            parked.values(parked_at=None, due_at=now, attempts=0, **_FREED)
        )
        return done.rowcount > 0

    def release_leases(self) -> None:
        """Give back all leases."""
        leased = update(enrolment).where(_LIVE, E.lease_token.is_not(None))
        self._connection.execute(leased.values(**_FREED))

    def load(self, ids: Iterable[EnrolmentId]) -> dict[EnrolmentId, Enrolment]:
        """Runs by id."""
        dialect = self._connection.dialect.name
        wanted = {"ids": listing(dialect, E.id, ids)}
        rows = self._connection.execute(_runs_by_id(dialect), wanted)
        return {row.id: _enrolment(row) for row in rows}

    def of_contact(self, contact_id: ContactId) -> list[Enrolment]:
        """Every run of a person, oldest first."""
        mine = _runs().where(E.contact_id == contact_id).order_by(E.entered_at, E.id)
        return [_enrolment(row) for row in self._connection.execute(mine)]

    def next_due_at(self) -> datetime | None:
        """When the next run falls due; one that is leased, when its lease ends."""
        waiting = (_LIVE, E.parked_at.is_(None), E.due_at.is_not(None))
        free = select(E.due_at).where(*waiting, E.lease_until.is_(None))
        first_free = self._connection.scalar(free.order_by(E.due_at).limit(1))
        leased = select(func.min(E.lease_until)).where(*waiting, E.lease_until.is_not(None))
        if first_free is not None:
            # Claims take the oldest: only runs before the first free one can be leased.
            leased = leased.where(E.due_at <= first_free)
        moments = (first_free, self._connection.scalar(leased))
        return min((moment for moment in moments if moment is not None), default=None)

    def _locked(self, *conditions: ColumnElement[bool]) -> list[Enrolment]:
        wanted = _runs().where(*conditions).order_by(E.id)
        if takes_locks(self._connection):
            wanted = wanted.with_for_update()
        return [_enrolment(row) for row in self._connection.execute(wanted)]

    def _lock(self, ids: Iterable[EnrolmentId]) -> None:
        lock_rows(self._connection, enrolment, ids)

    def _live(self, ids: Iterable[EnrolmentId]) -> Update | None:
        wanted = list(ids)
        if not wanted:
            return None
        self._lock(wanted)
        return update(enrolment).where(among(self._connection, E.id, wanted), _LIVE)


def _claim(now: datetime, limit: int, tries: Sequence[int]) -> dict[str, Any]:
    """The values of a statement on `_due`."""
    return {"at": now, "most": limit, "fewest": min(tries), "greatest": max(tries)}


def _due(dialect: str) -> Update:
    """An update of up to `most` due runs that nobody works on, oldest first.

    Each condition of the partial index is spelt out, so that both planners take it.
    """
    due = enrolment.alias("due")
    ids = (
        select(due.c.id)
        .where(
            due.c.ended_at.is_(None),
            due.c.parked_at.is_(None),
            due.c.due_at.is_not(None),
            due.c.due_at <= _AT,
            or_(due.c.lease_until.is_(None), due.c.lease_until <= _AT),
            due.c.attempts.between(bindparam("fewest"), bindparam("greatest")),
        )
        .order_by(due.c.due_at)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return update(enrolment).where(one_of(dialect, E.id, ids))


@cache
def _claiming(dialect: str) -> ReturningUpdate[Any]:
    until = bindparam("until", type_=UtcDateTime())
    claim = _due(dialect).values(
        lease_until=until, lease_token=bindparam("by"), attempts=E.attempts + 1
    )
    return claim.returning(E.contact_id)


@cache
def _parking(dialect: str) -> Update:
    return _due(dialect).values(parked_at=_AT, **_FREED)


def one_of(
    dialect: str, member: ColumnElement[Any], ids: Select[tuple[Any]]
) -> ColumnElement[bool]:
    """`member IN (select)`, the select run exactly once.

    As a plain IN PostgreSQL may put it inside a nested loop, run it again for every row and
    lock more rows than its limit.
    """
    if dialect == "postgresql":
        return member == any_(func.array(ids.scalar_subquery()))
    return member.in_(ids)


def _runs() -> Select[Any]:
    return select(*_FIELDS)


@cache
def _runs_by_id(dialect: str) -> Select[Any]:
    return _runs().where(listed(dialect, E.id))


@cache
def _waking(dialect: str) -> Update:
    woken = update(enrolment).where(listed(dialect, E.id), _LIVE)
    return woken.values(due_at=case((E.due_at <= _AT, E.due_at), else_=_AT))


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
        "due_at": new.due_at,
        "outputs": dict(new.outputs),
        "entered_at": new.entered_at,
        "attempts": 0,
    }
