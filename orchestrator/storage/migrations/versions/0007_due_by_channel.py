"""Due messages are found by channel: a queue of mails does not hide a text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_DUE = sa.text("state IN ('queued', 'held')")


def upgrade() -> None:
    _index("channel", "priority", "not_before")


def downgrade() -> None:
    _index("priority", "not_before")


def _index(*columns: str) -> None:
    op.drop_index("ix_message_due", table_name="message")
    op.create_index(
        "ix_message_due", "message", list(columns), sqlite_where=_DUE, postgresql_where=_DUE
    )
