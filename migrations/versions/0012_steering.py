"""Whose commands web sends, and devices that are out of service for a while.

Revision ID: 0012
Revises: 0010
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """A column of `command`, empty for all that came before, and a table."""
    op.add_column(
        "command",
        sa.Column(
            "asked_by",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="for whom the principal asked; empty: for itself",
        ),
        schema="nexus",
    )
    op.create_table(
        "out_of_service",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False, comment="area/line/device"),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False, comment="it ends by itself"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("site", "device", name=op.f("pk_out_of_service")),
        schema="nexus",
    )


def downgrade() -> None:
    """Devices that were out of service run again; for whom web asked stays in the audit trail."""
    op.drop_table("out_of_service", schema="nexus")
    op.drop_column("command", "asked_by", schema="nexus")
