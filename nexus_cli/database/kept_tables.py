"""The table of the series that are never dropped."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, PrimaryKeyConstraint, Table, Text

from nexus_cli.database.table_metadata import metadata, now

kept_series = Table(
    "kept_series",
    metadata,
    Column("site", Text, nullable=False),
    Column(
        "series_id",
        Integer,
        ForeignKey("nexus.series.id"),
        nullable=False,
        comment="the key refuses that a protected series is deleted",
    ),
    now("since"),
    Column("deployment", BigInteger, nullable=False, comment="number of the one that declared `keep: always`"),
    PrimaryKeyConstraint("site", "series_id"),
    comment="series whose samples retention never drops; a row goes by an act of its own, never with a line of the site file",
)
