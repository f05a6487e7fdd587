"""Notifications: what was sent to whom about which alarm, written before it is sent.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One table; nothing in it yet."""
    op.create_table(
        "notification",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False, comment="its name"),
        sa.Column("occurrence", sa.BigInteger(), nullable=False, comment="when it became active, µs since 1970 UTC"),
        sa.Column("step", sa.Text(), nullable=False, comment="active | returned | escalate-MS"),
        sa.Column("channel", sa.Text(), nullable=False, comment="'': that it happened"),
        sa.Column("state", sa.Text(), nullable=False, comment="noted | waiting | sending | failed | sent"),
        sa.Column("tries", sa.Integer(), server_default="1", nullable=False, comment="how often sending began"),
        sa.Column("begun", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent", sa.DateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.BigInteger(), nullable=True, comment="the job whose digest has it"),
        sa.Column("about", postgresql.JSONB(), server_default="{}", nullable=False, comment="what a digest says of it"),
        sa.Column("detail", sa.Text(), server_default="", nullable=False, comment="why the last try failed"),
        sa.PrimaryKeyConstraint("site", "alert", "occurrence", "step", "channel", name=op.f("pk_notification")),
        schema="nexus",
    )
    op.create_index("ix_notification_occurrence", "notification", ["site", "occurrence"], schema="nexus")
    op.create_index("ix_notification_state", "notification", ["site", "state", "channel"], schema="nexus")


def downgrade() -> None:
    """The record of what was sent is lost."""
    op.drop_table("notification", schema="nexus")
