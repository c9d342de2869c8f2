"""Flow versions, runs and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.storage.types import ExactDecimal, Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HOT = {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02}


def upgrade() -> None:
    _attempt()
    _coupon()
    _coupon_indexes()
    _enrolment()
    _enrolment_indexes()
    _flow_version()
    _live_version()
    _message()
    _message_indexes()
    _schedule_firing()
    _watermark()


def downgrade() -> None:
    for table in (
        "watermark",
        "schedule_firing",
        "message",
        "live_version",
        "flow_version",
        "enrolment",
        "coupon",
        "attempt",
    ):
        op.drop_table(table)


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("message_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "number", "shard", name="pk_attempt"),
    )


def _coupon() -> None:
    op.create_table(
        "coupon",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("percent", ExactDecimal(), nullable=True),
        sa.Column("amount", ExactDecimal(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("enrolment_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("assigned_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_coupon"),
    )


def _coupon_indexes() -> None:
    op.create_index("ix_coupon_contact", "coupon", ["contact_id"])
    op.create_index(
        "uq_coupon_code",
        "coupon",
        ["pool", "code", "shard"],
        unique=True,
        sqlite_where=sa.text("pool <> ''"),
        postgresql_where=sa.text("pool <> ''"),
    )
    op.create_index(
        "uq_coupon_holder",
        "coupon",
        ["enrolment_id", "step", "shard"],
        unique=True,
        sqlite_where=sa.text("enrolment_id IS NOT NULL"),
        postgresql_where=sa.text("enrolment_id IS NOT NULL"),
    )


def _enrolment() -> None:
    op.create_table(
        "enrolment",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("step_started_at", UtcDateTime(), nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("outputs", Json, nullable=False),
        sa.Column("entered_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("parked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_enrolment"),
        sa.UniqueConstraint(
            "contact_id",
            "flow",
            "key",
            "entry",
            "shard",
            name="uq_enrolment_contact_id_flow_key_entry_shard",
        ),
        postgresql_with=_HOT,
    )


def _enrolment_indexes() -> None:
    op.create_index(
        "ix_enrolment_due",
        "enrolment",
        ["due_at"],
        sqlite_where=sa.text("ended_at IS NULL AND parked_at IS NULL AND due_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NULL AND parked_at IS NULL AND due_at IS NOT NULL"),
    )
    op.create_index(
        "uq_enrolment_live",
        "enrolment",
        ["flow", "contact_id", "key", "shard"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _flow_version() -> None:
    op.create_table(
        "flow_version",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("templates", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_flow_version"),
    )


def _live_version() -> None:
    op.create_table(
        "live_version",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_live_version"),
    )


def _message() -> None:
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("enrolment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("variant", sa.Text(), nullable=True),
        sa.Column("message_class", sa.String(length=16), nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sending_at", UtcDateTime(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("decision", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_message"),
        sa.UniqueConstraint(
            "enrolment_id",
            "step",
            "channel",
            "shard",
            name="uq_message_enrolment_id_step_channel_shard",
        ),
        postgresql_with=_HOT,
    )


def _message_indexes() -> None:
    op.create_index("ix_message_contact", "message", ["contact_id", "channel", "sending_at"])
    op.create_index("ix_message_created_at", "message", ["created_at"])
    op.create_index(
        "ix_message_due",
        "message",
        ["priority", "not_before"],
        sqlite_where=sa.text("state IN ('queued', 'held')"),
        postgresql_where=sa.text("state IN ('queued', 'held')"),
    )
    op.create_index(
        "ix_message_sending",
        "message",
        ["id"],
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )


def _schedule_firing() -> None:
    op.create_table(
        "schedule_firing",
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("scheduled_at", UtcDateTime(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("fired_at", UtcDateTime(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("flow", "scheduled_at", "shard", name="pk_schedule_firing"),
    )


def _watermark() -> None:
    op.create_table(
        "watermark",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "shard", name="pk_watermark"),
    )
