"""The outbox in the database: claims by priority, conditional writes, listings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    update,
)

from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, shard_of
from orchestrator.domain.messages import (
    COUNTED_STATES,
    WAITING_STATES,
    CancelledReason,
    Message,
    MessageState,
    NewMessage,
)
from orchestrator.ports.journeys import Attempt, MessageChange, MessageFilter
from orchestrator.storage.batches import (
    AnyRow,
    among,
    insert_into,
    insert_new,
    lock_rows,
    on_postgresql,
    rows_of,
)
from orchestrator.storage.enrolments import one_of
from orchestrator.storage.tables import attempt, enrolment, message
from orchestrator.storage.tables.journeys import DUE_MESSAGE, SENDING_MESSAGE

M: Final = message.c
_FIELDS: Final = (
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
_KEPT: Final = ("channel", "not_before", "sent_at", "provider", "provider_id", "locale", "decision")
"""Columns that a change without a value leaves as they are."""
_CHANGED: Final = (M.id, M.state, M.reason, *(M[name] for name in _KEPT))
_WAITING: Final = M.state.in_(sorted(WAITING_STATES))
_FREED: Final = {"lease_until": None, "lease_token": None}


class SqlMessages:
    """`ports.Messages` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, rows: Sequence[NewMessage], now: datetime) -> set[MessageId]:
        """Queue messages; one whose (run, step, channel) exists already is left out."""
        ordered = sorted(rows, key=lambda row: (row.enrolment_id, row.step, row.channel))
        return insert_new(self._connection, message, [_row(one, now) for one in ordered], M.id)

    def claim_due(self, now: datetime, limit: int, lease: timedelta, token: str) -> list[Message]:
        """Lease queued and held messages whose time has come, by priority, then age.

        One priority after the other, so that a million messages of a campaign do not have to
        be sorted to find the order confirmation that goes first.
        """
        found: list[Message] = []
        for priority in self._priorities():
            if len(found) == limit:
                break
            claim = (
                update(message)
                .where(one_of(self._connection, M.id, _due(priority, now, limit - len(found))))
                .values(lease_until=now + lease, lease_token=token)
                .returning(*_FIELDS)
            )
            rows = self._connection.execute(claim).all()
            found += sorted(map(_message, rows), key=lambda one: (one.not_before, one.id))
        return found

    def _priorities(self) -> Sequence[int]:
        """The priorities of waiting messages, highest first, each found by one index probe."""
        top = select(func.max(M.priority).label("priority")).where(DUE_MESSAGE)
        level = top.cte("level", recursive=True)
        below = (
            select(func.max(M.priority))
            .where(DUE_MESSAGE, M.priority < level.c.priority)
            .correlate(level)
            .scalar_subquery()
        )
        levels = level.union_all(select(below).where(level.c.priority.is_not(None)))
        return self._connection.scalars(
            select(levels.c.priority).where(levels.c.priority.is_not(None))
        ).all()

    def mark_sending(
        self,
        decisions: Mapping[MessageId, Mapping[str, Any]],
        token: str,
        now: datetime,
        lease: timedelta,
    ) -> set[MessageId]:
        """`sending` for those still leased to `token` whose run is live; returns which."""
        if not decisions:
            return set()
        new = rows_of(
            self._connection,
            (M.id, M.decision),
            [{"id": one, "decision": dict(made)} for one, made in decisions.items()],
        )
        self._hold_runs(decisions)
        self._lock(decisions)
        live = select(enrolment.c.id).where(
            enrolment.c.id == M.enrolment_id, enrolment.c.ended_at.is_(None)
        )
        sending = (
            update(message)
            .where(M.id == new.c.id, M.lease_token == token, _WAITING, live.exists())
            .values(
                state=MessageState.SENDING,
                reason=None,
                decision=new.c.decision,
                sending_at=now,
                updated_at=now,
                lease_until=now + lease,
                attempts=M.attempts + 1,
            )
        )
        return set(self._connection.scalars(sending.returning(M.id)))

    def apply(self, changes: Sequence[MessageChange], now: datetime) -> set[MessageId]:
        """Conditional writes; gives back leases. Returns the ids that changed."""
        alike: dict[frozenset[MessageState], list[MessageChange]] = defaultdict(list)
        for change in changes:
            alike[change.leaving].append(change)
        self._lock(change.id for change in changes)
        changed: set[MessageId] = set()
        for leaving, group in alike.items():
            changed |= self._apply(leaving, group, now)
        return changed

    def _apply(
        self, leaving: frozenset[MessageState], changes: Sequence[MessageChange], now: datetime
    ) -> set[MessageId]:
        names = [column.name for column in _CHANGED]
        new = rows_of(
            self._connection,
            _CHANGED,
            [{name: getattr(change, name) for name in names} for change in changes],
        )
        statement = (
            update(message)
            .where(M.id == new.c.id, M.state.in_(sorted(leaving)))
            .values({name: func.coalesce(new.c[name], M[name]) for name in _KEPT})
            .values(
                state=new.c.state,
                reason=new.c.reason,
                # known not to have left: it takes up no cap any more
                sending_at=case((new.c.state == MessageState.QUEUED, None), else_=M.sending_at),
                updated_at=now,
                **_FREED,
            )
        )
        return set(self._connection.scalars(statement.returning(M.id)))

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Insert tries; one recorded before stays as it is."""
        mine = among(self._connection, M.id, [one.message_id for one in attempts])
        shards = dict(self._connection.execute(select(M.id, M.shard).where(mine)).all())
        rows = [
            asdict(one) | {"shard": shards[one.message_id]}
            for one in attempts
            if one.message_id in shards
        ]
        if rows:
            once = insert_into(self._connection, attempt).on_conflict_do_nothing()
            self._connection.execute(once, rows)

    def cancel_waiting(
        self, ids: Iterable[EnrolmentId], reason: CancelledReason, now: datetime
    ) -> set[MessageId]:
        """Cancel the queued and held messages of runs."""
        mine = among(self._connection, M.enrolment_id, ids)
        waiting = self._connection.scalars(
            select(M.id).where(mine, _WAITING).order_by(M.id).with_for_update()
        ).all()
        if not waiting:
            return set()
        cancelled = (
            update(message)
            .where(among(self._connection, M.id, waiting), _WAITING)
            .values(state=MessageState.CANCELLED, reason=reason, updated_at=now, **_FREED)
        )
        return set(self._connection.scalars(cancelled.returning(M.id)))

    def all_sending(self) -> list[Message]:
        """Every message that is `sending`, whatever its lease."""
        return [
            _message(row) for row in self._connection.execute(_messages().where(SENDING_MESSAGE))
        ]

    def release_leases(self) -> None:
        """Give back the leases of all waiting messages."""
        leased = update(message).where(_WAITING, M.lease_token.is_not(None))
        self._connection.execute(leased.values(**_FREED))

    def expired_sending(self, now: datetime, limit: int) -> list[Message]:
        """Messages `sending` under an expired lease: nobody knows what became of them."""
        expired = (
            _messages()
            .where(SENDING_MESSAGE, M.lease_until <= now)
            .order_by(M.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [_message(row) for row in self._connection.execute(expired)]

    def of_enrolments(self, ids: Iterable[EnrolmentId]) -> dict[EnrolmentId, list[Message]]:
        """The messages of runs, oldest first."""
        mine = among(self._connection, M.enrolment_id, ids)
        found: dict[EnrolmentId, list[Message]] = defaultdict(list)
        for row in self._connection.execute(_messages().where(mine).order_by(M.created_at, M.id)):
            found[row.enrolment_id].append(_message(row))
        return dict(found)

    def load(self, ids: Iterable[MessageId]) -> dict[MessageId, Message]:
        """Messages by id."""
        rows = self._connection.execute(_messages().where(among(self._connection, M.id, ids)))
        return {row.id: _message(row) for row in rows}

    def marketing_since(
        self, ids: Iterable[ContactId], since: datetime
    ) -> dict[tuple[ContactId, Channel], list[datetime]]:
        """When each contact's marketing messages began to be sent after `since`, by channel."""
        listing = select(M.contact_id, M.channel, M.sending_at).where(
            among(self._connection, M.contact_id, ids),
            M.sending_at > since,
            M.message_class == MessageClass.MARKETING,
            M.state.in_(sorted(COUNTED_STATES)),
        )
        found: dict[tuple[ContactId, Channel], list[datetime]] = defaultdict(list)
        for row in self._connection.execute(listing.order_by(M.sending_at)):
            found[ContactId(row.contact_id), Channel(row.channel)].append(row.sending_at)
        return dict(found)

    def due_marketing(self, ids: Iterable[ContactId], now: datetime) -> list[Message]:
        """The contacts' marketing messages that wait and whose time has come."""
        listing = _messages().where(
            among(self._connection, M.contact_id, ids),
            DUE_MESSAGE,
            M.not_before <= now,
            M.message_class == MessageClass.MARKETING,
        )
        return [_message(row) for row in self._connection.execute(listing)]

    def find(self, wanted: MessageFilter) -> list[Message]:
        """Messages for listings."""
        listing = _messages().limit(wanted.limit)
        if wanted.contact_id is not None:
            listing = listing.where(M.contact_id == wanted.contact_id)
        if wanted.flow is not None:
            listing = listing.where(M.flow == wanted.flow)
        if wanted.states:
            listing = listing.where(M.state.in_(sorted(wanted.states)))
        if wanted.since is not None:
            listing = listing.where(M.created_at >= wanted.since)
        if wanted.before is not None:
            last = select(M.created_at).where(M.id == wanted.before).scalar_subquery()
            tied = and_(M.created_at == last, M.id < wanted.before)
            listing = listing.where(or_(M.created_at < last, tied))
        if wanted.newest_first:
            listing = listing.order_by(M.created_at.desc(), M.id.desc())
        else:
            listing = listing.order_by(M.created_at, M.id)
        return [_message(row) for row in self._connection.execute(listing)]

    def _lock(self, ids: Iterable[MessageId]) -> None:
        lock_rows(self._connection, message, ids)

    def _hold_runs(self, ids: Iterable[MessageId]) -> None:
        """Keep the runs from ending before this transaction does."""
        if on_postgresql(self._connection):
            runs = select(M.enrolment_id).where(among(self._connection, M.id, ids))
            self._connection.execute(
                select(enrolment.c.id)
                .where(one_of(self._connection, enrolment.c.id, runs))
                .order_by(enrolment.c.id)
                .with_for_update(read=True)
            )


