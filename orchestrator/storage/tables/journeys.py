"""Enrolments, messages and the versions of flows they follow."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Index, Integer, SmallInteger, String, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from orchestrator.storage.tables.base import HOT, id_column, moment_column, shard_column, table_of
from orchestrator.storage.types import ExactDecimal, Json, UtcDateTime

LIVE_ENROLMENT = text("ended_at IS NULL")
DUE_ENROLMENT = text("ended_at IS NULL AND parked_at IS NULL AND due_at IS NOT NULL")
DUE_MESSAGE = text("state IN ('queued', 'held')")
SENDING_MESSAGE = text("state = 'sending'")


class EnrolmentRow(SQLModel, table=True):
    """One contact's way through one flow ("run" on marketers' pages).

    `due_at` is when it next needs attention (null: only an event can wake it); `lease_until`
    and `lease_token` say who is working on it. No index holds the two: on PostgreSQL a claim
    then touches the row's page alone (a heap-only update), not every index.
    """

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("contact_id", "flow", "key", "entry", "shard"),
        Index(
            "uq_enrolment_live",
            "flow",
            "contact_id",
            "key",
            "shard",
            unique=True,
            sqlite_where=LIVE_ENROLMENT,
            postgresql_where=LIVE_ENROLMENT,
        ),
        Index(
            "ix_enrolment_due",
            "due_at",
            sqlite_where=DUE_ENROLMENT,
            postgresql_where=DUE_ENROLMENT,
        ),
        HOT,
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    flow: str = Field(sa_column=Column(Text, nullable=False))
    version: str = Field(sa_column=Column(String(64), nullable=False))
    contact_id: str = id_column()
    key: str = Field(default="", sa_column=Column(Text, nullable=False))
    entry: int = Field(default=1, sa_column=Column(Integer, nullable=False))
    event_id: str | None = id_column(nullable=True)
    step: str | None = Field(default=None, sa_column=Column(Text))
    step_started_at: datetime | None = moment_column()
    due_at: datetime | None = moment_column()
    lease_until: datetime | None = moment_column()
    lease_token: str | None = Field(default=None, sa_column=Column(String(36)))
    outputs: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    entered_at: datetime = moment_column(nullable=False)
    ended_at: datetime | None = moment_column()
    end_reason: str | None = Field(default=None, sa_column=Column(Text))
    attempts: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    parked_at: datetime | None = moment_column()


class MessageRow(SQLModel, table=True):
    """One message of one step on one channel, from `queued` to a final state with a reason."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("enrolment_id", "step", "channel", "shard"),
        Index(
            "ix_message_due",
            "channel",
            "priority",
            "not_before",
            sqlite_where=DUE_MESSAGE,
            postgresql_where=DUE_MESSAGE,
        ),
        Index(
            "ix_message_sending",
            "id",
            sqlite_where=SENDING_MESSAGE,
            postgresql_where=SENDING_MESSAGE,
        ),
        Index("ix_message_contact", "contact_id", "channel", "sending_at"),
        Index("ix_message_created_at", "created_at"),
        HOT,
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    enrolment_id: str = id_column()
    contact_id: str = id_column()
    flow: str = Field(sa_column=Column(Text, nullable=False))
    version: str = Field(sa_column=Column(String(64), nullable=False))
    step: str = Field(sa_column=Column(Text, nullable=False))
    channel: str = Field(sa_column=Column(String(16), nullable=False))
    template: str = Field(sa_column=Column(Text, nullable=False))
    locale: str | None = Field(default=None, sa_column=Column(Text))
    variant: str | None = Field(default=None, sa_column=Column(Text))
    message_class: str = Field(sa_column=Column(String(16), nullable=False))
    topic: str | None = Field(default=None, sa_column=Column(Text))
    priority: int = Field(default=50, sa_column=Column(SmallInteger, nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    reason: str | None = Field(default=None, sa_column=Column(String(32)))
    not_before: datetime = moment_column(nullable=False)
    expires_at: datetime | None = moment_column()
    lease_until: datetime | None = moment_column()
    lease_token: str | None = Field(default=None, sa_column=Column(String(36)))
    created_at: datetime = moment_column(nullable=False)
    sending_at: datetime | None = moment_column()
    sent_at: datetime | None = moment_column()
    updated_at: datetime = moment_column(nullable=False)
    attempts: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    provider: str | None = Field(default=None, sa_column=Column(String(64)))
    provider_id: str | None = Field(default=None, sa_column=Column(Text))
    decision: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))


