"""Tables of rollouts: deployments that go out in waves, or wait for a maintenance window."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from nexus_cli.database.table_metadata import metadata, now

rollout = Table(
    "rollout",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("site", Text, nullable=False, comment="enterprise/site"),
    Column("number", Integer, nullable=False, comment="counts from 1 within the site"),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column(
        "state",
        Text,
        nullable=False,
        comment="waiting | applying | soaking | stopped | rolling-back | rolled-back | applied",
    ),
    Column("why", Text, nullable=False, server_default="", comment="why it was stopped"),
    Column("position", Integer, nullable=False, server_default="0", comment="of the wave that it is at, from 0"),
    Column("gates", JSONB, nullable=False, server_default="{}"),
    Column("on_failure", Text, nullable=False, comment="stop | rollback"),
    Column("window_use", Text, nullable=False, comment="refuse | wait | ignore"),
    Column("base", Integer, nullable=False, comment="number of the deployment before it"),
    Column("expects", Text, nullable=False, comment="digest of the recorded state that the next wave begins from"),
    Column("plan", JSON, nullable=False, comment="of all waves, as a deployment has it"),
    Column("digests_before", JSON, nullable=False, comment="recorded digests of what it changes, by address"),
    Column("run_url", Text, nullable=False, server_default="", comment="page of the CI run that made it"),
    Column("undone_by", Integer, comment="number of the deployment that took it back"),
    now("started"),
    Column("ended", DateTime(timezone=True)),
    UniqueConstraint("site", "number"),
    Index("ix_rollout_site_state", "site", "state"),
)

rollout_wave = Table(
    "rollout_wave",
    metadata,
    Column("rollout_id", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True, comment="from 0"),
    Column("name", Text, nullable=False),
    Column("addresses", JSONB, nullable=False),
    Column("soak_ms", BigInteger, nullable=False),
    Column("left_ms", BigInteger, nullable=False, comment="of the soak"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="pending | waiting | applying | soaking | passed | failed | stopped | rolled-back",
    ),
    Column("deployment", Integer, nullable=False, server_default="0", comment="its number; 0 before it began"),
    Column("opens", DateTime(timezone=True), comment="when the window that it waits for opens"),
    Column("begun", DateTime(timezone=True), comment="by the clock of control"),
    Column("measured", JSONB, nullable=False, server_default="{}", comment="before it began, and as its soak began"),
    Column("verdicts", JSONB, nullable=False, server_default="[]"),
    ForeignKeyConstraint(["rollout_id"], ["nexus.rollout.id"], ondelete="CASCADE"),
    Index("ix_rollout_wave_deployment", "deployment"),
)
