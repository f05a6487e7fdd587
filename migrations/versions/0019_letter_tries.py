"""Dead letters can be given back to the historian: since when one waits for that, and how often it was tried.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Two columns; no letter waits."""
    op.add_column(
        "dead_letter",
        sa.Column("asked", sa.DateTime(timezone=True), nullable=True, comment="waits for the historian since then"),
        schema="nexus",
    )
    op.add_column(
        "dead_letter",
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False, comment="retries that did not store it"),
        schema="nexus",
    )
    op.create_index(
        "ix_dead_letter_asked",
        "dead_letter",
        ["site", "id"],
        schema="nexus",
        postgresql_where=sa.text("asked IS NOT NULL"),
    )


def downgrade() -> None:
    """What waits for the historian stays a letter."""
    op.drop_index("ix_dead_letter_asked", "dead_letter", schema="nexus")
    op.drop_column("dead_letter", "tries", schema="nexus")
    op.drop_column("dead_letter", "asked", schema="nexus")
