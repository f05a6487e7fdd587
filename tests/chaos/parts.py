"""The runtime of a run: the processes of `tests.e2e.runtime`, a broker with rights, proxies, clocks and small disks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import principals
from nexus_cli.access.grants_file import NOTHING, Wanted, mark_applied, read_wanted
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.credentials import ensure_credentials
from nexus_cli.model.snapshot import Snapshot
from tests.chaos.network import Proxy
from tests.e2e.runtime import Runtime
from tests.servers import answers, free_port
from tests.waiting import wait_until

SHIM = Path(__file__).parent / "watched"
OUTBOX_BYTES = 40 << 20
DATABASE_BYTES = 3 << 30
PANEL = "panel"
"""The declared user of the site: it sends the commands, and its password is what a hostile session knows."""


class GuardedBroker:
    """Mosquitto with the configuration, rights and passwords that `nexus up` gives it; rights follow deployments."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._home, self._files = home, LocalMosquitto(home)
        self._digest = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        wanted = read_wanted(self._home) or NOTHING
        passwords = ensure_credentials(self._home, broker=principals(wanted.grants))["broker"]
        self._files.prepare(port=self.port, wanted=wanted, passwords=passwords)
        self._digest = wanted.digest
        launch = self._files.launch()
        as_user = launch.identity.popen_arguments() if launch.identity else {}
        with (self._home.parent / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                launch.command, stdout=log, stderr=log, cwd=launch.folder, env=launch.environment, **as_user
            )
        wait_until(lambda: answers(self.port), "the broker")
        mark_applied(self._home, self._digest)

    def obey(self) -> None:
        """Bring the rights that control asked for into force; cheap when nothing changed."""
        wanted = read_wanted(self._home) or NOTHING
        if self.process is None or wanted.digest == self._digest:
            return
        passwords = ensure_credentials(self._home, broker=principals(wanted.grants))["broker"]
        self._files.write_access(wanted, passwords)
        self.process.send_signal(signal.SIGHUP)
        self._digest = wanted.digest
        mark_applied(self._home, self._digest)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(30)


class Disks:
    """Small disks for what a run fills up; none where this user may not mount. `close` takes them away."""

    def __init__(self) -> None:
        self.mounted: list[Path] = []
        # For PostgreSQL, which runs as another user: not below a folder that only we may look into.
        self.own = Path(tempfile.mkdtemp(prefix="nexus-chaos-"))
        self.own.chmod(0o755)

    def mount(self, folder: Path, *, size_bytes: int) -> bool:
        """Give a folder a disk of its own; False when that is not possible here."""
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(folder)]
        with contextlib.suppress(OSError):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                self.mounted.append(folder)
                return True
        return False

    def close(self) -> None:
        """Unmount, and remove what was mounted in a folder of its own."""
        for folder in reversed(self.mounted):
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
        shutil.rmtree(self.own, ignore_errors=True)


