"""Purges: samples of forgotten series that somebody has removed for good.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "purge",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "selectors", postgresql.ARRAY(sa.Text()), nullable=False, comment="paths and globs, as they were typed"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting | running | done | failed | removed"),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=True, comment="the last try"),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True, comment="it is removed then"),
        sa.Column("token", sa.Text(), server_default="", nullable=False, comment="of the try that has it"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False, comment="why the last try failed"),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_purge")),
        schema="nexus",
        comment="removals of forgotten series with their samples",
    )
    op.create_table(
        "purge_series",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("purge", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("samples", sa.BigInteger(), server_default="0", nullable=False, comment="removed so far"),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False, comment="waiting | done | left"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False, comment="why it was left"),
        sa.ForeignKeyConstraint(
            ["site", "purge"],
            ["nexus.purge.site", "nexus.purge.id"],
            name=op.f("fk_purge_series_site"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("site", "purge", "series_id", name=op.f("pk_purge_series")),
        schema="nexus",
    )


def downgrade() -> None:
    """What was removed stays removed; who did it stays in the audit trail."""
    op.drop_table("purge_series", schema="nexus")
    op.drop_table("purge", schema="nexus")
