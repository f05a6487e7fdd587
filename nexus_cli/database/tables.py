"""The shape of schema `nexus`, as SQLAlchemy tables; Alembic's migrations make it so (`alembic check` compares).

One table per site and retention class is made from the pattern in `sample_class.py`, when apply meets the class.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from nexus_cli.database.alert_tables import alert, alert_change
from nexus_cli.database.command_tables import command, sequence_run, sequence_step
from nexus_cli.database.kept_tables import kept_series
from nexus_cli.database.purge_tables import purge, purge_series
from nexus_cli.database.rollout_tables import rollout, rollout_wave
from nexus_cli.database.service_tables import (
    api_token,
    audit_head,
    audit_link,
    credential,
    device_walk,
    device_walk_piece,
    discovery,
    elevation,
    export,
    i3x_batch,
    i3x_subscription,
    notification,
    out_of_service,
)
from nexus_cli.database.table_metadata import metadata, now

deployment = Table(
    "deployment",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("site", Text, nullable=False, comment="enterprise/site"),
    Column("number", Integer, nullable=False, comment="counts from 1 within the site"),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("outcome", Text, nullable=False, comment="running | applied | partly | failed | nothing | stopped"),
    Column("base_digest", Text, nullable=False),
    Column("desired_digest", Text, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("summary", JSONB, nullable=False, server_default="{}"),
    now("started"),
    Column("ended", DateTime(timezone=True)),
    Column("allow", ARRAY(Text), nullable=False, server_default="{}", comment="consents to hazards"),
    Column("run_url", Text, nullable=False, server_default="", comment="page of the CI run that made it"),
    Column("undoes", Integer, comment="the first deployment that it takes back"),
    UniqueConstraint("site", "number"),
)

confirmation = Table(
    "confirmation",
    metadata,
    Column("deployment_id", BigInteger, ForeignKey(deployment.c.id), primary_key=True),
    Column("state", Text, nullable=False, comment="armed | waiting | confirmed | rolled-back | dropped"),
    Column("within_s", Integer, nullable=False),
    Column("left_us", BigInteger, nullable=False, comment="of that, when `at` was written"),
    Column("who", Text, nullable=False, server_default="", comment="who ended the wait"),
    Column("reason", Text, nullable=False, server_default="", comment="why it was rolled back"),
    Column("undone_by", BigInteger, comment="the deployment that rolled it back"),
    now("at"),
    comment="deployments that have to be confirmed",
)

journal = Table(
    "journal",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("deployment_id", BigInteger, ForeignKey(deployment.c.id), nullable=False, index=True),
    Column("step", Text, nullable=False, comment="name of the stage"),
    Column("subject", Text, nullable=False, server_default="", comment="address it is about"),
    Column("state", Text, nullable=False, comment="begun | done | failed | skipped"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    now("at"),
)

resource = Table(
    "resource",
    metadata,
    Column("site", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("gateway", Text, nullable=False, server_default="", comment="for devices: who reads it"),
    Column("attributes", JSONB, nullable=False),
    Column("deployment_id", BigInteger, ForeignKey(deployment.c.id), nullable=False),
    PrimaryKeyConstraint("site", "address"),
    Index("ix_resource_gateway", "site", "gateway"),
    comment="recorded state: the snapshot that was applied last",
)

lease = Table(
    "lease",
    metadata,
    Column("site", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("token", Text, nullable=False),
    now("acquired"),
    Column("heartbeat", DateTime(timezone=True), nullable=False),
    Column("expires", DateTime(timezone=True), nullable=False),
    Column("term", BigInteger, nullable=False, server_default="0", comment="of the leader that took it"),
    Column("deployment_id", BigInteger, comment="the deployment that holds it"),
)

leader = Table(
    "leader",
    metadata,
    Column("site", Text, primary_key=True),
    Column("term", BigInteger, nullable=False, comment="fencing token, rises with every new leader"),
    Column("renewals", BigInteger, nullable=False, server_default="0", comment="rises while it lives"),
    Column("holder", Text, nullable=False, comment="instance of the control that leads, a ULID"),
    Column("facts", JSONB, nullable=False, server_default="{}", comment="where it runs"),
    Column("resigned", Boolean, nullable=False, server_default="false"),
    now("acquired"),
    now("renewed"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    now("at"),
    Column("site", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Index("ix_audit_site_at", "site", "at"),
    comment="append-only: a trigger refuses UPDATE, DELETE and TRUNCATE",
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("site", Text, nullable=False),
    Column("ulid", Text, nullable=False, unique=True, comment="minted once, survives renames"),
    Column("path", Text, nullable=False, comment="area/line/device/tag, current"),
    Column("former_paths", ARRAY(Text), nullable=False, server_default="{}"),
    Column("type", Text, nullable=False, comment="type of the published value"),
    Column("unit", Text, nullable=False, server_default=""),
    Column("retention", Text, nullable=False, comment="class of the site, see retention_class"),
    Column("active", Boolean, nullable=False, server_default="true", comment="false: forgotten, samples kept"),
    Column("external", Boolean, nullable=False, server_default="false"),
    Column("segment", Integer, nullable=False, server_default="1", comment="rises when type or unit changes"),
    Column(
        "segments", JSONB, nullable=False, server_default="[]", comment="[{segment, type, unit, labels, since, until}]"
    ),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="value names of an enumeration"),
    Column(
        "lineage",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="gateway, device, protocol, address, transformations",
    ),
    now("created"),
    UniqueConstraint("site", "path"),
)

retention_class = Table(
    "retention_class",
    metadata,
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False, comment="slug, as in the site file"),
    Column("table_name", Text, nullable=False, unique=True, comment="where this site's samples of the class are"),
    Column("keep_ms", BigInteger, nullable=False),
    Column("compress_after_ms", BigInteger),
    Column("rollups", ARRAY(Text), nullable=False, server_default="{}"),
    Column("hypertable", Boolean, nullable=False, server_default="false"),
    now("created"),
    Column("archive_after_ms", BigInteger, comment="age at which a day goes to the archive"),
    Column("archive_keep_ms", BigInteger, comment="age at which it is removed from there"),
    PrimaryKeyConstraint("site", "name"),
)

rollup = Table(
    "rollup",
    metadata,
    Column("table_name", Text, nullable=False, comment="the class's table of samples"),
    Column("width", Text, nullable=False, comment="1m | 5m | 15m | 1h | 1d, counted from 1970 UTC"),
    Column("relation", Text, nullable=False, unique=True),
    Column("continuous", Boolean, nullable=False, comment="true: a continuous aggregate of TimescaleDB"),
    Column("done_from", DateTime(timezone=True), comment="rolled up from here; empty before the first round"),
    Column("done_until", DateTime(timezone=True), comment="and until here"),
    PrimaryKeyConstraint("table_name", "width"),
)

rollup_change = Table(
    "rollup_change",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("hours", ARRAY(BigInteger), nullable=False, comment="hours since 1970 that rows were added to"),
    comment="one row for each transaction that adds samples; what is rolled up again leaves it",
)

committed = Table(
    "committed",
    metadata,
    Column("site", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("ranges", JSONB, nullable=False, comment="disjoint, ascending, inclusive [first, last]"),
    Column(
        "times",
        JSONB,
        nullable=False,
        server_default="[]",
        comment="[first, last, lowest, highest time in µs] of stored frames, ascending, coarser with age",
    ),
    Column(
        "refused",
        Boolean,
        nullable=False,
        server_default="false",
        comment="the epoch belongs to another gateway: what comes under it is set aside",
    ),
    now("updated"),
    PrimaryKeyConstraint("site", "gateway", "epoch"),
)

assignment = Table(
    "assignment",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("site", Text, nullable=False),
    Column("device", Text, nullable=False, comment="area/line/device"),
    Column("gateway", Text, nullable=False, comment="who speaks for it"),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("until", DateTime(timezone=True), comment="empty while it lasts"),
    Index("ix_assignment_site_device", "site", "device"),
)

turn = Table(
    "turn",
    metadata,
    Column("site", Text, nullable=False),
    Column("work", Text, nullable=False, comment="what one of several historians does at a time"),
    Column("owner", Text, nullable=False, comment="unique per process"),
    Column("expires", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("site", "work"),
)

gap = Table(
    "gap",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("site", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("device", Text, nullable=False, server_default="", comment="empty: the whole gateway"),
    Column("start", DateTime(timezone=True), nullable=False),
    Column("end", DateTime(timezone=True)),
    Column("frames", BigInteger, nullable=False, server_default="0", comment="0: not known"),
    Column("reason", Text, nullable=False),
    Column("epoch", Text, nullable=False, server_default=""),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    now("recorded"),
    Index("ix_gap_site_start", "site", "start"),
    Index("ix_gap_device", "site", "gateway", "device", "start"),
    # Two controls that see the same gateway go open one gap.
    Index("uq_gap_open", "site", "gateway", "device", unique=True, postgresql_where=text('"end" IS NULL')),
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    now("at"),
    Column("site", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("payload", Text, nullable=False, comment="as text; bytes that are not UTF-8 as \\xNN, at most 4 KiB"),
    Column(
        "count",
        Integer,
        nullable=False,
        server_default="1",
        comment="how many alike were folded into this row",
    ),
    Column("asked", DateTime(timezone=True), nullable=True, comment="waits for the historian since then"),
    Column("tries", Integer, nullable=False, server_default="0", comment="retries that did not store it"),
    Index("ix_dead_letter_asked", "site", "id", postgresql_where=text("asked IS NOT NULL")),
)

__all__ = [
    "alert",
    "alert_change",
    "api_token",
    "assignment",
    "audit",
    "audit_head",
    "audit_link",
    "command",
    "committed",
    "confirmation",
    "credential",
    "dead_letter",
    "deployment",
    "device_walk",
    "device_walk_piece",
    "discovery",
    "elevation",
    "export",
    "gap",
    "i3x_batch",
    "i3x_subscription",
    "journal",
    "kept_series",
    "leader",
    "lease",
    "metadata",
    "notification",
    "out_of_service",
    "purge",
    "purge_series",
    "resource",
    "retention_class",
    "rollout",
    "rollout_wave",
    "rollup",
    "rollup_change",
    "sequence_run",
    "sequence_step",
    "series",
    "turn",
]
