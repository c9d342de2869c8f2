"""The consent ledger and suppressions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.storage.types import Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_HOT = {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02}


def upgrade() -> None:
    _consent_checkpoint()
    _consent_checkpoint_head()
    _consent_record()
    _consent_state()
    _consent_subject()
    _consent_subject_indexes()
    _suppression()


def downgrade() -> None:
    for table in (
        "suppression",
        "consent_subject",
        "consent_state",
        "consent_record",
        "consent_checkpoint_head",
        "consent_checkpoint",
    ):
        op.drop_table(table)


def _consent_checkpoint() -> None:
    op.create_table(
        "consent_checkpoint",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_consent_checkpoint"),
    )


def _consent_checkpoint_head() -> None:
    op.create_table(
        "consent_checkpoint_head",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", "subject_id", name="pk_consent_checkpoint_head"),
    )


def _consent_record() -> None:
    op.create_table(
        "consent_record",
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("legal_basis", sa.String(length=32), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("details", Json, nullable=False),
        sa.Column("personal", Json, nullable=True),
        sa.Column("salt", sa.String(length=64), nullable=True),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("redacted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject_id", "seq", "shard", name="pk_consent_record"),
    )


def _consent_state() -> None:
    op.create_table(
        "consent_state",
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("legal_basis", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("contact_id", "channel", "topic", "shard", name="pk_consent_state"),
        postgresql_with=_HOT,
    )


def _consent_subject() -> None:
    op.create_table(
        "consent_subject",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("checkpointed", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_consent_subject"),
        postgresql_with=_HOT,
    )


def _consent_subject_indexes() -> None:
    op.create_index("ix_consent_subject_contact", "consent_subject", ["contact_id"])
    op.create_index(
        "ix_consent_subject_grown",
        "consent_subject",
        ["id"],
        sqlite_where=sa.text("length > checkpointed"),
        postgresql_where=sa.text("length > checkpointed"),
    )


def _suppression() -> None:
    op.create_table(
        "suppression",
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "address_hash", "shard", name="pk_suppression"),
    )
