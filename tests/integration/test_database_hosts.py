"""Several hosts in one database URL: the first that answers is used, and when none does each is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nexus_cli.database import migrate
from nexus_cli.database.ability import require_able
from nexus_cli.database.connect import connection, open_pool
from nexus_cli.database.revision import require_current
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from tests.servers import free_port

pytestmark = [pytest.mark.needs_database]


def beside(settings: Settings, *, first: bool, more: str = "") -> Settings:
    """The same database, with a host beside its own that refuses connections."""
    parts = urlsplit(settings.database_url)
    refusing, ours = f"127.0.0.1:{free_port()}", f"{parts.hostname}:{parts.port}"
    hosts = f"{refusing},{ours}" if first else f"{ours},{refusing}"
    url = parts._replace(netloc=f"{parts.username}@{hosts}", query=more).geturl()
    return dataclasses.replace(settings, database_url=url)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("more", ["", "target_session_attrs=read-write"])
async def test_the_host_that_answers_is_used(first: bool, more: str, database: Settings) -> None:
    settings = beside(database, first=first, more=more)
    name = urlsplit(database.database_url).path[1:]
    async with connection(settings) as opened:
        assert await opened.fetchval("SELECT current_database()") == name
    pool = await open_pool(settings, size=1)
    try:
        assert await pool.fetchval("SELECT current_database()") == name
    finally:
        await pool.close()
    await require_able(settings)
    await require_current(settings)


async def test_a_schema_is_made_through_the_second_host(empty_database: Settings) -> None:
    await migrate.upgrade(beside(empty_database, first=True))
    await require_current(empty_database)


async def test_where_none_answers_each_is_named(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    settings = Settings(home=tmp_path, site="acme/chicago", database_url=f"postgresql://nexus@{hosts}/plant")
    with pytest.raises(NexusError) as failed:
        async with connection(settings):
            pytest.fail("nobody listens")
    assert failed.value.code == "NX6200" and f"{hosts}/plant" in failed.value.message
