"""Contacts, what identifies them, and what they did."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Index, SmallInteger, String, Text, text
from sqlmodel import Field, SQLModel

from orchestrator.storage.tables.base import (
    HOT,
    id_column,
    moment_column,
    shard_column,
    table_of,
)
from orchestrator.storage.types import ExactDecimal, Json, UtcDateTime

WAITING_EVENT = text("processed_at IS NULL AND parked_at IS NULL")
PARKED_EVENT = text("parked_at IS NOT NULL")


class ContactRow(SQLModel, table=True):
    """A person, with or without an address yet; `orders_*` are kept by ingest."""

    __tablename__ = "contact"
    __table_args__ = (
        Index("ix_contact_created_at", "created_at"),
        Index(
            "ix_contact_merged_into",
            "merged_into",
            sqlite_where=text("merged_into IS NOT NULL"),
            postgresql_where=text("merged_into IS NOT NULL"),
        ),
        Index(
            "ix_contact_phone",
            "phone",
            sqlite_where=text("phone IS NOT NULL"),
            postgresql_where=text("phone IS NOT NULL"),
        ),
        HOT,
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    email: str | None = Field(default=None, sa_column=Column(Text))
    phone: str | None = Field(default=None, sa_column=Column(Text))
    first_name: str | None = Field(default=None, sa_column=Column(Text))
    last_name: str | None = Field(default=None, sa_column=Column(Text))
    locale: str | None = Field(default=None, sa_column=Column(Text))
    timezone: str | None = Field(default=None, sa_column=Column(Text))
    country: str | None = Field(default=None, sa_column=Column(Text))
    tracking: bool = False
    tags: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    attributes: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    source: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    orders_count: int = 0
    orders_total: Decimal = Field(
        default=Decimal(0), sa_column=Column(ExactDecimal, nullable=False)
    )
    orders_first_at: datetime | None = moment_column()
    orders_last_at: datetime | None = moment_column()
    orders_skus: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    orders_categories: list[str] = Field(
        default_factory=list, sa_column=Column(Json, nullable=False)
    )
    created_at: datetime = moment_column(nullable=False)
    updated_at: datetime = moment_column(nullable=False)
    last_seen_at: datetime | None = moment_column()
    erased_at: datetime | None = moment_column()
    merged_into: str | None = id_column(nullable=True)


class ContactIdentityRow(SQLModel, table=True):
    """One way to recognise a contact: `email`, `phone` or `id` (the shop's own), normalised.

    Sharded by its own key, so that a look-up needs no contact.
    """

    __tablename__ = "contact_identity"
    __table_args__ = (Index("ix_contact_identity_contact", "contact_id"),)

    kind: str = Field(sa_column=Column(String(16), primary_key=True))
    value: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    contact_id: str = id_column()
    created_at: datetime = moment_column(nullable=False)


class ContactMergeRow(SQLModel, table=True):
    """Two contacts turned out to be one; the older one stays."""

    __tablename__ = "contact_merge"

    merged_id: str = id_column(primary=True)
    shard: int = shard_column()
    kept_id: str = id_column()
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    merged_at: datetime = moment_column(nullable=False)


class EventKeyRow(SQLModel, table=True):
    """That an event of this source has been stored: the guard against repetitions."""

    __tablename__ = "event_key"

    source: str = Field(sa_column=Column(String(64), primary_key=True))
    source_id: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    event_id: str = id_column()
    received_at: datetime = moment_column(nullable=False)


class EventRow(SQLModel, table=True):
    """An authentic event as it was received; `processed_at` is null until journeys heard it."""

    __tablename__ = "event"
    __table_args__ = (
        Index(
            "ix_event_unprocessed",
            "id",
            sqlite_where=WAITING_EVENT,
            postgresql_where=WAITING_EVENT,
        ),
        Index(
            "ix_event_contact_unprocessed",
            "contact_id",
            "id",
            sqlite_where=WAITING_EVENT,
            postgresql_where=WAITING_EVENT,
        ),
        Index(
            "ix_event_contact_parked",
            "contact_id",
            "id",
            sqlite_where=PARKED_EVENT,
            postgresql_where=PARKED_EVENT,
        ),
        Index("ix_event_contact_type", "contact_id", "type", "occurred_at"),
        HOT,
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    source: str = Field(sa_column=Column(String(64), nullable=False))
    source_id: str = Field(sa_column=Column(Text, nullable=False))
    type: str = Field(sa_column=Column(String(128), nullable=False))
    contact_id: str | None = id_column(nullable=True)
    occurred_at: datetime = moment_column(nullable=False)
    received_at: datetime = moment_column(nullable=False)
    payload: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    processed_at: datetime | None = moment_column()
    attempts: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    retry_at: datetime | None = moment_column()
    parked_at: datetime | None = moment_column()


class CheckoutRow(SQLModel, table=True):
    """The newest state of a checkout; `started_at` once `checkout.started` was emitted."""

    __tablename__ = "checkout"
    __table_args__ = (Index("ix_checkout_contact", "contact_id"), HOT)

    id: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    contact_id: str | None = id_column(nullable=True)
    state: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    state_at: datetime = moment_column(nullable=False)
    started_at: datetime | None = moment_column()
    completed_at: datetime | None = moment_column()


class ShopOrderRow(SQLModel, table=True):
    """The newest state of an order."""

    __tablename__ = "shop_order"
    __table_args__ = (
        Index("ix_shop_order_checkout", "checkout_id"),
        Index("ix_shop_order_contact", "contact_id", "placed_at"),
        HOT,
    )

    id: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    contact_id: str | None = id_column(nullable=True)
    checkout_id: str | None = Field(default=None, sa_column=Column(Text))
    status: str = Field(sa_column=Column(String(32), nullable=False))
    total: Decimal | None = Field(default=None, sa_column=Column(ExactDecimal))
    currency: str | None = Field(default=None, sa_column=Column(String(3)))
    state: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    state_at: datetime = moment_column(nullable=False)
    placed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))
    counted: bool = False


class UsedTokenRow(SQLModel, table=True):
    """A single-use token that has been used (login links, confirmations)."""

    __tablename__ = "used_token"

    token_hash: str = Field(sa_column=Column(String(64), primary_key=True))
    shard: int = shard_column()
    used_at: datetime = moment_column(nullable=False)
    expires_at: datetime | None = moment_column()


contact = table_of(ContactRow)
contact_identity = table_of(ContactIdentityRow)
contact_merge = table_of(ContactMergeRow)
event_key = table_of(EventKeyRow)
event = table_of(EventRow)
checkout = table_of(CheckoutRow)
shop_order = table_of(ShopOrderRow)
used_token = table_of(UsedTokenRow)
