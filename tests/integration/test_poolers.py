"""pgbouncer between nexus and the database: refused with one sentence, in every mode and by every way in."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from nexus_cli.database import migrate, revision
from nexus_cli.database.ability import require_able
from nexus_cli.database.connect import WRITING, open_pool
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.history import history
from nexus_cli.runtime.historian.database_link import DatabaseLink
from nexus_cli.settings import Settings
from tests.postgres import PASSWORD
from tests.servers import free_port
from tests.waiting import patient

pytestmark = [pytest.mark.needs_database]
IGNORED = (
    "search_path,lock_timeout,statement_timeout,idle_in_transaction_session_timeout,idle_session_timeout,"
    "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,tcp_user_timeout"
)
"""Everything that a session of ours begins with and that pgbouncer does not know."""
INI = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
ignore_startup_parameters = {ignored}
logfile = {folder}/log
"""
Bouncer = Callable[..., Settings]


def _program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("pgbouncer is not installed: what a pooler in front of the database does was not tried")
    return found


@pytest.fixture
def bouncer(database: Settings, tmp_path: Path) -> Iterator[Bouncer]:
    """Starts a pgbouncer in a mode in front of the test's database; gives settings that go through it."""
    program, started = _program(), []
    as_user: dict[str, Any] = {}
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    if os.geteuid() == 0:  # it refuses to run as root
        as_user = {"user": "nobody", "extra_groups": []}
        shutil.chown(folder, user="nobody")
        for parent in tmp_path.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o011)
        tmp_path.chmod(0o711)

    def start(mode: str, *, ignored: str) -> Settings:
        server, listen = urlsplit(database.database_url), free_port()
        (folder / "users").write_text(f'"nexus" "{PASSWORD}"\n')
        ini = folder / f"{mode}.ini"
        facts = {"host": server.hostname, "port": server.port, "folder": folder, "listen": listen}
        ini.write_text(INI.format(mode=mode, ignored=ignored, **facts))
        started.append(subprocess.Popen([program, "-q", str(ini)], cwd=folder, **as_user))
        deadline = time.monotonic() + patient(20.0)
        url = server._replace(netloc=f"nexus@127.0.0.1:{listen}").geturl()
        while not asyncio.run(_lets_in(url)):
            assert started[-1].poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        return Settings(home=tmp_path, site=database.site, database_url=url, database_password=PASSWORD)

    try:
        yield start
    finally:
        for each in started:
            each.kill()
            each.wait(10)


async def _lets_in(url: str) -> bool:
    try:
        opened = await asyncpg.connect(url, password=PASSWORD, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False
    await opened.close()
    return True


async def _ways_in(settings: Settings) -> None:
    stop = asyncio.Event()
    link = DatabaseLink(settings, application="nexus-historian-write", on_change=lambda: None, limits=WRITING)
    for way in (
        require_able(settings),
        migrate.upgrade(settings),
        revision.current(settings),
        history("a/l/d/t", settings=settings),
        open_pool(settings),
    ):
        with pytest.raises(NexusError) as caught:
            await way
        assert caught.value.code == "NX6207", caught.value
        assert caught.value.message.endswith("and nexus can't work through it.")
    # A role does not end: somebody may put the address right. It says why it waits.
    using = asyncio.create_task(link.use(_any, stop=stop))
    while not link.problem:
        await asyncio.sleep(0.01)
    assert "search_path" in link.problem
    stop.set()
    await asyncio.wait({using})
    using.exception()


async def _any(conn: Any) -> None:
    await conn.fetchval("SELECT 1")


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("ignored", ["", IGNORED], ids=["strict", "ignoring"])
def test_a_pooler_is_refused_whatever_its_mode(bouncer: Bouncer, mode: str, ignored: str) -> None:
    asyncio.run(_ways_in(bouncer(mode, ignored=ignored)))
