"""Subscriptions of i3X clients.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Two tables; nothing in them yet."""
    op.create_table(
        "i3x_subscription",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False, comment="who made it; nobody else finds it"),
        sa.Column("client_id", sa.Text(), nullable=False, comment="as the client calls itself"),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, comment="the web that has it"),
        sa.Column("generation", sa.BigInteger(), nullable=False, comment="rises each time that a web takes it"),
        sa.Column(
            "monitored", postgresql.JSONB(), server_default="[]", nullable=False, comment="[[elementId, maxDepth]]"
        ),
        sa.Column(
            "revision",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of monitored, rises with every change",
        ),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False, comment="paths"),
        sa.Column(
            "seen",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="for each of tags: time of its newest value in a batch, µs, int64 little-endian",
        ),
        sa.Column("next_sequence", sa.Numeric(20, 0), server_default="1", nullable=False),
        sa.Column("acknowledged", sa.Numeric(20, 0), server_default="0", nullable=False),
        sa.Column("sent", sa.Numeric(20, 0), server_default="0", nullable=False),
        sa.Column(
            "loss",
            postgresql.ARRAY(sa.BigInteger()),
            server_default="{}",
            nullable=False,
            comment="what was dropped: first and last number, first and last time in µs",
        ),
        sa.Column("created", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column(
            "touched", sa.DateTime(timezone=True), server_default=_NOW, nullable=False, comment="last sync or stream"
        ),
        sa.Column("streaming", sa.DateTime(timezone=True), nullable=True, comment="until when its owner streams it"),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_i3x_subscription")),
        schema="nexus",
    )
    op.create_index("ix_i3x_subscription_principal", "i3x_subscription", ["site", "principal"], schema="nexus")
    op.create_table(
        "i3x_batch",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Numeric(20, 0), nullable=False),
        sa.Column("updates", postgresql.JSONB(), nullable=False, comment="[[elementId, path, value, quality, µs]]"),
        sa.ForeignKeyConstraint(
            ["site", "subscription"],
            ["nexus.i3x_subscription.site", "nexus.i3x_subscription.id"],
            name=op.f("fk_i3x_batch_site"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("site", "subscription", "sequence", name=op.f("pk_i3x_batch")),
        schema="nexus",
    )


def downgrade() -> None:
    """Clients subscribe again."""
    for name in ("i3x_batch", "i3x_subscription"):
        op.drop_table(name, schema="nexus")
