"""Contacts, their events, checkouts and orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.storage.types import ExactDecimal, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_HOT = {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02}


def upgrade() -> None:
    _checkout()
    _checkout_indexes()
    _contact()
    _contact_indexes()
    _contact_identity()
    _contact_identity_indexes()
    _contact_merge()
    _event()
    _event_indexes()
    _event_key()
    _shop_order()
    _shop_order_indexes()
    _used_token()


def downgrade() -> None:
    for table in (
        "used_token",
        "shop_order",
        "event_key",
        "event",
        "contact_merge",
        "contact_identity",
        "contact",
        "checkout",
    ):
        op.drop_table(table)


def _checkout() -> None:
    op.create_table(
        "checkout",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("state", Json, nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_checkout"),
        postgresql_with=_HOT,
    )


def _checkout_indexes() -> None:
    op.create_index("ix_checkout_contact", "checkout", ["contact_id"])


def _contact() -> None:
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("tracking", sa.Boolean(), nullable=False),
        sa.Column("tags", Json, nullable=False),
        sa.Column("attributes", Json, nullable=False),
        sa.Column("source", Json, nullable=False),
        sa.Column("orders_count", sa.Integer(), nullable=False),
        sa.Column("orders_total", ExactDecimal(), nullable=False),
        sa.Column("orders_first_at", UtcDateTime(), nullable=True),
        sa.Column("orders_last_at", UtcDateTime(), nullable=True),
        sa.Column("orders_skus", Json, nullable=False),
        sa.Column("orders_categories", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=True),
        sa.Column("erased_at", UtcDateTime(), nullable=True),
        sa.Column("merged_into", sa.Uuid(as_uuid=False), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_contact"),
        postgresql_with=_HOT,
    )


def _contact_indexes() -> None:
    op.create_index("ix_contact_created_at", "contact", ["created_at"])
    op.create_index(
        "ix_contact_merged_into",
        "contact",
        ["merged_into"],
        sqlite_where=sa.text("merged_into IS NOT NULL"),
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )


def _contact_identity() -> None:
    op.create_table(
        "contact_identity",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", "shard", name="pk_contact_identity"),
    )


def _contact_identity_indexes() -> None:
    op.create_index("ix_contact_identity_contact", "contact_identity", ["contact_id"])


def _contact_merge() -> None:
    op.create_table(
        "contact_merge",
        sa.Column("merged_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("kept_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("merged_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("merged_id", "shard", name="pk_contact_merge"),
    )


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("processed_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.Column("parked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_event"),
        postgresql_with=_HOT,
    )


def _event_indexes() -> None:
    op.create_index(
        "ix_event_contact_parked",
        "event",
        ["contact_id", "id"],
        sqlite_where=sa.text("parked_at IS NOT NULL"),
        postgresql_where=sa.text("parked_at IS NOT NULL"),
    )
    op.create_index("ix_event_contact_type", "event", ["contact_id", "type", "occurred_at"])
    op.create_index(
        "ix_event_contact_unprocessed",
        "event",
        ["contact_id", "id"],
        sqlite_where=sa.text("processed_at IS NULL AND parked_at IS NULL"),
        postgresql_where=sa.text("processed_at IS NULL AND parked_at IS NULL"),
    )
    op.create_index(
        "ix_event_unprocessed",
        "event",
        ["id"],
        sqlite_where=sa.text("processed_at IS NULL AND parked_at IS NULL"),
        postgresql_where=sa.text("processed_at IS NULL AND parked_at IS NULL"),
    )


def _event_key() -> None:
    op.create_table(
        "event_key",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "source_id", "shard", name="pk_event_key"),
    )


def _shop_order() -> None:
    op.create_table(
        "shop_order",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("checkout_id", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("total", ExactDecimal(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("state", Json, nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_shop_order"),
        postgresql_with=_HOT,
    )


def _shop_order_indexes() -> None:
    op.create_index("ix_shop_order_checkout", "shop_order", ["checkout_id"])
    op.create_index("ix_shop_order_contact", "shop_order", ["contact_id", "placed_at"])


def _used_token() -> None:
    op.create_table(
        "used_token",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", "shard", name="pk_used_token"),
    )
