"""At most one open gap for each device of a gateway, and gaps found by device.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Of several open gaps of one device the oldest stays."""
    op.execute(
        """DELETE FROM nexus.gap g WHERE g."end" IS NULL AND EXISTS (
             SELECT FROM nexus.gap o WHERE o."end" IS NULL AND o.site = g.site AND o.gateway = g.gateway
             AND o.device = g.device AND o.id < g.id)"""
    )
    op.create_index("ix_gap_device", "gap", ["site", "gateway", "device", "start"], schema="nexus")
    op.execute('CREATE UNIQUE INDEX uq_gap_open ON nexus.gap (site, gateway, device) WHERE "end" IS NULL')


def downgrade() -> None:
    """Any number of open gaps again."""
    op.execute("DROP INDEX IF EXISTS nexus.uq_gap_open")
    op.drop_index("ix_gap_device", table_name="gap", schema="nexus")
