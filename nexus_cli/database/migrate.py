"""Migrations from code: upgrade, check, downgrade. The scripts lie in `migrations/`, in a wheel in `_migrations`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from nexus_cli.database.connect import MIGRATING, connection, open_connection, plain_errors
from nexus_cli.database.errors import BUSY
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.revision import VERSION_TABLE, current, from_the_future, scripts_folder
from nexus_cli.database.tables import metadata
from nexus_cli.database.timescale import idle_timescale
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection as SyncConnection

T = TypeVar("T")

LOCK_KEY = 0x6E6578_75730001
"""Advisory lock of migrations: two `nexus db upgrade` at once run one after the other."""

LOCK_TRIES = 20
LOCK_PAUSE_S = 2.0
"""Behind a reader that takes long a migration waits for its lock, and every writer waits behind the migration. So it waits
for less than a writer gives a lock (`connect.WRITING`), then lets them pass, and tries again, for some 80 s in all."""


JOB_TABLES = frozenset({"job", "job_log", "job_statistics", "job_schedule"})
"""Of pgqueuer: a migration makes them as the library declares them, and a test asks the library whether they are so."""


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """The scope of autogenerate: schema `nexus`, without the tables of retention classes and of the job queue."""
    if kind == "schema":
        return name == SCHEMA
    table = name if kind == "table" else parents.get("table_name")
    return table is None or not (table.startswith("sample_") or table == VERSION_TABLE or table in JOB_TABLES)


async def upgrade(settings: Settings, *, revision: str = "head") -> tuple[str, ...]:
    """Apply pending migrations, each in its own transaction.

    Returns:
        The revisions that were applied, in order.

    Raises:
        NexusError: NX6200 to NX6203, or NX6204 when the database was made by a newer version.
    """
    state = await current(settings)
    if not state.known:
        raise from_the_future(state)
    if state.up_to_date and revision == "head":
        return ()  # a standby may be asked as well
    return await _command(settings, lambda config: _alembic().upgrade(config, revision))


async def leaves_timescale_idle(settings: Settings) -> bool:
    """True when the server has TimescaleDB and does not preload it: the schema was made without."""
    async with connection(settings, application="nexus-migrate") as conn:
        return await idle_timescale(conn)


async def downgrade(settings: Settings, *, revision: str) -> tuple[str, ...]:
    """Take migrations back until `revision` (`-1` one step, `base` everything, samples included).

    Returns:
        The revisions that were taken back, in order.
    """
    return await _command(settings, lambda config: _alembic().downgrade(config, revision))


async def check(settings: Settings) -> tuple[str, ...]:
    """Compare the database with `tables.py`.

    Returns:
        One line per difference; empty when they agree.
    """
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - alembic: only when there is work

    def compare(connection: SyncConnection) -> tuple[str, ...]:
        return tuple(_describe(found) for found in compare_metadata(_context(connection), metadata))

    return await _with_connection(settings, compare)


def _describe(found: Any) -> str:
    if isinstance(found, list):
        return "; ".join(_describe(each) for each in found)
    return " ".join(str(part) for part in found if part is not None)


def _alembic() -> Any:
    from alembic import command  # noqa: PLC0415 - alembic: only when there is work

    return command


def _context(connection: SyncConnection) -> Any:
    from alembic.migration import MigrationContext  # noqa: PLC0415 - alembic: only when there is work

    options = {
        "version_table_schema": SCHEMA,
        "include_schemas": True,
        "include_name": include_name,
        "target_metadata": metadata,
    }
    return MigrationContext.configure(connection, opts=options)


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - alembic: only when there is work

    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config


async def _command(settings: Settings, act: Callable[[Config], None]) -> tuple[str, ...]:
    from alembic.util.exc import CommandError  # noqa: PLC0415 - alembic: only when there is work

    applied: list[str] = []

    def work(connection: SyncConnection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        config.attributes["applied"] = applied
        act(config)

    for left in reversed(range(LOCK_TRIES)):
        try:
            await _with_connection(settings, work)
        except CommandError as error:
            raise NexusError("The migration can't be run.", code="NX6205", cause=str(error)) from None
        except NexusError as error:
            # What was applied before the lock was met is committed; the next try begins behind it.
            if error.code != BUSY or not left:
                raise
            await _let_pass()
        else:
            break
    return tuple(applied)


async def _let_pass() -> None:
    """Hold no lock and wait for none, so that sessions that wait for one go first."""
    await asyncio.sleep(LOCK_PAUSE_S)


async def _with_connection(settings: Settings, work: Callable[[SyncConnection], T]) -> T:
    """Run a synchronous piece of Alembic over asyncpg (SQLAlchemy's greenlet bridge)."""

    async def creator() -> Any:
        return await open_connection(settings, application="nexus-migrate", limits=MIGRATING)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        with plain_errors(settings):
            try:
                async with engine.connect() as connection:
                    done = await connection.run_sync(work)
                    await connection.commit()
                    return done
            except DBAPIError as error:
                original = error.orig.__cause__ if error.orig is not None else None
                raise (original or error) from None
    finally:
        await engine.dispose()
