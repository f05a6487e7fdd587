"""Discoveries that the worker does: how far each is, and what it found.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "device_walk",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False, comment="area/line/device"),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("wanted", postgresql.JSONB(), server_default="{}", nullable=False, comment="filters and limits"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting | running | done | failed | removed"),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=True, comment="the last try"),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True, comment="it is removed then"),
        sa.Column("token", sa.Text(), server_default="", nullable=False, comment="of the try that has it"),
        sa.Column("found", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "waiting", sa.Integer(), server_default="0", nullable=False, comment="nodes that were not browsed yet"
        ),
        sa.Column("pieces", sa.Integer(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False, comment="of its pieces"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False, comment="why the last try failed"),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_device_walk")),
        schema="nexus",
        comment="discoveries that the worker does",
    )
    op.create_index("ix_device_walk_state", "device_walk", ["site", "state", "device"], schema="nexus")
    op.create_table(
        "device_walk_piece",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("walk", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column("lines", sa.LargeBinary(), nullable=False, comment="of a journal (discover/journal.py), zlib"),
        sa.ForeignKeyConstraint(
            ["site", "walk"],
            ["nexus.device_walk.site", "nexus.device_walk.id"],
            name=op.f("fk_device_walk_piece_site"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("site", "walk", "number", name=op.f("pk_device_walk_piece")),
        schema="nexus",
    )


def downgrade() -> None:
    """What was found is lost."""
    op.drop_table("device_walk_piece", schema="nexus")
    op.drop_table("device_walk", schema="nexus")
