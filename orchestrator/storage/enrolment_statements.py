"""Statements about runs, each built once per database and kept.

Their values come when they run: `listing` and `recording` of `batches`, and plain ones by name.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
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

from orchestrator.storage.batches import listed, recorded
from orchestrator.storage.tables import enrolment
from orchestrator.storage.types import UtcDateTime

E: Final = enrolment.c
FIELDS: Final = (
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
UPDATED: Final = (
    E.id,
    E.step,
    E.step_started_at,
    E.due_at,
    E.outputs,
    E.ended_at,
    E.end_reason,
)
ENTRY: Final = (E.flow, E.contact_id, E.key)
NOTED: Final = (E.id, E.outputs)
ENDED: Final = (E.id, E.ended_at)
LIVE: Final = E.ended_at.is_(None)
_AT: Final = bindparam("at", type_=UtcDateTime())
FREED: Final = {"lease_until": None, "lease_token": None}


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
def claiming(dialect: str) -> ReturningUpdate[Any]:
    """Lease up to `most` due runs to `by` and count the try; gives the contact of each."""
    until = bindparam("until", type_=UtcDateTime())
    claim = _due(dialect).values(
        lease_until=until, lease_token=bindparam("by"), attempts=E.attempts + 1
    )
    return claim.returning(E.contact_id)


@cache
def parking(dialect: str) -> Update:
    """Park up to `most` due runs."""
    return _due(dialect).values(parked_at=_AT, **FREED)


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


def runs() -> Select[Any]:
    """Every run, to be narrowed down."""
    return select(*FIELDS)


@cache
def newest(dialect: str) -> Select[Any]:
    """The newest run of each of the `rows`."""
    wanted = recorded(dialect, ENTRY)
    newest_first = (E.ended_at.is_not(None), E.entry.desc())
    ranked = (
        select(
            *ENTRY,
            E.id,
            func.max(E.entry).over(partition_by=ENTRY).label("entry"),
            func.max(E.entered_at).over(partition_by=ENTRY).label("entered_at"),
            LIVE.label("live"),
            E.ended_at,
            func.row_number().over(partition_by=ENTRY, order_by=newest_first).label("rank"),
        )
        .join(wanted, and_(*[column == wanted.c[column.name] for column in ENTRY]))
        .subquery()
    )
    return select(ranked).where(ranked.c.rank == 1)


@cache
def live_of(dialect: str, *, locked: bool) -> Select[Any]:
    """The live runs of contacts, locked if asked."""
    mine = runs().where(listed(dialect, E.contact_id), LIVE).order_by(E.id)
    return mine.with_for_update() if locked else mine


@cache
def claimed(dialect: str, *, locked: bool) -> Select[Any]:
    """Those of them that are leased to `by`."""
    return live_of(dialect, locked=locked).where(E.lease_token == bindparam("by"))


@cache
def saving(dialect: str) -> Update:
    """Write the decisions in `rows`, give back leases, clear the count of tries."""
    new = recorded(dialect, UPDATED)
    decided = {column.name: new.c[column.name] for column in UPDATED if column is not E.id}
    live = update(enrolment).where(E.id == new.c.id, LIVE)
    return live.values(decided).values(attempts=0, **FREED)


@cache
def noting(dialect: str) -> Update:
    """Replace the outputs of the live runs in `rows`."""
    new = recorded(dialect, NOTED)
    return update(enrolment).where(E.id == new.c.id, LIVE).values(outputs=new.c.outputs)


@cache
def ending(dialect: str) -> Update:
    """End the live runs in `rows`, each at its moment."""
    new = recorded(dialect, ENDED)
    ended = {"ended_at": new.c.ended_at, "end_reason": bindparam("why")}
    live = update(enrolment).where(E.id == new.c.id, LIVE)
    return live.values(**ended, due_at=None, parked_at=None, **FREED)


@cache
def runs_by_id(dialect: str) -> Select[Any]:
    """Runs by id."""
    return runs().where(listed(dialect, E.id))


@cache
def waking(dialect: str) -> Update:
    """Make live runs due `at` a moment, or leave them due earlier."""
    woken = update(enrolment).where(listed(dialect, E.id), LIVE)
    return woken.values(due_at=case((E.due_at <= _AT, E.due_at), else_=_AT))
