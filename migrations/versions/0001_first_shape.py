"""The first shape: deployments, series, retention classes, custody, audit, and the empty view `sample`.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None

REFUSE_CHANGES = """
CREATE FUNCTION nexus.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'nexus.audit is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""

EMPTY_VIEW = """
CREATE VIEW nexus.sample AS SELECT
  NULL::timestamptz AS "time", NULL::integer AS series_id, NULL::double precision AS value,
  NULL::numeric(20,0) AS value_exact, NULL::text AS value_text, NULL::jsonb AS value_json,
  NULL::smallint AS quality, NULL::bigint AS status, NULL::timestamptz AS source_time
WHERE false
"""

TIMESCALE_WHERE_IT_IS = """
DO $$ BEGIN
  -- The library's own setting exists exactly where it is preloaded. Without it CREATE EXTENSION ends the session.
  IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
     AND EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers') THEN
    CREATE EXTENSION IF NOT EXISTS timescaledb;
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE NOTICE 'timescaledb is not used: %', SQLERRM;
END $$
"""
"""Without the right to create it, or without the library preloaded, native partitions do the work."""

DROP_CLASSES = """
DO $$ DECLARE class record; BEGIN
  FOR class IN SELECT table_name FROM nexus.retention_class LOOP
    EXECUTE format('DROP TABLE IF EXISTS nexus.%I CASCADE', class.table_name);
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute(TIMESCALE_WHERE_IT_IS)
    op.create_table(
        "alert",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="active | acknowledged | cleared"),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("acknowledged_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("site", "name", name=op.f("pk_alert")),
        schema="nexus",
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        schema="nexus",
        comment="append-only: a trigger refuses UPDATE, DELETE and TRUNCATE",
    )
    op.create_table(
        "command",
        sa.Column("id", sa.Text(), nullable=False, comment="idempotency key"),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="done | refused | failed | unknown"),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command")),
        schema="nexus",
    )
    op.create_table(
        "committed",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("ranges", postgresql.JSONB(), nullable=False, comment="disjoint, ascending, inclusive [first, last]"),
        sa.Column("updated", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("site", "gateway", "epoch", name=op.f("pk_committed")),
        schema="nexus",
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "payload", sa.Text(), nullable=False, comment="as text; bytes that are not UTF-8 as \\xNN, at most 4 KiB"
        ),
        sa.Column(
            "count",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="how many alike were folded into this row",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        schema="nexus",
    )
    op.create_table(
        "deployment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.Text(), nullable=False, comment="enterprise/site"),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts from 1 within the site"),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="running | applied | partly | failed | nothing"),
        sa.Column("base_digest", sa.Text(), nullable=False),
        sa.Column("desired_digest", sa.Text(), nullable=False),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.Column("summary", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
        sa.UniqueConstraint("site", "number", name=op.f("uq_deployment_site")),
        schema="nexus",
    )
    op.create_table(
        "gap",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), server_default="", nullable=False, comment="empty: the whole gateway"),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("frames", sa.BigInteger(), server_default="0", nullable=False, comment="0: not known"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), server_default="", nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
        schema="nexus",
    )
    op.create_index("ix_gap_site_start", "gap", ["site", "start"], unique=False, schema="nexus")
    op.create_table(
        "lease",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("acquired", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("heartbeat", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_lease")),
        schema="nexus",
    )
    op.create_table(
        "retention_class",
        sa.Column("name", sa.Text(), nullable=False, comment="slug; the table is sample_{name with - and . as _}"),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("keep_ms", sa.BigInteger(), nullable=False),
        sa.Column("compress_after_ms", sa.BigInteger(), nullable=True),
        sa.Column("rollups", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("hypertable", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_retention_class")),
        sa.UniqueConstraint("table_name", name=op.f("uq_retention_class_table_name")),
        schema="nexus",
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("ulid", sa.Text(), nullable=False, comment="minted once, survives renames"),
        sa.Column("path", sa.Text(), nullable=False, comment="area/line/device/tag, current"),
        sa.Column("former_paths", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("type", sa.Text(), nullable=False, comment="type of the published value"),
        sa.Column("unit", sa.Text(), server_default="", nullable=False),
        sa.Column("retention", sa.Text(), nullable=False, comment="class, names the table sample_{class}"),
        sa.Column(
            "active", sa.Boolean(), server_default="true", nullable=False, comment="false: forgotten, samples kept"
        ),
        sa.Column("external", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "segment", sa.Integer(), server_default="1", nullable=False, comment="rises when type or unit changes"
        ),
        sa.Column(
            "segments",
            postgresql.JSONB(),
            server_default="[]",
            nullable=False,
            comment="[{segment, type, unit, since}]",
        ),
        sa.Column(
            "labels", postgresql.JSONB(), server_default="{}", nullable=False, comment="value names of an enumeration"
        ),
        sa.Column(
            "lineage",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="gateway, device, protocol, address, transformations",
        ),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("site", "path", name=op.f("uq_series_site")),
        sa.UniqueConstraint("ulid", name=op.f("uq_series_ulid")),
        schema="nexus",
    )
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("deployment_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False, comment="name of the stage"),
        sa.Column("subject", sa.Text(), server_default="", nullable=False, comment="address it is about"),
        sa.Column("state", sa.Text(), nullable=False, comment="begun | done | failed | skipped"),
        sa.Column("detail", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["nexus.deployment.id"], name=op.f("fk_journal_deployment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        schema="nexus",
    )
    op.create_index(op.f("ix_journal_deployment_id"), "journal", ["deployment_id"], unique=False, schema="nexus")
    op.create_table(
        "resource",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), server_default="", nullable=False, comment="for devices: who reads it"),
        sa.Column("attributes", postgresql.JSONB(), nullable=False),
        sa.Column("deployment_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["nexus.deployment.id"], name=op.f("fk_resource_deployment_id")),
        sa.PrimaryKeyConstraint("site", "address", name=op.f("pk_resource")),
        schema="nexus",
        comment="recorded state: the snapshot that was applied last",
    )
    op.create_index("ix_resource_gateway", "resource", ["site", "gateway"], unique=False, schema="nexus")
    op.execute(REFUSE_CHANGES)
    op.execute(
        "CREATE TRIGGER audit_no_row_change BEFORE UPDATE OR DELETE ON nexus.audit "
        "FOR EACH ROW EXECUTE FUNCTION nexus.refuse_audit_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON nexus.audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION nexus.refuse_audit_change()"
    )
    op.execute(EMPTY_VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW IF EXISTS nexus.sample")
    op.execute(DROP_CLASSES)
    op.drop_index("ix_resource_gateway", table_name="resource", schema="nexus")
    op.drop_table("resource", schema="nexus")
    op.drop_index(op.f("ix_journal_deployment_id"), table_name="journal", schema="nexus")
    op.drop_table("journal", schema="nexus")
    op.drop_table("series", schema="nexus")
    op.drop_table("retention_class", schema="nexus")
    op.drop_table("lease", schema="nexus")
    op.drop_index("ix_gap_site_start", table_name="gap", schema="nexus")
    op.drop_table("gap", schema="nexus")
    op.drop_table("deployment", schema="nexus")
    op.drop_table("dead_letter", schema="nexus")
    op.drop_table("committed", schema="nexus")
    op.drop_table("command", schema="nexus")
    op.drop_table("audit", schema="nexus")
    op.drop_table("alert", schema="nexus")
    op.execute("DROP FUNCTION nexus.refuse_audit_change()")
