"""Which gateway spoke for a device, and when; the times of stored frames; whose turn it is among historians.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RECORDED = """
INSERT INTO nexus.assignment (site, device, gateway, since)
SELECT site, substr(address, length('device.') + 1), gateway, '1970-01-01T00:00:00Z'
FROM nexus.resource WHERE starts_with(address, 'device.') AND gateway <> ''
"""

FORGOTTEN = """
INSERT INTO nexus.assignment (site, device, gateway, since, until)
SELECT DISTINCT s.site, s.lineage->>'device', s.lineage->>'gateway', '1970-01-01T00:00:00Z'::timestamptz, now()
FROM nexus.series s
WHERE coalesce(s.lineage->>'gateway', '') <> '' AND coalesce(s.lineage->>'device', '') <> '' AND NOT EXISTS (
  SELECT FROM nexus.assignment a
  WHERE a.site = s.site AND a.device = s.lineage->>'device' AND a.gateway = s.lineage->>'gateway')
"""

RENAMED = """
INSERT INTO nexus.assignment (site, device, gateway, since, until)
SELECT DISTINCT s.site, array_to_string((string_to_array(former, '/'))[1:3], '/'), s.lineage->>'gateway',
  '1970-01-01T00:00:00Z'::timestamptz, now()
FROM nexus.series s, unnest(s.former_paths) AS former
WHERE coalesce(s.lineage->>'gateway', '') <> '' AND NOT EXISTS (
  SELECT FROM nexus.assignment a
  WHERE a.site = s.site AND a.device = array_to_string((string_to_array(former, '/'))[1:3], '/')
    AND a.gateway = s.lineage->>'gateway')
"""
"""Frames of before the upgrade may still wait in a gateway's disk log, under the names of their time."""


def upgrade() -> None:
    op.create_table(
        "assignment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False, comment="area/line/device"),
        sa.Column("gateway", sa.Text(), nullable=False, comment="who speaks for it"),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True, comment="empty while it lasts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        schema="nexus",
    )
    op.create_index("ix_assignment_site_device", "assignment", ["site", "device"], unique=False, schema="nexus")
    for statement in (RECORDED, FORGOTTEN, RENAMED):
        op.execute(statement)
    op.add_column(
        "committed",
        sa.Column(
            "times",
            postgresql.JSONB(),
            server_default="[]",
            nullable=False,
            comment="[first, last, lowest, highest time in µs] of stored frames, ascending, coarser with age",
        ),
        schema="nexus",
    )
    op.add_column(
        "committed",
        sa.Column(
            "refused",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="the epoch belongs to another gateway: what comes under it is set aside",
        ),
        schema="nexus",
    )
    op.create_table(
        "turn",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("work", sa.Text(), nullable=False, comment="what one of several historians does at a time"),
        sa.Column("owner", sa.Text(), nullable=False, comment="unique per process"),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "work", name=op.f("pk_turn")),
        schema="nexus",
    )


def downgrade() -> None:
    op.drop_table("turn", schema="nexus")
    op.drop_column("committed", "refused", schema="nexus")
    op.drop_column("committed", "times", schema="nexus")
    op.drop_index("ix_assignment_site_device", table_name="assignment", schema="nexus")
    op.drop_table("assignment", schema="nexus")
