"""The lease while it is held: prolonged in time, and the work under it stopped when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from nexus_cli.database import lease
from nexus_cli.database.connect import Pool
from nexus_cli.database.recording import LeaseLost
from nexus_cli.diagnostics.groups import Group, first_of_group, wait_for


@contextlib.asynccontextmanager
async def kept(pool: Pool, site: str, *, token: str, ttl_s: float) -> AsyncIterator[asyncio.Event]:
    """Keep a lease alive while the block runs; set the event that it gives before releasing the lease inside.

    Raises:
        LeaseLost: It is not ours any more; the block was cancelled.
        OSError, PostgresError: The database is away; the block was cancelled.
    """
    over = asyncio.Event()
    try:
        async with Group() as group:
            group.create_task(_beat(pool, site, token=token, ttl_s=ttl_s, over=over), name="lease-heartbeat")
            try:
                yield over
            finally:
                over.set()
    except BaseExceptionGroup as failed:
        raise first_of_group(failed) from None


async def _beat(pool: Pool, site: str, *, token: str, ttl_s: float, over: asyncio.Event) -> None:
    while not over.is_set():
        async with pool.acquire() as conn:
            ours = await lease.beat(conn, site, token=token, ttl_s=ttl_s)
        if not ours and not over.is_set():
            raise LeaseLost
        await wait_for(over, timeout_s=ttl_s / 3)
