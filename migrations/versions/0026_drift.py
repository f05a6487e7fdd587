"""Drift: results of the schedule, and what devices said of themselves.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "drift_report",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False, comment="of the look, µs since 1970 UTC"),
        sa.Column("report", postgresql.JSONB(), nullable=False, comment="as schemas/drift.schema.json"),
        sa.PrimaryKeyConstraint("site", "time_us", name=op.f("pk_drift_report")),
        schema="nexus",
        comment="results of the schedule of drift",
    )
    op.create_table(
        "device_identity",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False, comment="area/line/device"),
        sa.Column("link", sa.Text(), nullable=False, comment="on which it was said"),
        sa.Column("facts", postgresql.JSONB(), nullable=False, comment="maker, product, version"),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("site", "device", name=op.f("pk_device_identity")),
        schema="nexus",
        comment="what devices said of themselves",
    )


def downgrade() -> None:
    """Results and identities are lost."""
    op.drop_table("device_identity", schema="nexus")
    op.drop_table("drift_report", schema="nexus")
