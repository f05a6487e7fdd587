"""The archive: which days of samples are in it, and whether what the database has of them may go.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """One table, two ages of a class; nothing is archived yet."""
    for name, comment in (
        ("archive_after_ms", "age at which a day goes to the archive"),
        ("archive_keep_ms", "age at which it is removed from there"),
    ):
        op.add_column(
            "retention_class", sa.Column(name, sa.BigInteger(), nullable=True, comment=comment), schema="nexus"
        )
    op.create_table(
        "archive_day",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False, comment="retention class"),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC"),
        sa.Column("state", sa.Text(), nullable=False, comment="open | writing | verified | dropped"),
        sa.Column("token", sa.Text(), server_default="", nullable=False, comment="of the try that writes it"),
        sa.Column(
            "stored",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="rows in the database when it was verified",
        ),
        sa.Column("digest", sa.Text(), server_default="", nullable=False, comment="of these rows"),
        sa.Column(
            "complete",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="the database has all rows of the archive",
        ),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False, comment="in the archive"),
        sa.Column("manifest", postgresql.JSONB(), server_default="{}", nullable=False, comment="as in the archive"),
        sa.Column("error", sa.Text(), server_default="", nullable=False, comment="why the last try failed"),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True, comment="restored: not dropped before"),
        sa.Column("changed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("verified", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dropped", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("site", "class", "day", name=op.f("pk_archive_day")),
        schema="nexus",
    )


def downgrade() -> None:
    """Which days the archive has is lost; its manifests say it again."""
    op.drop_table("archive_day", schema="nexus")
    op.drop_column("retention_class", "archive_keep_ms", schema="nexus")
    op.drop_column("retention_class", "archive_after_ms", schema="nexus")
