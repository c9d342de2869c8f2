"""Statements about messages, each built once per database and kept.

Their values come when they run: `listing` and `recording` of `batches`, and plain ones by name.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, case, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from orchestrator.domain.enrolments import FINISHED
from orchestrator.domain.flows import MessageClass
from orchestrator.domain.messages import COUNTED_STATES, WAITING_STATES, MessageState
from orchestrator.storage.batches import listed, recorded
from orchestrator.storage.enrolment_statements import one_of
from orchestrator.storage.tables import enrolment, message
from orchestrator.storage.tables.journeys import DUE_MESSAGE
from orchestrator.storage.types import UtcDateTime

M: Final = message.c
FIELDS: Final = (
    M.id,
    M.enrolment_id,
    M.contact_id,
    M.flow,
    M.version,
    M.step,
    M.channel,
    M.template,
    M.locale,
    M.variant,
    M.message_class,
    M.topic,
    M.priority,
    M.state,
    M.reason,
    M.not_before,
    M.expires_at,
    M.created_at,
    M.sending_at,
    M.sent_at,
    M.attempts,
    M.provider,
    M.provider_id,
    M.decision,
)
KEPT: Final = (
    "channel",
    "not_before",
    "sent_at",
    "provider",
    "provider_id",
    "locale",
    "decision",
    "attempts",
)
"""Columns that a change without a value leaves as they are."""
CHANGED: Final = (M.id, M.state, M.reason, *(M[name] for name in KEPT))
DECIDED: Final = (M.id, M.decision)
WAITING: Final = M.state.in_(sorted(WAITING_STATES))
FREED: Final = {"lease_until": None, "lease_token": None}


@cache
def claiming(dialect: str) -> ReturningUpdate[Any]:
    """Lease up to `most` due messages of one channel and one priority, oldest first."""
    due = message.alias("due")
    at = bindparam("at", type_=UtcDateTime())
    ids = (
        select(due.c.id)
        .where(
            DUE_MESSAGE,
            due.c.channel == bindparam("of_channel"),
            due.c.priority == bindparam("of_priority"),
            due.c.not_before <= at,
            or_(due.c.lease_until.is_(None), due.c.lease_until <= at),
        )
        .order_by(due.c.not_before)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return (
        update(message)
        .where(one_of(dialect, M.id, ids))
        .values(lease_until=bindparam("until", type_=UtcDateTime()), lease_token=bindparam("by"))
        .returning(*FIELDS)
    )


@cache
def priorities() -> Select[Any]:
    """The priorities of a channel's waiting messages, each found by one index probe."""
    mine = M.channel == bindparam("of_channel")
    top = select(func.max(M.priority).label("priority")).where(DUE_MESSAGE, mine)
    level = top.cte("level", recursive=True)
    below = (
        select(func.max(M.priority))
        .where(DUE_MESSAGE, mine, M.priority < level.c.priority)
        .correlate(level)
        .scalar_subquery()
    )
    levels = level.union_all(select(below).where(level.c.priority.is_not(None)))
    return select(levels.c.priority).where(levels.c.priority.is_not(None))


@cache
def holding_runs(dialect: str) -> Select[Any]:
    """Lock the runs of messages against ending, not against each other."""
    runs = select(M.enrolment_id).where(listed(dialect, M.id))
    held = select(enrolment.c.id).where(one_of(dialect, enrolment.c.id, runs))
    return held.order_by(enrolment.c.id).with_for_update(read=True)


@cache
def sending(dialect: str) -> ReturningUpdate[Any]:
    """`sending` for the `rows` still leased to `by` whose run was not brought to an end."""
    new = recorded(dialect, DECIDED)
    at = bindparam("at", type_=UtcDateTime())
    going = or_(enrolment.c.ended_at.is_(None), enrolment.c.end_reason.in_(sorted(FINISHED)))
    live = select(enrolment.c.id).where(enrolment.c.id == M.enrolment_id, going)
    return (
        update(message)
        .where(M.id == new.c.id, M.lease_token == bindparam("by"), WAITING, live.exists())
        .values(
            state=MessageState.SENDING,
            reason=None,
            decision=new.c.decision,
            sending_at=at,
            updated_at=at,
            lease_until=bindparam("until", type_=UtcDateTime()),
            attempts=M.attempts + 1,
        )
        .returning(M.id)
    )


@cache
def changing(dialect: str, leaving: frozenset[MessageState]) -> ReturningUpdate[Any]:
    """Write the `rows` whose message is in one of the states that may be left."""
    new = recorded(dialect, CHANGED)
    return (
        update(message)
        .where(M.id == new.c.id, M.state.in_(sorted(leaving)))
        .values({name: func.coalesce(new.c[name], M[name]) for name in KEPT})
        .values(
            state=new.c.state,
            reason=new.c.reason,
            # known not to have left: it takes up no cap any more
            sending_at=case((new.c.state == MessageState.QUEUED, None), else_=M.sending_at),
            updated_at=bindparam("at", type_=UtcDateTime()),
            **FREED,
        )
        .returning(M.id)
    )


@cache
def shards(dialect: str) -> Select[Any]:
    """The shard of each message."""
    return select(M.id, M.shard).where(listed(dialect, M.id))


@cache
def of_enrolments(dialect: str) -> Select[Any]:
    """The messages of runs that are not among `besides`, oldest first."""
    others = (listed(dialect, M.enrolment_id), ~listed(dialect, M.id, "besides"))
    return messages().where(*others).order_by(M.created_at, M.id)


@cache
def marketing_since(dialect: str) -> Select[Any]:
    """When the contacts' marketing messages that count began to be sent after `since`."""
    counted = select(M.contact_id, M.channel, M.sending_at).where(
        listed(dialect, M.contact_id),
        M.sending_at > bindparam("since", type_=UtcDateTime()),
        M.message_class == MessageClass.MARKETING,
        M.state.in_(sorted(COUNTED_STATES)),
    )
    return counted.order_by(M.sending_at)


@cache
def due_marketing(dialect: str) -> Select[Any]:
    """The contacts' marketing messages, not among `besides`, that are due `at` a moment."""
    return messages().where(
        listed(dialect, M.contact_id),
        ~listed(dialect, M.id, "besides"),
        DUE_MESSAGE,
        M.not_before <= bindparam("at", type_=UtcDateTime()),
        M.message_class == MessageClass.MARKETING,
    )


def messages() -> Select[Any]:
    """Every message, to be narrowed down."""
    return select(*FIELDS)
