"""Alembic's environment: the connection comes from NEXUS settings, everything lives in schema `nexus`."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import text

from nexus_cli.database.migrate import LOCK_KEY, include_name
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.tables import metadata


def _run(connection: Any) -> None:
    applied: list[str] = context.config.attributes.get("applied", [])

    def note(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
        applied.append(step.up_revision_id)

    # Another upgrade may take its time; one that was stopped loses its session. For tables nobody waits for long,
    # because whoever comes later would wait behind us.
    connection.execute(text("SET lock_timeout = 0"))
    connection.execute(text(f"SELECT pg_advisory_lock({LOCK_KEY})"))
    connection.execute(text("RESET lock_timeout"))
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=SCHEMA,
            include_schemas=True,
            include_name=include_name,
            transaction_per_migration=True,
            on_version_apply=note,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.execute(text(f"SELECT pg_advisory_unlock({LOCK_KEY})"))
            connection.commit()


async def _run_alone() -> None:
    """For `alembic …` typed in a checkout: connect as every role does."""
    from sqlalchemy.ext.asyncio import create_async_engine

    from nexus_cli.database.connect import open_connection
    from nexus_cli.settings import load_settings

    async def creator() -> Any:
        return await open_connection(load_settings(), application="alembic")

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    asyncio.run(_run_alone())
