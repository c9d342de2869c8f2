"""Members of segments, and the versions of the privacy policy."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.storage.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_HOT = {"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02}


def upgrade() -> None:
    op.create_table(
        "privacy_version",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("cursor", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("version", "shard", name="pk_privacy_version"),
    )
    op.create_table(
        "segment_member",
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("flow", "segment", "contact_id", "shard", name="pk_segment_member"),
    )
    op.create_table(
        "segment_watch",
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("condition", sa.String(length=64), nullable=False),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("flow", "segment", "shard", name="pk_segment_watch"),
        postgresql_with=_HOT,
    )


def downgrade() -> None:
    for table in ("segment_watch", "segment_member", "privacy_version"):
        op.drop_table(table)
