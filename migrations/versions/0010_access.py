"""Credentials of users, tokens for the API, and rights that were given for a while.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Three tables; nothing in them yet."""
    op.create_table(
        "credential",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False, comment="a declared user or application"),
        sa.Column("slot", sa.Text(), nullable=False, comment="a | b: two are valid while one replaces the other"),
        sa.Column("hashes", postgresql.JSONB(), nullable=False, comment="access.passwords.Hashes; no clear text"),
        sa.Column(
            "active",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="false: the other slot took its place",
        ),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=True, comment="when the slot ends; NULL: never"),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("site", "principal", "slot", name=op.f("pk_credential")),
        schema="nexus",
    )
    op.create_table(
        "api_token",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID; the claim jti"),
        sa.Column("principal", sa.Text(), nullable=False, comment="whose rights it has at most"),
        sa.Column("kind", sa.Text(), nullable=False, comment="token | session"),
        sa.Column(
            "scopes",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="what it may do at most; * is all that the principal may",
        ),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked", sa.DateTime(timezone=True), nullable=True, comment="NULL: not revoked"),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_api_token")),
        schema="nexus",
    )
    op.create_index("ix_api_token_principal", "api_token", ["site", "principal"], schema="nexus")
    op.create_table(
        "elevation",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False, comment="ULID"),
        sa.Column("principal", sa.Text(), nullable=False, comment="who has the role admin, too"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("begins", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", "id", name=op.f("pk_elevation")),
        schema="nexus",
    )
    op.create_index("ix_elevation_ends", "elevation", ["site", "ends"], schema="nexus")


def downgrade() -> None:
    """Who is logged in is logged out; users need new passwords."""
    for name in ("elevation", "api_token", "credential"):
        op.drop_table(name, schema="nexus")
