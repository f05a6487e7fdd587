"""Rollups that are kept: which relations they are in, how far they reach, and which hours were written to since.

The relations themselves are made by the historian's upkeep, one for each class and width.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STEP = """
CREATE FUNCTION nexus.hold_step(state double precision[], value double precision, at timestamptz)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  us double precision := extract(epoch FROM at) * 1e6;
BEGIN
  IF state IS NULL THEN
    RETURN ARRAY[0, 0, us, value];
  ELSIF state[4] IS NULL THEN
    RETURN ARRAY[state[1], state[2], us, value];
  END IF;
  RETURN ARRAY[state[1] + state[4] * ((us - state[3]) / 86400e6), state[2] + (us - state[3]), us, value];
END $$
"""


def upgrade() -> None:
    """`hold` gives {value times days, µs with a value, …} from the first to the last of its rows, taken in order of time;
    continuous aggregates use it. In days, since a product of the largest double would not be a double."""
    op.create_table(
        "rollup",
        sa.Column("table_name", sa.Text(), nullable=False, comment="the class's table of samples"),
        sa.Column("width", sa.Text(), nullable=False, comment="1m | 5m | 15m | 1h | 1d, counted from 1970 UTC"),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("continuous", sa.Boolean(), nullable=False, comment="true: a continuous aggregate of TimescaleDB"),
        sa.Column("done_from", sa.DateTime(timezone=True), comment="rolled up from here; empty before the first round"),
        sa.Column("done_until", sa.DateTime(timezone=True), comment="and until here"),
        sa.PrimaryKeyConstraint("table_name", "width", name="pk_rollup"),
        sa.UniqueConstraint("relation", name="uq_rollup_relation"),
        schema="nexus",
    )
    op.create_table(
        "rollup_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column(
            "hours", sa.ARRAY(sa.BigInteger()), nullable=False, comment="hours since 1970 that rows were added to"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_rollup_change"),
        comment="one row for each transaction that adds samples; what is rolled up again leaves it",
        schema="nexus",
    )
    op.alter_column("series", "segments", comment="[{segment, type, unit, labels, since, until}]", schema="nexus")
    op.execute(STEP)
    op.execute(
        "CREATE AGGREGATE nexus.hold(double precision, timestamptz)"
        " (SFUNC = nexus.hold_step, STYPE = double precision[], PARALLEL = SAFE)"
    )


def downgrade() -> None:
    """The samples have everything that the rollups said."""
    rows = op.get_bind().execute(sa.text("SELECT relation, continuous FROM nexus.rollup ORDER BY relation"))
    for row in rows.mappings().all():
        kind = "MATERIALIZED VIEW" if row["continuous"] else "TABLE"
        op.execute(f'DROP {kind} IF EXISTS nexus."{row["relation"]}"')
    op.alter_column("series", "segments", comment="[{segment, type, unit, since}]", schema="nexus")
    op.execute("DROP AGGREGATE IF EXISTS nexus.hold(double precision, timestamptz)")
    op.execute("DROP FUNCTION IF EXISTS nexus.hold_step(double precision[], double precision, timestamptz)")
    op.drop_table("rollup_change", schema="nexus")
    op.drop_table("rollup", schema="nexus")