class GivenDatabase:
    """A database of its own on a server that somebody else runs, e.g. TimescaleDB; it can't be killed or filled.

    Attributes:
        url: With the user, without the password.
        process: None, there is none of ours.
    """

    process = None

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 5432
        self.password = parts.password or ""
        self._admin = f"postgresql://{parts.username}@{self.host}:{self.port}{parts.path}"
        self._name = f"chaos_{time.time_ns()}"
        self.url = f"postgresql://{parts.username}@{self.host}:{self.port}/{self._name}"

    def start(self) -> None:
        """Make the database."""
        self._do(f"CREATE DATABASE {self._name}")

    def close(self) -> None:
        """Drop it."""
        self._do(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        async def do() -> None:
            connection = await asyncpg.connect(self._admin, password=self.password)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        # Also called where a loop runs already.
        with ThreadPoolExecutor(1) as other:
            other.submit(asyncio.run, do()).result()


class ChaosRuntime(Runtime):
    """Every part of the runtime, and how to reach it.

    Attributes:
        disks: Those that could be made.
        database_disk: Where PostgreSQL has its data.
        field_folder: Where the counting devices write their logs.
    """

    def __init__(self, folder: Path, *, site: str, snapshot: Snapshot, disks: Disks, server: str = "") -> None:
        """Make folders and disks; nothing is started.

        Args:
            server: URL of a PostgreSQL server with its password; "" for one of our own.
        """
        self.disks = disks
        self.database_disk = disks.own / "database"
        if not server:
            disks.mount(self.database_disk, size_bytes=DATABASE_BYTES)
            tempfile.tempdir = str(self.database_disk)
        try:
            database = GivenDatabase(server) if server else None
            super().__init__(folder, site=site, gateways=("gw-a", "gw-b"), database=database)
        finally:
            tempfile.tempdir = None
        for gateway in self.gateways:
            disks.mount(self.home / "outbox" / gateway, size_bytes=OUTBOX_BYTES)
        self.home.chmod(0o700)
        self.field_folder = folder / "field"
        self.field_folder.mkdir()
        self._snapshot = snapshot
        self.guarded = GuardedBroker(self.home)
        self.broker = self.guarded  # type: ignore[assignment]

    def _write_credentials(self) -> None:
        Wanted(compile_grants(self._snapshot)).write(self.home)
        roles = ["nexus.control", "nexus.historian", "nexus.cli", *(f"nexus.gateway.{name}" for name in self.gateways)]
        ensure_credentials(self.home, broker=[*roles, PANEL], api=roles, database=["nexus"])

    def lead_through(self, proxies: Mapping[str, Proxy]) -> None:
        """Let every role connect through the proxies named after it, with a clock of its own that can be set."""
        host = "127.0.0.1"
        for role in self.roles:
            clock = self.folder / f"clock-{role}"
            clock.write_text("0")
            found = {
                "NEXUS_TEST_CLOCK": str(clock),
                "NEXUS_CLOCK_SYNCHRONISED": "auto",  # a clock that is set by hand has nobody to vouch for it
                "NEXUS_LOG_LEVEL": "debug",
                "NEXUS_TEST_TASKS": str(self.folder / f"tasks-{role}"),
                "PYTHONPATH": f"{SHIM}{os.pathsep}{Path(__file__).parents[2]}",
            }
            if f"{role}>broker" in proxies:
                found["NEXUS_BROKER_URL"] = f"mqtt://{host}:{proxies[f'{role}>broker'].port}"
            if f"{role}>control" in proxies:
                found["NEXUS_CONTROL_URL"] = f"http://{host}:{proxies[f'{role}>control'].port}"
            if f"{role}>database" in proxies:
                ours = f":{proxies[f'{role}>database'].port}/"
                found["NEXUS_DATABASE_URL"] = self.database.url.replace(f":{self.database.port}/", ours)
            self.extra_environment[role] = found

    def set_clock(self, role: str, offset_s: float) -> None:
        """Set the wall clock of a role off by so much."""
        beside = self.folder / f".clock-{role}"
        beside.write_text(str(offset_s))
        beside.replace(self.folder / f"clock-{role}")

    def start_field(self, modbus: tuple[int, int], opcua: int, nodes: list[str], *, simulated: bool) -> None:
        """Start the device servers.

        Args:
            modbus: Port, and on how many loopback addresses.
            opcua: Port.
            nodes: `device:nodes` each.
            simulated: Whether `simulated.yaml` has devices for `nexus sim`.
        """
        python, logs = sys.executable, str(self.field_folder)
        self.commands = {
            "devices": [python, "-m", "tests.chaos.devices", *map(str, modbus), logs],
            "opcua": [python, "-m", "tests.chaos.opcua", str(opcua), logs, *nodes],
        }
        self.field_ports = {"devices": modbus[0], "opcua": opcua}
        if simulated:
            self.commands["sim"] = [python, "-m", "nexus_cli", "sim", "simulated.yaml"]
        for name, command in self.commands.items():
            self.spawn(name, command)
        for name in self.field_ports:
            self._wait_until_back(name)

    def start_part(self, part: str) -> None:
        """Start one part (again). A device is back when it answers: until then it is away, and nobody's fault but its own."""
        if part in getattr(self, "commands", {}):
            self.spawn(part, self.commands[part])
            if part in self.field_ports:
                self._wait_until_back(part)
        else:
            super().start_part(part)

    def _wait_until_back(self, part: str) -> None:
        wait_until(lambda: answers(self.field_ports[part]), f"{part} of the field", deadline_s=180)

    def pids(self, part: str) -> list[int]:
        """Process ids of a part, its children included; none while it is away."""
        process = {"broker": self.guarded.process, "database": self.database.process}.get(
            part, self.processes.get(part)
        )
        if process is None or process.poll() is not None:
            return []
        try:
            return [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        except psutil.Error:
            return [process.pid]

    def tasks(self, role: str) -> tuple[int, int]:
        """Process id and number of tasks that a role wrote down last; zeros when it has not yet."""
        try:
            pid, number = (self.folder / f"tasks-{role}").read_text().split()
        except FileNotFoundError:
            return 0, 0
        return int(pid), int(number)

    def send(self, part: str, number: signal.Signals) -> None:
        """Signal every process of a part."""
        for pid in self.pids(part):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def outbox(self, gateway: str) -> Path:
        """The outbox folder of a gateway."""
        return self.home / "outbox" / gateway

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Everything started by the block is stopped."""
        try:
            yield
        finally:
            for part in [*self.processes, "broker", "database"]:
                self.send(part, signal.SIGCONT)
            self.stop()
