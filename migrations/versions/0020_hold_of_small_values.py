"""The mean of values so small that their product with a time is none: they count as 0, and values near the largest as 8e307.

PostgreSQL ends a statement whose product is no double. One such value ended the rollups of all series of its class.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STEP = """
CREATE OR REPLACE FUNCTION nexus.hold_step(state double precision[], value double precision, at timestamptz)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  us double precision := extract(epoch FROM at) * 1e6;
BEGIN
  IF state IS NULL THEN
    RETURN ARRAY[0, 0, us, value];
  ELSIF state[4] IS NULL THEN
    RETURN ARRAY[state[1], state[2], us, value];
  END IF;
  RETURN ARRAY[state[1] + {held} * ((us - state[3]) / 86400e6), state[2] + (us - state[3]), us, value];
END $$
"""
_HELD = (
    "(CASE WHEN abs(state[4]) <= 1e-290 THEN 0 WHEN abs(state[4]) <= 8e307 OR abs(state[4]) >= 'Infinity'"
    " THEN state[4] ELSE sign(state[4]) * 8e307 END)"
)


def upgrade() -> None:
    """The aggregate keeps its name; what it rolled up stays."""
    op.execute(_STEP.format(held=_HELD))


def downgrade() -> None:
    """As it was."""
    op.execute(_STEP.format(held="state[4]"))
