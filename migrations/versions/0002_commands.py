"""Commands are keyed by site, principal, id and path; sequences have runs and a journal.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_constraint("pk_command", "command", schema="nexus", type_="primary")
    op.create_primary_key("pk_command", "command", ["site", "principal", "id", "path"], schema="nexus")
    op.create_index("ix_command_site_at", "command", ["site", "at"], schema="nexus")
    op.create_table(
        "sequence_run",
        sa.Column("id", sa.Text(), nullable=False, comment="one for the whole; commands of step n are ID.n"),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="running | done | refused | aborted | failed | interrupted"
        ),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("definition", postgresql.JSONB(), nullable=False, comment="the sequence as it was when it began"),
        sa.Column("started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_sequence_run")),
        schema="nexus",
    )
    op.create_table(
        "sequence_step",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False, comment="rising within the run, the abort branch included"),
        sa.Column("branch", sa.Text(), server_default="steps", nullable=False, comment="requires | steps | on_abort"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="begun | done | refused | failed | unknown"),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_sequence_step")),
        schema="nexus",
    )
    op.create_index("ix_sequence_step_run", "sequence_step", ["site", "run", "number"], schema="nexus")


def downgrade() -> None:
    op.drop_index("ix_sequence_step_run", table_name="sequence_step", schema="nexus")
    op.drop_table("sequence_step", schema="nexus")
    op.drop_table("sequence_run", schema="nexus")
    op.drop_index("ix_command_site_at", table_name="command", schema="nexus")
    op.drop_constraint("pk_command", "command", schema="nexus", type_="primary")
    op.execute(
        "DELETE FROM nexus.command AS one USING nexus.command AS other "
        "WHERE one.id = other.id AND (one.at, one.ctid) > (other.at, other.ctid)"
    )
    op.create_primary_key("pk_command", "command", ["id"], schema="nexus")
