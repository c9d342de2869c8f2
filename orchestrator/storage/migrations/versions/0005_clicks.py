"""Links that were followed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.storage.types import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_UNSETTLED = sa.text("machine IS NULL")


def upgrade() -> None:
    op.create_table(
        "click",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("shard", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("message_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("clicked_at", UtcDateTime(), nullable=False),
        sa.Column("scanner", sa.Boolean(), nullable=False),
        sa.Column("machine", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", "shard", name="pk_click"),
    )
    op.create_index("ix_click_message", "click", ["message_id"])
    op.create_index(
        "ix_click_unsettled",
        "click",
        ["clicked_at"],
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )


def downgrade() -> None:
    op.drop_table("click")