class AttemptRow(SQLModel, table=True):
    """One try to hand a message to a provider, and what came of it."""

    __tablename__ = "attempt"

    message_id: str = id_column(primary=True)
    number: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    shard: int = shard_column()
    provider: str = Field(sa_column=Column(String(64), nullable=False))
    started_at: datetime = moment_column(nullable=False)
    finished_at: datetime | None = moment_column()
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    code: str | None = Field(default=None, sa_column=Column(String(64)))
    detail: str | None = Field(default=None, sa_column=Column(Text))


class FlowVersionRow(SQLModel, table=True):
    """A published flows file with its templates, named by its content's SHA-256."""

    __tablename__ = "flow_version"

    hash: str = Field(sa_column=Column(String(64), primary_key=True))
    name: str = Field(sa_column=Column(Text, nullable=False))
    source: str = Field(sa_column=Column(Text, nullable=False))
    templates: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    created_at: datetime = moment_column(nullable=False)


class LiveVersionRow(SQLModel, table=True):
    """The publishing history; the highest revision is live. Written by compare-and-set."""

    __tablename__ = "live_version"

    revision: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    hash: str = Field(sa_column=Column(String(64), nullable=False))
    published_at: datetime = moment_column(nullable=False)
    published_by: str = Field(sa_column=Column(Text, nullable=False))


class ScheduleFiringRow(SQLModel, table=True):
    """That a flow's schedule fired at a moment: whoever inserts it first does the work."""

    __tablename__ = "schedule_firing"

    flow: str = Field(sa_column=Column(Text, primary_key=True))
    scheduled_at: datetime = Field(sa_column=Column(UtcDateTime, primary_key=True))
    shard: int = shard_column()
    fired_at: datetime = moment_column(nullable=False)
    cursor: str | None = Field(default=None, sa_column=Column(Text))
    finished_at: datetime | None = moment_column()


class WatermarkRow(SQLModel, table=True):
    """How far a periodic task has come."""

    __tablename__ = "watermark"

    name: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    value: str = Field(sa_column=Column(Text, nullable=False))
    updated_at: datetime = moment_column(nullable=False)


class CouponRow(SQLModel, table=True):
    """A coupon code and who got it: a pool's code goes to one person, never twice.

    The pool "" holds codes that everybody may get.
    """

    __tablename__ = "coupon"
    __table_args__ = (
        Index(
            "uq_coupon_code",
            "pool",
            "code",
            "shard",
            unique=True,
            sqlite_where=text("pool <> ''"),
            postgresql_where=text("pool <> ''"),
        ),
        Index("ix_coupon_contact", "contact_id"),
        Index(
            "uq_coupon_holder",
            "enrolment_id",
            "step",
            "shard",
            unique=True,
            sqlite_where=text("enrolment_id IS NOT NULL"),
            postgresql_where=text("enrolment_id IS NOT NULL"),
        ),
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    pool: str = Field(default="", sa_column=Column(Text, nullable=False))
    code: str = Field(sa_column=Column(Text, nullable=False))
    percent: Decimal | None = Field(default=None, sa_column=Column(ExactDecimal))
    amount: Decimal | None = Field(default=None, sa_column=Column(ExactDecimal))
    expires_at: datetime | None = moment_column()
    contact_id: str | None = id_column(nullable=True)
    enrolment_id: str | None = id_column(nullable=True)
    step: str | None = Field(default=None, sa_column=Column(Text))
    assigned_at: datetime | None = moment_column()


enrolment = table_of(EnrolmentRow)
message = table_of(MessageRow)
attempt = table_of(AttemptRow)
flow_version = table_of(FlowVersionRow)
live_version = table_of(LiveVersionRow)
schedule_firing = table_of(ScheduleFiringRow)
watermark = table_of(WatermarkRow)
coupon = table_of(CouponRow)
