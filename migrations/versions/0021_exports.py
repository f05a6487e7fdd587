"""Exports that the worker writes: who asked for what, and how far it is.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "export",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting | running | done | failed | removed"),
        sa.Column("format", sa.Text(), nullable=False, comment="parquet | csv"),
        sa.Column("selectors", postgresql.ARRAY(sa.Text()), nullable=False, comment="as asked for"),
        sa.Column(
            "series",
            postgresql.ARRAY(sa.Integer()),
            nullable=False,
            comment="those of them that who asked may read",
        ),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False, comment="exclusive"),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=True, comment="the last try"),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True, comment="row and file are removed then"),
        sa.Column("token", sa.Text(), server_default="", nullable=False, comment="of the try that has it"),
        sa.Column("file", sa.Text(), server_default="", nullable=False, comment="its name in the place of exports"),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False, comment="why the last try failed"),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_export")),
        schema="nexus",
    )
    op.create_index("ix_export_state", "export", ["site", "state", "who"], schema="nexus")


def downgrade() -> None:
    """Their files stay where they are."""
    op.drop_table("export", schema="nexus")
