"""Tables for people and programs: passwords, tokens, elevation, devices out of service, subscriptions, discoveries, exports."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from nexus_cli.database.table_metadata import metadata, now

out_of_service = Table(
    "out_of_service",
    metadata,
    Column("site", Text, nullable=False),
    Column("device", Text, nullable=False, comment="area/line/device"),
    now("since"),
    Column("until", DateTime(timezone=True), nullable=False, comment="it ends by itself"),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("site", "device"),
)

credential = Table(
    "credential",
    metadata,
    Column("site", Text, nullable=False),
    Column("principal", Text, nullable=False, comment="a declared user or application"),
    Column("slot", Text, nullable=False, comment="a | b: two are valid while one replaces the other"),
    Column("hashes", JSONB, nullable=False, comment="access.passwords.Hashes; no clear text"),
    Column("active", Boolean, nullable=False, server_default="true", comment="false: the other slot took its place"),
    Column("expires", DateTime(timezone=True), comment="when the slot ends; NULL: never"),
    Column("made_by", Text, nullable=False),
    now("made"),
    PrimaryKeyConstraint("site", "principal", "slot"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID; the claim jti"),
    Column("principal", Text, nullable=False, comment="whose rights it has at most"),
    Column("kind", Text, nullable=False, comment="token | session"),
    Column("scopes", ARRAY(Text), nullable=False, comment="what it may do at most; * is all that the principal may"),
    Column("expires", DateTime(timezone=True), nullable=False),
    Column("revoked", DateTime(timezone=True), comment="NULL: not revoked"),
    Column("made_by", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    now("made"),
    PrimaryKeyConstraint("site", "id"),
    Index("ix_api_token_principal", "site", "principal"),
)

elevation = Table(
    "elevation",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID"),
    Column("principal", Text, nullable=False, comment="who has the role admin, too"),
    Column("reason", Text, nullable=False),
    Column("given_by", Text, nullable=False),
    now("begins"),
    Column("ends", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("site", "id"),
    Index("ix_elevation_ends", "site", "ends"),
)

i3x_subscription = Table(
    "i3x_subscription",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("principal", Text, nullable=False, comment="who made it; nobody else finds it"),
    Column("client_id", Text, nullable=False, comment="as the client calls itself"),
    Column("name", Text, nullable=False, server_default=""),
    Column("owner", Text, nullable=False, comment="the web that has it"),
    Column("generation", BigInteger, nullable=False, comment="rises each time that a web takes it"),
    Column("monitored", JSONB, nullable=False, server_default="[]", comment="[[elementId, maxDepth]]"),
    Column("revision", BigInteger, nullable=False, server_default="0", comment="of monitored, rises with every change"),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}", comment="paths"),
    Column(
        "seen",
        LargeBinary,
        nullable=False,
        server_default="",
        comment="for each of tags: time of its newest value in a batch, µs, int64 little-endian",
    ),
    Column("next_sequence", Numeric(20, 0), nullable=False, server_default="1"),
    Column("acknowledged", Numeric(20, 0), nullable=False, server_default="0"),
    Column("sent", Numeric(20, 0), nullable=False, server_default="0"),
    Column(
        "loss",
        ARRAY(BigInteger),
        nullable=False,
        server_default="{}",
        comment="what was dropped: first and last number, first and last time in µs",
    ),
    now("created"),
    Column(
        "touched", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="last sync or stream"
    ),
    Column("streaming", DateTime(timezone=True), comment="until when its owner streams it"),
    PrimaryKeyConstraint("site", "id"),
    Index("ix_i3x_subscription_principal", "site", "principal"),
)

i3x_batch = Table(
    "i3x_batch",
    metadata,
    Column("site", Text, nullable=False),
    Column("subscription", Text, nullable=False),
    Column("sequence", Numeric(20, 0), nullable=False),
    Column("updates", JSONB, nullable=False, comment="[[elementId, path, value, quality, µs]]"),
    ForeignKeyConstraint(
        ["site", "subscription"], [i3x_subscription.c.site, i3x_subscription.c.id], ondelete="CASCADE"
    ),
    PrimaryKeyConstraint("site", "subscription", "sequence"),
)

discovery = Table(
    "discovery",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID"),
    Column("who", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("target", Text, nullable=False, comment="what was browsed, without passwords"),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("ended", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False, comment="done | stopped | failed"),
    Column("detail", Text, nullable=False, server_default=""),
    Column("found", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("result", JSONB, nullable=False, server_default="{}", comment="values, skipped_reasons"),
    PrimaryKeyConstraint("site", "id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("site", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, server_default="0", comment="of the newest link"),
    Column("digest", LargeBinary, nullable=False, comment="of the newest link; 32 zeros before the first"),
    now("at"),
    Column("adopted", BigInteger, nullable=False, server_default="0", comment="links made afterwards"),
    Column("open", Boolean, nullable=False, server_default="false", comment="within a commit alone"),
)

audit_link = Table(
    "audit_link",
    metadata,
    Column("site", Text, nullable=False),
    Column("number", BigInteger, nullable=False, comment="from 1, without gaps"),
    Column("audit_id", BigInteger, nullable=False, index=True, unique=True),
    Column("at", DateTime(timezone=True), nullable=False, comment="of its row"),
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256"),
    PrimaryKeyConstraint("site", "number"),
    comment="the digest chain over audit, in the order of commits",
)

notification = Table(
    "notification",
    metadata,
    Column("site", Text, nullable=False),
    Column("alert", Text, nullable=False, comment="its name"),
    Column("occurrence", BigInteger, nullable=False, comment="when it became active, µs since 1970 UTC"),
    Column("step", Text, nullable=False, comment="active | returned | escalate-MS"),
    Column("channel", Text, nullable=False, comment="'': that it happened"),
    Column("state", Text, nullable=False, comment="noted | waiting | sending | failed | sent"),
    Column("tries", Integer, nullable=False, server_default="1", comment="how often sending began"),
    now("begun"),
    Column("sent", DateTime(timezone=True)),
    Column("digest", BigInteger, comment="the job whose digest has it"),
    Column("about", JSONB, nullable=False, server_default="{}", comment="what a digest says of it"),
    Column("detail", Text, nullable=False, server_default="", comment="why the last try failed"),
    PrimaryKeyConstraint("site", "alert", "occurrence", "step", "channel"),
    Index("ix_notification_occurrence", "site", "occurrence"),
    Index("ix_notification_state", "site", "state", "channel"),
)

archive_day = Table(
    "archive_day",
    metadata,
    Column("site", Text, nullable=False),
    Column("class", Text, nullable=False, comment="retention class"),
    Column("day", Date, nullable=False, comment="UTC"),
    Column("state", Text, nullable=False, comment="open | writing | verified | dropped"),
    Column("token", Text, nullable=False, server_default="", comment="of the try that writes it"),
    Column(
        "stored", BigInteger, nullable=False, server_default="0", comment="rows in the database when it was verified"
    ),
    Column("digest", Text, nullable=False, server_default="", comment="of these rows"),
    Column(
        "complete", Boolean, nullable=False, server_default="true", comment="the database has all rows of the archive"
    ),
    Column("rows", BigInteger, nullable=False, server_default="0", comment="in the archive"),
    Column("manifest", JSONB, nullable=False, server_default="{}", comment="as in the archive"),
    Column("error", Text, nullable=False, server_default="", comment="why the last try failed"),
    Column("hold_until", DateTime(timezone=True), comment="restored: not dropped before"),
    now("changed"),
    Column("verified", DateTime(timezone=True)),
    Column("dropped", DateTime(timezone=True)),
    PrimaryKeyConstraint("site", "class", "day"),
)

export = Table(
    "export",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID"),
    Column("who", Text, nullable=False),
    Column("state", Text, nullable=False, comment="waiting | running | done | failed | removed"),
    Column("format", Text, nullable=False, comment="parquet | csv"),
    Column("selectors", ARRAY(Text), nullable=False, comment="as asked for"),
    Column("series", ARRAY(Integer), nullable=False, comment="those of them that who asked may read"),
    Column("start", DateTime(timezone=True), nullable=False),
    Column("end", DateTime(timezone=True), nullable=False, comment="exclusive"),
    now("created"),
    Column("begun", DateTime(timezone=True), comment="the last try"),
    Column("ended", DateTime(timezone=True)),
    Column("expires", DateTime(timezone=True), comment="row and file are removed then"),
    Column("token", Text, nullable=False, server_default="", comment="of the try that has it"),
    Column("file", Text, nullable=False, server_default="", comment="its name in the place of exports"),
    Column("rows", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("sha256", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default="", comment="why the last try failed"),
    PrimaryKeyConstraint("site", "id"),
    Index("ix_export_state", "site", "state", "who"),
)

device_walk = Table(
    "device_walk",
    metadata,
    Column("site", Text, nullable=False),
    Column("id", Text, nullable=False, comment="ULID"),
    Column("who", Text, nullable=False),
    Column("device", Text, nullable=False, comment="area/line/device"),
    Column("gateway", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("wanted", JSONB, nullable=False, server_default="{}", comment="filters and limits"),
    Column("state", Text, nullable=False, comment="waiting | running | done | failed | removed"),
    now("created"),
    Column("begun", DateTime(timezone=True), comment="the last try"),
    Column("ended", DateTime(timezone=True)),
    Column("expires", DateTime(timezone=True), comment="it is removed then"),
    Column("token", Text, nullable=False, server_default="", comment="of the try that has it"),
    Column("found", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("waiting", Integer, nullable=False, server_default="0", comment="nodes that were not browsed yet"),
    Column("pieces", Integer, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0", comment="of its pieces"),
    Column("reason", Text, nullable=False, server_default="", comment="why the last try failed"),
    PrimaryKeyConstraint("site", "id"),
    Index("ix_device_walk_state", "site", "state", "device"),
    comment="discoveries that the worker does",
)

device_walk_piece = Table(
    "device_walk_piece",
    metadata,
    Column("site", Text, nullable=False),
    Column("walk", Text, nullable=False),
    Column("number", Integer, nullable=False, comment="from 1"),
    Column("lines", LargeBinary, nullable=False, comment="of a journal (discover/journal.py), zlib"),
    ForeignKeyConstraint(["site", "walk"], [device_walk.c.site, device_walk.c.id], ondelete="CASCADE"),
    PrimaryKeyConstraint("site", "walk", "number"),
)

drift_report = Table(
    "drift_report",
    metadata,
    Column("site", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False, comment="of the look, µs since 1970 UTC"),
    Column("report", JSONB, nullable=False, comment="as schemas/drift.schema.json"),
    PrimaryKeyConstraint("site", "time_us"),
    comment="results of the schedule of drift",
)

device_identity = Table(
    "device_identity",
    metadata,
    Column("site", Text, nullable=False),
    Column("device", Text, nullable=False, comment="area/line/device"),
    Column("link", Text, nullable=False, comment="on which it was said"),
    Column("facts", JSONB, nullable=False, comment="maker, product, version"),
    now("since"),
    PrimaryKeyConstraint("site", "device"),
    comment="what devices said of themselves",
)
