"""What the tables of schema `nexus` have in common: their metadata, and the column that says when a row was made."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData, func

from nexus_cli.database.names import SCHEMA

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    },
)


def now(name: str) -> Column[object]:
    """A time that is the row's own unless another is given."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
