"""Deployments that have to be confirmed, and what is shown of each in the history.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """A table, and three columns of a deployment."""
    op.add_column(
        "deployment",
        sa.Column(
            "allow", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False, comment="consents to hazards"
        ),
        schema="nexus",
    )
    op.execute(
        "UPDATE nexus.deployment SET allow = ARRAY(SELECT json_array_elements_text(plan->'allow')) "
        "WHERE json_typeof(plan) = 'object' AND json_typeof(plan->'allow') = 'array'"
    )
    op.add_column(
        "deployment",
        sa.Column("run_url", sa.Text(), server_default="", nullable=False, comment="page of the CI run that made it"),
        schema="nexus",
    )
    op.add_column(
        "deployment",
        sa.Column("undoes", sa.Integer(), nullable=True, comment="the first deployment that it takes back"),
        schema="nexus",
    )
    op.create_table(
        "confirmation",
        sa.Column("deployment_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="armed | waiting | confirmed | rolled-back | dropped"),
        sa.Column("within_s", sa.Integer(), nullable=False),
        sa.Column("left_us", sa.BigInteger(), nullable=False, comment="of that, when `at` was written"),
        sa.Column("who", sa.Text(), server_default="", nullable=False, comment="who ended the wait"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False, comment="why it was rolled back"),
        sa.Column("undone_by", sa.BigInteger(), nullable=True, comment="the deployment that rolled it back"),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["nexus.deployment.id"], name=op.f("fk_confirmation_deployment_id")),
        sa.PrimaryKeyConstraint("deployment_id", name=op.f("pk_confirmation")),
        schema="nexus",
        comment="deployments that have to be confirmed",
    )


def downgrade() -> None:
    """What waits is not rolled back any more."""
    op.drop_table("confirmation", schema="nexus")
    op.drop_column("deployment", "undoes", schema="nexus")
    op.drop_column("deployment", "run_url", schema="nexus")
    op.drop_column("deployment", "allow", schema="nexus")
