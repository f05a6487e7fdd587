"""The plan of a deployment is kept as it was written: `json` in place of `jsonb`.

Nothing in the database looks into it, and a first plan of 41,000 tags has 10 MB: as `jsonb` it was parsed and laid out
again on its way in, and made into text again on its way out.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """The text that `jsonb` gives; plans from then on keep the text that control wrote."""
    op.alter_column(
        "deployment",
        "plan",
        schema="nexus",
        type_=postgresql.JSON(),
        existing_type=postgresql.JSONB(),
        existing_nullable=False,
        postgresql_using="plan::json",
    )


def downgrade() -> None:
    """`jsonb` again; what it sorts is put in order by `$order`, which control writes into every plan."""
    op.alter_column(
        "deployment",
        "plan",
        schema="nexus",
        type_=postgresql.JSONB(),
        existing_type=postgresql.JSON(),
        existing_nullable=False,
        postgresql_using="plan::jsonb",
    )
