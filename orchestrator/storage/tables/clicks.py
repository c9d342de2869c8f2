"""Links that were followed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Index, Text, text
from sqlmodel import Field, SQLModel

from orchestrator.storage.tables.base import id_column, moment_column, shard_column, table_of

UNSETTLED_CLICK = text("machine IS NULL")


class ClickRow(SQLModel, table=True):
    """That a link of a message was followed; `machine` is null until it is told by whom.

    `scanner`: the request itself said that it is no person's.
    """

    __tablename__ = "click"
    __table_args__ = (
        Index(
            "ix_click_unsettled",
            "clicked_at",
            sqlite_where=UNSETTLED_CLICK,
            postgresql_where=UNSETTLED_CLICK,
        ),
        Index("ix_click_message", "message_id"),
    )

    id: str = id_column(primary=True)
    shard: int = shard_column()
    message_id: str = id_column()
    contact_id: str = id_column()
    url: str = Field(sa_column=Column(Text, nullable=False))
    clicked_at: datetime = moment_column(nullable=False)
    scanner: bool = False
    machine: bool | None = None


click = table_of(ClickRow)
