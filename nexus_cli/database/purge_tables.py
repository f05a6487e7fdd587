"""The tables of purges, for migrations. The statements are in `purges.py`."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from nexus_cli.database.table_metadata import metadata, now

purge = Table(
    "purge",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID"),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("selectors", ARRAY(Text), nullable=False, comment="paths and globs, as they were typed"),
    Column("state", Text, nullable=False, comment="waiting | running | done | failed | removed"),
    now("created"),
    Column("begun", DateTime(timezone=True), comment="the last try"),
    Column("ended", DateTime(timezone=True)),
    Column("expires", DateTime(timezone=True), comment="it is removed then"),
    Column("token", Text, nullable=False, server_default="", comment="of the try that has it"),
    Column("reason", Text, nullable=False, server_default="", comment="why the last try failed"),
    PrimaryKeyConstraint("site", "id"),
    comment="removals of forgotten series with their samples",
)

purge_series = Table(
    "purge_series",
    metadata,
    Column("site", Text, nullable=False),
    Column("purge", Text, nullable=False),
    Column("series_id", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("samples", BigInteger, nullable=False, server_default="0", comment="removed so far"),
    Column("state", Text, nullable=False, server_default="waiting", comment="waiting | done | left"),
    Column("reason", Text, nullable=False, server_default="", comment="why it was left"),
    ForeignKeyConstraint(["site", "purge"], [purge.c.site, purge.c.id], ondelete="CASCADE"),
    PrimaryKeyConstraint("site", "purge", "series_id"),
)

__all__ = ["purge", "purge_series"]
