"""The consent ledger, what follows from it, and suppressions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Integer, String, Text, text
from sqlmodel import Field, SQLModel

from orchestrator.storage.tables.base import HOT, id_column, moment_column, shard_column, table_of
from orchestrator.storage.types import Json, UtcDateTime

GROWN = text("length > checkpointed")


class ConsentSubjectRow(SQLModel, table=True):
    """Whose chain it is. A subject is a contact as first seen and never changes.

    A merge only points `contact_id` at the surviving contact. The row is locked while its
    chain grows. `checkpointed` is the length that the newest checkpoint vouches for.
    """

    __tablename__ = "consent_subject"
    __table_args__ = (
        Index("ix_consent_subject_contact", "contact_id"),
        Index(
            "ix_consent_subject_grown",
            "id",
            sqlite_where=GROWN,
            postgresql_where=GROWN,
        ),
        HOT,
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    contact_id: str = id_column()
    length: int = 0
    checkpointed: int = 0
    head: str = Field(default="", sa_column=Column(String(64), nullable=False))


class ConsentRecordRow(SQLModel, table=True):
    """One entry of a chain; append-only. `personal` and `salt` are null after erasure."""

    __tablename__ = "consent_record"

    subject_id: str = id_column(primary=True)
    seq: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    shard: int = shard_column()
    channel: str = Field(sa_column=Column(String(16), nullable=False))
    topic: str = Field(sa_column=Column(Text, nullable=False))
    action: str = Field(sa_column=Column(String(16), nullable=False))
    legal_basis: str = Field(sa_column=Column(String(32), nullable=False))
    method: str = Field(sa_column=Column(String(64), nullable=False))
    occurred_at: datetime = moment_column(nullable=False)
    recorded_at: datetime = moment_column(nullable=False)
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    personal: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    salt: str | None = Field(default=None, sa_column=Column(String(64)))
    commitment: str = Field(sa_column=Column(String(64), nullable=False))
    previous: str = Field(sa_column=Column(String(64), nullable=False))
    hash: str = Field(sa_column=Column(String(64), nullable=False))
    redacted_at: datetime | None = moment_column()


class ConsentStateRow(SQLModel, table=True):
    """The fold of a contact's records for one channel and topic."""

    __tablename__ = "consent_state"
    __table_args__ = (HOT,)

    contact_id: str = id_column(primary=True)
    channel: str = Field(sa_column=Column(String(16), primary_key=True))
    topic: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    status: str = Field(sa_column=Column(String(16), nullable=False))
    legal_basis: str = Field(sa_column=Column(String(32), nullable=False))
    subject_id: str = id_column()
    seq: int = Field(sa_column=Column(Integer, nullable=False))
    changed_at: datetime = moment_column(nullable=False)
    expires_at: datetime | None = moment_column()


class ConsentCheckpointRow(SQLModel, table=True):
    """A signed statement of which chain heads existed, chained to the one before."""

    __tablename__ = "consent_checkpoint"

    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    made_at: datetime = moment_column(nullable=False)
    heads: int = 0
    root: str = Field(sa_column=Column(String(64), nullable=False))
    previous: str = Field(sa_column=Column(String(64), nullable=False))
    key_id: str = Field(sa_column=Column(String(16), nullable=False))
    signature: str = Field(sa_column=Column(String(128), nullable=False))


class ConsentCheckpointHeadRow(SQLModel, table=True):
    """The head of one chain that had grown since the checkpoint before."""

    __tablename__ = "consent_checkpoint_head"

    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    subject_id: str = id_column(primary=True)
    seq: int = Field(sa_column=Column(Integer, nullable=False))
    head: str = Field(sa_column=Column(String(64), nullable=False))


class SuppressionRow(SQLModel, table=True):
    """An address that must not be written to, as a keyed hash: it survives erasure.

    `hard` stops every class (bounces, complaints); otherwise only marketing and service.
    """

    __tablename__ = "suppression"

    channel: str = Field(sa_column=Column(String(16), primary_key=True))
    address_hash: str = Field(sa_column=Column(String(64), primary_key=True))
    shard: int = shard_column()
    reason: str = Field(sa_column=Column(String(32), nullable=False))
    hard: bool = False
    source: str = Field(sa_column=Column(String(64), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    note: str | None = Field(default=None, sa_column=Column(Text))


consent_subject = table_of(ConsentSubjectRow)
consent_record = table_of(ConsentRecordRow)
consent_state = table_of(ConsentStateRow)
consent_checkpoint = table_of(ConsentCheckpointRow)
consent_checkpoint_head = table_of(ConsentCheckpointHeadRow)
suppression = table_of(SuppressionRow)