def _due(priority: int, now: datetime, limit: int) -> Select[tuple[Any]]:
    due = message.alias("due")
    return (
        select(due.c.id)
        .where(
            DUE_MESSAGE,
            due.c.priority == priority,
            due.c.not_before <= now,
            or_(due.c.lease_until.is_(None), due.c.lease_until <= now),
        )
        .order_by(due.c.not_before)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _messages() -> Select[Any]:
    return select(*_FIELDS)


def _message(row: AnyRow) -> Message:
    values = row._asdict()
    values["channel"] = Channel(values["channel"])
    values["message_class"] = MessageClass(values["message_class"])
    values["state"] = MessageState(values["state"])
    return Message(**values)


def _row(new: NewMessage, now: datetime) -> dict[str, Any]:
    return {
        "id": new.id,
        "shard": shard_of(new.contact_id),
        "enrolment_id": new.enrolment_id,
        "contact_id": new.contact_id,
        "flow": new.flow,
        "version": new.version,
        "step": new.step,
        "channel": new.channel,
        "template": new.template,
        "variant": new.variant,
        "message_class": new.message_class,
        "topic": new.topic,
        "priority": new.priority,
        "state": MessageState.QUEUED,
        "not_before": new.not_before,
        "expires_at": new.expires_at,
        "created_at": now,
        "updated_at": now,
        "attempts": 0,
        "decision": dict(new.decision),
    }
