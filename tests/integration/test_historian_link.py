"""The historian's connection: whatever cuts it, the work is done on the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from nexus_cli.runtime.historian.database_link import DatabaseLink
from nexus_cli.settings import Settings
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]


@pytest.mark.parametrize(
    "cut",
    [
        ConnectionResetError("reset"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_work_is_done_again_on_a_new_connection(database: Settings, cut: Exception) -> None:
    opened: list[Any] = []

    async def work(connection: Any) -> int:
        opened.append(connection)
        if len(opened) == 1:
            raise cut
        found: int = await connection.fetchval("select 1")
        return found

    link = DatabaseLink(database, application="nexus-test", on_change=lambda: None)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await link.use(work, stop=asyncio.Event()) == 1
    finally:
        await link.close()
    assert len(opened) == 2
    assert opened[0] is not opened[1]
    assert opened[0].is_closed()
    assert (link.losses, link.problem) == (1, "")
