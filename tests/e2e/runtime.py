"""A whole runtime for one test, every part its own process that can be killed and started again.

Nothing restarts by itself here (`nexus up` would): the tests decide how long a part stays away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.forks import Fork, nexus, run_nexus
from tests.postgres import EmbeddedPostgres
from tests.servers import TestBroker, free_port, new_broker

NEXUS = [sys.executable, "-m", "nexus_cli"]


class Runtime:
    """Broker, database and the three roles on loopback.

    Attributes:
        folder: Everything of this runtime; `site.yaml` in it is what gets applied.
        site: `enterprise/site`.
        gateways: Names of the gateways to run.
        more_principals: Principals with a token of control's API, beside those of the roles here.
        processes: Running processes by name.
        forked: True: commands and roles are forks (`tests/forks.py`), where they need no other modules than ours.
    """

    forked = False
    more_principals: tuple[str, ...] = ()

    def __init__(
        self,
        folder: Path,
        *,
        site: str,
        gateways: Sequence[str] = ("gateway",),
        broker: str | None = None,
        database: Any = None,
    ) -> None:
        self.folder = folder
        self.site = site
        self.gateways = tuple(gateways)
        self.home = folder / ".nexus"
        (folder / "broker").mkdir(parents=True)
        self.roles = ("control", "historian", *self.gateways)
        options = {} if broker is None else {"kind": broker}
        self.broker: TestBroker = new_broker(folder / "broker", **options)
        self.database = database or EmbeddedPostgres()
        self.processes: dict[str, subprocess.Popen[bytes] | Fork] = {}
        self.ports = {role: free_port() for role in self.roles}
        self.extra_environment: dict[str, dict[str, str]] = {}

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every part."""
        self._write_credentials()
        self.database.start()
        self.broker.start()
        self.nexus("db", "upgrade")
        for role in self.roles:
            self.start_part(role)
        self.wait_ready("control")

    def stop(self) -> None:
        """Stop what was started, by process id."""
        for name in reversed(list(self.processes)):
            self.end(name, signal.SIGTERM)
        self.broker.stop()
        self.database.close()

    def apply(self, *more: str) -> str:
        """`nexus apply --yes`; the site's answer."""
        return self.nexus("apply", "site.yaml", "--yes", *more)

    def nexus(self, *arguments: str, expect: int = 0) -> str:
        """Run a command of the CLI and check its exit code; gives stdout."""
        done = self.cli(*arguments)
        assert done.returncode == expect, (
            f"nexus {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI, whatever its end; its stdin is empty."""
        if self._forks("cli"):
            return run_nexus(arguments, folder=self.folder, environment=self.environment("cli"), timeout_s=120)
        return subprocess.run(
            [*NEXUS, *arguments],
            cwd=self.folder,
            env=self.environment("cli"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _forks(self, part: str) -> bool:
        return self.forked and "PYTHONPATH" not in self.extra_environment.get(part, {})

    # --- parts --------------------------------------------------------------------------------------------

    def start_part(self, part: str) -> None:
        """Start one part (again)."""
        if part == "broker":
            self.broker.start()
        elif part == "database":
            self.database.start()
        else:
            arguments = ["run", "gateway", "--name", part] if part in self.gateways else ["run", part]
            self.spawn(part, [*NEXUS, *arguments])

    def kill_part(self, part: str) -> None:
        """SIGKILL one part."""
        if part == "broker":
            self.broker.kill()
        elif part == "database":
            self.database.kill()
        else:
            self.end(part, signal.SIGKILL)

    def cut(self, parts: Iterable[str], *, seconds: float) -> None:
        """Kill parts together, leave them away for a time, start them again."""
        parts = tuple(parts)
        for part in parts:
            self.kill_part(part)
        time.sleep(seconds)
        for part in parts:
            self.start_part(part)

    def environment(self, part: str) -> dict[str, str]:
        """What a process of ours gets to know."""
        # A role's own principal selects its secrets; the test's broker lets everyone in.
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("NEXUS_", "PYTHONPATH"))},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "NEXUS_HOME": str(self.home),
            "NEXUS_SITE": self.site,
            "NEXUS_CONTROL_URL": f"http://127.0.0.1:{self.ports['control']}",
            "NEXUS_BROKER_URL": self.broker.url,
            "NEXUS_DATABASE_URL": self.database.url,
            "NEXUS_DATABASE_PASSWORD": self.database.password,
            "NEXUS_LOG_LEVEL": "info",
            "NEXUS_CLOCK_SYNCHRONISED": "1",  # a virtual machine that is held up steps its clock
            **({"NEXUS_HTTP_PORT": str(self.ports[part])} if part in self.ports else {}),
            **self.extra_environment.get(part, {}),
        }

    def log(self, name: str) -> str:
        """What a process has written so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def spawn(self, name: str, command: list[str]) -> None:
        """Start a process of this runtime; `stop` ends it."""
        if command[:3] == NEXUS and self._forks(name):
            log_file, environment = self.folder / f"{name}.log", self.environment(name)
            self.processes[name] = nexus(command[3:], folder=self.folder, environment=environment, log=log_file)
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self.environment(name)
            )

    def end(self, name: str, number: signal.Signals) -> None:
        """Signal a process and wait for its end."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def _write_credentials(self) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        names = ["nexus.control", "nexus.historian", "nexus.cli", *(f"nexus.gateway.{name}" for name in self.gateways)]
        names += self.more_principals
        tokens: Mapping[str, str] = {name: secrets.token_urlsafe(16) for name in names}
        path = self.home / "credentials.json"
        path.write_text(json.dumps({"api": tokens, "broker": {}, "database": {"nexus": self.database.password}}))
        path.chmod(0o600)

    # --- looking ------------------------------------------------------------------------------------------

    def wait_ready(self, role: str, *, deadline_s: float = 120.0) -> None:
        """Wait for a role's /health/ready; fails at once when its process has ended."""
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.ports[role]}/health/ready", timeout=2).status_code == 200:
                    return
            process = self.processes.get(role)
            if process is not None and process.poll() is not None:
                raise AssertionError(f"{role} ended with exit code {process.poll()}:\n{self.log(role)[-3000:]}")
            time.sleep(0.1)
        raise AssertionError(f"{role} is not ready:\n{self.log(role)[-3000:]}")

    def status(self, role: str) -> dict[str, Any]:
        """A role's /status."""
        answer = httpx.get(f"http://127.0.0.1:{self.ports[role]}/status", timeout=5)
        found: dict[str, Any] = answer.json()
        return found

    def query(self, sql: str, *arguments: object) -> list[Any]:
        """Rows of a query."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.database.url, password=self.database.password)
            try:
                found: list[Any] = await connection.fetch(sql, *arguments)
                return found
            finally:
                await connection.close()

        return asyncio.run(ask())
