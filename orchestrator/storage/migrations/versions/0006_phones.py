"""People by their telephone number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WITH_PHONE = sa.text("phone IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_contact_phone",
        "contact",
        ["phone"],
        sqlite_where=_WITH_PHONE,
        postgresql_where=_WITH_PHONE,
    )


def downgrade() -> None:
    op.drop_index("ix_contact_phone", table_name="contact")
