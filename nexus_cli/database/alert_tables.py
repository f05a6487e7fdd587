"""The tables of alerts and of their journal, for migrations. The statements are in `alert_states.py` and `alert_journal.py`."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from nexus_cli.database.table_metadata import metadata, now

alert = Table(
    "alert",
    metadata,
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False, comment="active | acknowledged | returned | cleared"),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("value", JSONB),
    Column("severity", Text, nullable=False),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("pending", JSONB, comment="since when its condition holds before `for`"),
    now("stored"),
    Column("changed", DateTime(timezone=True), comment="when anything of it last changed; null: since"),
    Column("occurrence", DateTime(timezone=True), comment="when it last became active"),
    Column("shelved_until", DateTime(timezone=True)),
    Column("out_of_service", DateTime(timezone=True)),
    Column("shelved_by", Text, nullable=False, server_default=""),
    Column("shelved_reason", Text, nullable=False, server_default=""),
    Column("out_of_service_by", Text, nullable=False, server_default=""),
    Column("out_of_service_reason", Text, nullable=False, server_default=""),
    Column("suppressed_by", Text, nullable=False, server_default=""),
    Column("first_out", Boolean, nullable=False, server_default="false"),
    Column("timers", JSONB, comment="what runs in it beside pending"),
    PrimaryKeyConstraint("site", "name"),
)

alert_change = Table(
    "alert_change",
    metadata,
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False, comment="empty: a flood of the site"),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it changed"),
    Column("state", Text, nullable=False, comment="after it: active | acknowledged | returned | cleared"),
    Column("value", JSONB),
    Column("severity", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, server_default="", comment="what happened: wire.alert.KINDS"),
    Column("who", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("priority", Text, nullable=False, server_default=""),
    Column("alarm_group", Text, nullable=False, server_default=""),
    Column(
        "held",
        Boolean,
        nullable=False,
        server_default="false",
        comment="not announced: shelved, out of service or suppressed",
    ),
    Column("first_out", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("site", "name", "at", "state"),
    Index("ix_alert_change_at", "site", "at"),
    comment="the journal of alerts, kept by age",
)

__all__ = ["alert", "alert_change"]
