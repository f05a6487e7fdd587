"""The tables of commands and of runs of sequences, for migrations. The statements are in `commands.py` and `sequences.py`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from nexus_cli.database.table_metadata import metadata, now

command = Table(
    "command",
    metadata,
    Column("id", Text, nullable=False, comment="idempotency key"),
    Column("site", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("value", JSONB, nullable=False),
    Column("state", Text, nullable=False, comment="done | refused | failed | unknown"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    now("at"),
    Column(
        "asked_by",
        Text,
        nullable=False,
        server_default="",
        comment="for whom the principal asked; empty: for itself",
    ),
    PrimaryKeyConstraint("site", "principal", "id", "path"),
    Index("ix_command_site_at", "site", "at"),
)

sequence_run = Table(
    "sequence_run",
    metadata,
    Column("id", Text, nullable=False, comment="one for the whole; commands of step n are ID.n"),
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False, comment="running | done | refused | aborted | failed | interrupted"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Column("definition", JSONB, nullable=False, comment="the sequence as it was when it began"),
    now("started"),
    Column("ended", DateTime(timezone=True)),
    PrimaryKeyConstraint("site", "id"),
)

sequence_step = Table(
    "sequence_step",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("site", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("step", Integer, nullable=False, comment="rising within the run, the abort branch included"),
    Column("branch", Text, nullable=False, server_default="steps", comment="requires | steps | on_abort"),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False, comment="begun | done | refused | failed | unknown"),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    now("at"),
    Index("ix_sequence_step_run", "site", "run", "number"),
)

__all__ = ["command", "sequence_run", "sequence_step"]
