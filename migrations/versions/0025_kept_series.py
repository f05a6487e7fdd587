"""Series whose samples are never dropped (`keep: always`).

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "kept_series",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column(
            "series_id", sa.Integer(), nullable=False, comment="the key refuses that a protected series is deleted"
        ),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "deployment", sa.BigInteger(), nullable=False, comment="number of the one that declared `keep: always`"
        ),
        sa.ForeignKeyConstraint(["series_id"], ["nexus.series.id"], name=op.f("fk_kept_series_series_id")),
        sa.PrimaryKeyConstraint("site", "series_id", name=op.f("pk_kept_series")),
        schema="nexus",
        comment="series whose samples retention never drops; a row goes by an act of its own, never with a line of the site file",
    )


def downgrade() -> None:
    """Nothing is protected any more: the next upkeep drops what is older than its class keeps."""
    op.drop_table("kept_series", schema="nexus")
