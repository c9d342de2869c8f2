"""The outbox in the database: claims by priority, conditional writes, listings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Connection,
    and_,
    or_,
    select,
    update,
)

from orchestrator.domain.flows import Channel, MessageClass
from orchestrator.domain.identifiers import ContactId, EnrolmentId, MessageId, shard_of
from orchestrator.domain.messages import (
    COUNTED_STATES,
    CancelledReason,
    Message,
    MessageState,
    NewMessage,
)
from orchestrator.ports.journeys import Attempt, MessageChange, MessageFilter
from orchestrator.storage import message_statements as statements
from orchestrator.storage.batches import (
    AnyRow,
    among,
    insert_new,
    inserting,
    listing,
    lock_rows,
    on_postgresql,
    recording,
)
from orchestrator.storage.message_statements import CHANGED, DECIDED, FREED, WAITING
from orchestrator.storage.tables import attempt, message
from orchestrator.storage.tables.journeys import SENDING_MESSAGE

M: Final = message.c
_TRIED: Final = [one.name for one in fields(Attempt)]
_ENUMS: Final = [
    (statements.FIELDS.index(column), {member.value: member for member in kind})
    for column, kind in (
        (M.channel, Channel),
        (M.message_class, MessageClass),
        (M.state, MessageState),
    )
]
"""Where a row has a word of a closed list, and its members: a look-up is cheaper than a call."""


class SqlMessages:
    """`ports.Messages` on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, rows: Sequence[NewMessage], now: datetime) -> set[MessageId]:
        """Queue messages; one whose (run, step, channel) exists already is left out."""
        ordered = sorted(rows, key=lambda row: (row.enrolment_id, row.step, row.channel))
        return insert_new(self._connection, message, [_row(one, now) for one in ordered], M.id)

    def claim_due(
        self,
        now: datetime,
        limit: int,
        lease: timedelta,
        token: str,
        channels: Collection[Channel] | None = None,
    ) -> list[Message]:
        """Lease queued and held messages whose time has come, by priority, then age.

        One channel and one priority after the other, so that a million messages of a campaign
        are neither sorted nor passed over to find the order confirmation that goes first.
        """
        found: list[Message] = []
        claim = statements.claiming(self._connection.dialect.name)
        for priority, channel in self._levels(Channel if channels is None else channels):
            if len(found) == limit:
                break
            values = {
                "of_channel": channel,
                "of_priority": priority,
                "at": now,
                "until": now + lease,
                "by": token,
                "most": limit - len(found),
            }
            rows = self._connection.execute(claim, values).all()
            found += sorted(map(_message, rows), key=lambda one: (one.not_before, one.id))
        return found

    def _levels(self, channels: Iterable[Channel]) -> list[tuple[int, Channel]]:
        """The priorities that wait on these channels, highest first."""
        probe = statements.priorities()
        levels = [
            (priority, channel)
            for channel in channels
            for priority in self._connection.scalars(probe, {"of_channel": channel})
        ]
        return sorted(levels, key=lambda level: -level[0])

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
        rows = [{"id": one, "decision": dict(made)} for one, made in decisions.items()]
        self._hold_runs(decisions)
        self._lock(decisions)
        dialect = self._connection.dialect.name
        values = {
            "rows": recording(dialect, DECIDED, rows),
            "by": token,
            "at": now,
            "until": now + lease,
        }
        return set(self._connection.scalars(statements.sending(dialect), values))

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
        names = [column.name for column in CHANGED]
        rows = [{name: getattr(change, name) for name in names} for change in changes]
        dialect = self._connection.dialect.name
        values = {"rows": recording(dialect, CHANGED, rows), "at": now}
        return set(self._connection.scalars(statements.changing(dialect, leaving), values))

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Insert tries; one recorded before stays as it is."""
        dialect = self._connection.dialect.name
        mine = {"ids": listing(dialect, M.id, [one.message_id for one in attempts])}
        found = self._connection.execute(statements.shards(dialect), mine)
        shards = {row.id: row.shard for row in found}
        rows = [
            {**{name: getattr(one, name) for name in _TRIED}, "shard": shards[one.message_id]}
            for one in attempts
            if one.message_id in shards
        ]
        if rows:
            self._connection.execute(inserting(self._connection, attempt), rows)

    def cancel_waiting(
        self, ids: Iterable[EnrolmentId], reason: CancelledReason, now: datetime
    ) -> set[MessageId]:
        """Cancel the queued and held messages of runs."""
        mine = among(self._connection, M.enrolment_id, ids)
        waiting = self._connection.scalars(
            select(M.id).where(mine, WAITING).order_by(M.id).with_for_update()
        ).all()
        if not waiting:
            return set()
        cancelled = (
            update(message)
            .where(among(self._connection, M.id, waiting), WAITING)
            .values(state=MessageState.CANCELLED, reason=reason, updated_at=now, **FREED)
        )
        return set(self._connection.scalars(cancelled.returning(M.id)))

    def all_sending(self) -> list[Message]:
        """Every message that is `sending`, whatever its lease."""
        return [
            _message(row)
            for row in self._connection.execute(statements.messages().where(SENDING_MESSAGE))
        ]

    def release_leases(self) -> None:
        """Give back the leases of all waiting messages."""
        leased = update(message).where(WAITING, M.lease_token.is_not(None))
        self._connection.execute(leased.values(**FREED))

    def expired_sending(self, now: datetime, limit: int) -> list[Message]:
        """Messages `sending` under an expired lease: nobody knows what became of them."""
        expired = (
            statements.messages()
            .where(SENDING_MESSAGE, M.lease_until <= now)
            .order_by(M.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [_message(row) for row in self._connection.execute(expired)]

    def of_enrolments(
        self, ids: Iterable[EnrolmentId], besides: Iterable[MessageId] = ()
    ) -> dict[EnrolmentId, list[Message]]:
        """The messages of runs, oldest first, but for those that are known already."""
        dialect = self._connection.dialect.name
        mine = {
            "ids": listing(dialect, M.enrolment_id, ids),
            "besides": listing(dialect, M.id, besides),
        }
        found: dict[EnrolmentId, list[Message]] = defaultdict(list)
        for row in self._connection.execute(statements.of_enrolments(dialect), mine):
            found[row.enrolment_id].append(_message(row))
        return dict(found)

    def load(self, ids: Iterable[MessageId]) -> dict[MessageId, Message]:
        """Messages by id."""
        rows = self._connection.execute(
            statements.messages().where(among(self._connection, M.id, ids))
        )
        return {row.id: _message(row) for row in rows}

    def latest_to(self, ids: Iterable[ContactId], channel: Channel) -> Message | None:
        """The message on a channel that any of these contacts was sent last."""
        mine = among(self._connection, M.contact_id, ids)
        sent = statements.messages().where(
            mine,
            M.channel == channel,
            M.sending_at.is_not(None),
            M.state.in_(sorted(COUNTED_STATES)),
        )
        row = self._connection.execute(
            sent.order_by(M.sending_at.desc(), M.id.desc()).limit(1)
        ).first()
        return None if row is None else _message(row)

    def marketing_since(
        self, ids: Iterable[ContactId], since: datetime
    ) -> dict[tuple[ContactId, Channel], list[datetime]]:
        """When each contact's marketing messages began to be sent after `since`, by channel."""
        dialect = self._connection.dialect.name
        values = {"ids": listing(dialect, M.contact_id, ids), "since": since}
        found: dict[tuple[ContactId, Channel], list[datetime]] = defaultdict(list)
        for row in self._connection.execute(statements.marketing_since(dialect), values):
            found[ContactId(row.contact_id), Channel(row.channel)].append(row.sending_at)
        return dict(found)

    def due_marketing(
        self, ids: Iterable[ContactId], now: datetime, besides: Iterable[MessageId] = ()
    ) -> list[Message]:
        """The contacts' marketing messages that wait and are due, but for those known already."""
        dialect = self._connection.dialect.name
        values = {
            "ids": listing(dialect, M.contact_id, ids),
            "besides": listing(dialect, M.id, besides),
            "at": now,
        }
        return [
            _message(row)
            for row in self._connection.execute(statements.due_marketing(dialect), values)
        ]

    def find(self, wanted: MessageFilter) -> list[Message]:
        """Messages for listings."""
        chosen = statements.messages().limit(wanted.limit)
        if wanted.contact_id is not None:
            chosen = chosen.where(M.contact_id == wanted.contact_id)
        if wanted.flow is not None:
            chosen = chosen.where(M.flow == wanted.flow)
        if wanted.states:
            chosen = chosen.where(M.state.in_(sorted(wanted.states)))
        if wanted.since is not None:
            chosen = chosen.where(M.created_at >= wanted.since)
        if wanted.before is not None:
            last = select(M.created_at).where(M.id == wanted.before).scalar_subquery()
            tied = and_(M.created_at == last, M.id < wanted.before)
            chosen = chosen.where(or_(M.created_at < last, tied))
        if wanted.newest_first:
            chosen = chosen.order_by(M.created_at.desc(), M.id.desc())
        else:
            chosen = chosen.order_by(M.created_at, M.id)
        return [_message(row) for row in self._connection.execute(chosen)]

    def _lock(self, ids: Iterable[MessageId]) -> None:
        lock_rows(self._connection, message, ids)

    def _hold_runs(self, ids: Iterable[MessageId]) -> None:
        """Keep the runs from ending before this transaction does."""
        if on_postgresql(self._connection):
            dialect = self._connection.dialect.name
            mine = {"ids": listing(dialect, M.id, ids)}
            self._connection.execute(statements.holding_runs(dialect), mine)


def _message(row: AnyRow) -> Message:
    values = list(row)
    for place, known in _ENUMS:
        values[place] = known[values[place]]
    return Message(*values)


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
