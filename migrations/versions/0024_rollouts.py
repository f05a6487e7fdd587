"""Deployments that go out in waves, or wait for a maintenance window.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OUTCOMES = "running | applied | partly | failed | nothing"


def upgrade() -> None:
    """Two tables, and one more outcome of a deployment."""
    op.create_table(
        "rollout",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False, comment="enterprise/site"),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts from 1 within the site"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="waiting | applying | soaking | stopped | rolling-back | rolled-back | applied",
        ),
        sa.Column("why", sa.Text(), server_default="", nullable=False, comment="why it was stopped"),
        sa.Column(
            "position", sa.Integer(), server_default="0", nullable=False, comment="of the wave that it is at, from 0"
        ),
        sa.Column("gates", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("on_failure", sa.Text(), nullable=False, comment="stop | rollback"),
        sa.Column("window_use", sa.Text(), nullable=False, comment="refuse | wait | ignore"),
        sa.Column("base", sa.Integer(), nullable=False, comment="number of the deployment before it"),
        sa.Column(
            "expects", sa.Text(), nullable=False, comment="digest of the recorded state that the next wave begins from"
        ),
        sa.Column("plan", postgresql.JSON(), nullable=False, comment="of all waves, as a deployment has it"),
        sa.Column(
            "digests_before",
            postgresql.JSON(),
            nullable=False,
            comment="recorded digests of what it changes, by address",
        ),
        sa.Column("undone_by", sa.Integer(), nullable=True, comment="number of the deployment that took it back"),
        sa.Column("started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollout")),
        sa.UniqueConstraint("site", "number", name=op.f("uq_rollout_site")),
        schema="nexus",
    )
    op.create_index("ix_rollout_site_state", "rollout", ["site", "state"], schema="nexus")
    op.create_table(
        "rollout_wave",
        sa.Column("rollout_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="from 0"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("addresses", postgresql.JSONB(), nullable=False),
        sa.Column("soak_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=False, comment="of the soak"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="pending | waiting | applying | soaking | passed | failed | rolled-back",
        ),
        sa.Column(
            "deployment", sa.Integer(), server_default="0", nullable=False, comment="its number; 0 before it began"
        ),
        sa.Column(
            "opens", sa.DateTime(timezone=True), nullable=True, comment="when the window that it waits for opens"
        ),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=True, comment="by the clock of control"),
        sa.Column(
            "measured",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="before it began, and as its soak began",
        ),
        sa.Column("verdicts", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.ForeignKeyConstraint(
            ["rollout_id"], ["nexus.rollout.id"], name=op.f("fk_rollout_wave_rollout_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("rollout_id", "position", name=op.f("pk_rollout_wave")),
        schema="nexus",
    )
    op.create_index("ix_rollout_wave_deployment", "rollout_wave", ["deployment"], schema="nexus")
    _name_outcomes(before=OUTCOMES, after=f"{OUTCOMES} | stopped")


def downgrade() -> None:
    """What is known of rollouts is lost; their deployments stay."""
    _name_outcomes(before=f"{OUTCOMES} | stopped", after=OUTCOMES)
    op.drop_table("rollout_wave", schema="nexus")
    op.drop_table("rollout", schema="nexus")


def _name_outcomes(*, before: str, after: str) -> None:
    op.alter_column(
        "deployment",
        "outcome",
        existing_type=sa.Text(),
        existing_nullable=False,
        existing_comment=before,
        comment=after,
        schema="nexus",
    )
