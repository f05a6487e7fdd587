"""Rollouts: the page of the CI run that made one, and waves that a person stopped.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


WAVE = "pending | waiting | applying | soaking | passed | failed | rolled-back"
STOPPED = "pending | waiting | applying | soaking | passed | failed | stopped | rolled-back"


def upgrade() -> None:
    """One column; a rollout of before was made by no CI run that is known."""
    column = sa.Column(
        "run_url", sa.Text(), server_default="", nullable=False, comment="page of the CI run that made it"
    )
    op.add_column("rollout", column, schema="nexus")
    op.alter_column("rollout_wave", "state", comment=STOPPED, existing_comment=WAVE, schema="nexus")


def downgrade() -> None:
    """The pages are forgotten."""
    op.alter_column("rollout_wave", "state", comment=WAVE, existing_comment=STOPPED, schema="nexus")
    op.drop_column("rollout", "run_url", schema="nexus")
