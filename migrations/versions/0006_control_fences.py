"""Which control leads, the deployment lock bound to its term, and what alerts need across a restart.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "leader",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False, comment="fencing token, rises with every new leader"),
        sa.Column("renewals", sa.BigInteger(), server_default="0", nullable=False, comment="rises while it lives"),
        sa.Column("holder", sa.Text(), nullable=False, comment="instance of the control that leads, a ULID"),
        sa.Column("facts", postgresql.JSONB(), server_default="{}", nullable=False, comment="where it runs"),
        sa.Column("resigned", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("acquired", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("renewed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_leader")),
        schema="nexus",
    )
    op.add_column(
        "lease",
        sa.Column("term", sa.BigInteger(), server_default="0", nullable=False, comment="of the leader that took it"),
        schema="nexus",
    )
    op.add_column(
        "lease",
        sa.Column("deployment_id", sa.BigInteger(), nullable=True, comment="the deployment that holds it"),
        schema="nexus",
    )
    op.add_column(
        "alert",
        sa.Column("pending", postgresql.JSONB(), nullable=True, comment="since when its condition holds before `for`"),
        schema="nexus",
    )
    op.add_column(
        "alert",
        sa.Column("stored", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        schema="nexus",
    )
    op.create_table(
        "alert_change",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when the state began"),
        sa.Column("state", sa.Text(), nullable=False, comment="active | acknowledged | cleared"),
        sa.Column("value", postgresql.JSONB(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site", "name", "at", "state", name=op.f("pk_alert_change")),
        schema="nexus",
        comment="every change of state of an alert, the newest of each alert are kept",
    )


def downgrade() -> None:
    op.drop_table("alert_change", schema="nexus")
    op.drop_column("alert", "stored", schema="nexus")
    op.drop_column("alert", "pending", schema="nexus")
    op.drop_column("lease", "deployment_id", schema="nexus")
    op.drop_column("lease", "term", schema="nexus")
    op.drop_table("leader", schema="nexus")
