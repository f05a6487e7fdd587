"""Runs of `nexus discover --via`, with what they found.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One table; nothing in it yet."""
    op.create_table(
        "discovery",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False, comment="what was browsed, without passwords"),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="done | stopped | failed"),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("found", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result", postgresql.JSONB(), server_default="{}", nullable=False, comment="values, skipped_reasons"),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_discovery")),
        schema="nexus",
    )


def downgrade() -> None:
    """The record of discoveries is lost."""
    op.drop_table("discovery", schema="nexus")
