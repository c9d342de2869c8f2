"""Who was found where: members of segments, and the versions of the privacy policy."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, String, Text
from sqlmodel import Field, SQLModel

from orchestrator.storage.tables.base import HOT, id_column, moment_column, shard_column, table_of


class SegmentWatchRow(SQLModel, table=True):
    """How far the look at one flow's segment has come; `condition` is its fingerprint.

    `cursor` is the last contact looked at (null: the look begins). A baseline only records who
    is inside. Written by compare-and-set.
    """

    __tablename__ = "segment_watch"
    __table_args__ = (HOT,)

    flow: str = Field(sa_column=Column(Text, primary_key=True))
    segment: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    condition: str = Field(sa_column=Column(String(64), nullable=False))
    baseline: bool = False
    revision: int = 0
    cursor: str | None = id_column(nullable=True)
    started_at: datetime = moment_column(nullable=False)
    finished_at: datetime | None = moment_column()


class SegmentMemberRow(SQLModel, table=True):
    """That a person was inside a flow's segment when it was last looked at."""

    __tablename__ = "segment_member"

    flow: str = Field(sa_column=Column(Text, primary_key=True))
    segment: str = Field(sa_column=Column(Text, primary_key=True))
    contact_id: str = id_column(primary=True)
    shard: int = shard_column()
    since: datetime = moment_column(nullable=False)


class PrivacyVersionRow(SQLModel, table=True):
    """A version of the privacy policy that has been live, and who has been told of it.

    People who existed at `published_at` are told, in the order of their ids, up to `cursor`.
    """

    __tablename__ = "privacy_version"

    version: str = Field(sa_column=Column(Text, primary_key=True))
    shard: int = shard_column()
    published_at: datetime = moment_column(nullable=False)
    cursor: str | None = id_column(nullable=True)
    finished_at: datetime | None = moment_column()


segment_watch = table_of(SegmentWatchRow)
segment_member = table_of(SegmentMemberRow)
privacy_version = table_of(PrivacyVersionRow)
