"""Two counting devices behind two gateways, and a drive that may be commanded: a plant whose record shows every attack.

A counting device gives each poll the next number, so that a poll or a row that an attack cost is a missing number.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import asyncpg
import httpx
import orjson

from tests.e2e.commanded import Drive
from tests.integration.test_local_runtime import Plant
from tests.people import passwords_of
from tests.servers import free_port
from tests.waiting import patient, wait_until

ROOT = Path(__file__).parents[2]
POLL_S = 0.2
AFTER = 10
"""Samples that are waited for once an attack is over."""
COUNTERS = ("hall/line-1/counter/polls", "hall/line-2/counter/polls")
SETPOINT = "hall/line-1/drive/setpoint"
SITE = """
nexus: 1
enterprise: acme
site: hostile
defaults: {{poll: 200ms}}
gateways:
  gateway: {{select: []}}
  other: {{select: ["line:hall/line-2"]}}
areas:
  hall:
    lines:
      line-1:
        devices:
          counter:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {counter}, unit_id: 1, timeout: 5s}}
            tags:
              polls: {{address: "holding:0", type: uint32}}
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {drive}, unit_id: 1, timeout: 5s}}
            tags:
              setpoint: {{address: "holding:0", type: int16, scale: 0.1, unit: degC, range: [10, 90], writable: true}}
      line-2:
        devices:
          counter:
            protocol: modbus
            connection: {{host: 127.0.0.2, port: {counter}, unit_id: 2, timeout: 5s}}
            tags:
              polls: {{address: "holding:0", type: uint32}}
alerts:
  warm: {{tag: hall/line-1/drive/setpoint, above: 80, severity: warning}}
access:
  roles:
    operator: {{read: ["hall/**"], write: ["hall/line-1/drive/setpoint"], acknowledge: ["*"]}}
    viewer: {{read: ["hall/**"], alerts: ["*"]}}
  users:
    desk: {{role: operator}}
    guest: {{role: viewer}}
"""


class HostilePlant:
    """The runtime, its devices, and clients by name.

    Attributes:
        passwords: Of the declared users.
        secrets: Of NEXUS's own principals, by section.
    """

    def __init__(self, folder: Path) -> None:
        self.plant, self.drive, port = Plant(folder), Drive(), free_port()
        command = [sys.executable, "-m", "tests.e2e.counting_device", str(port), "2"]
        self._device = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        self.drive.start()
        self.plant.write(SITE.format(counter=port, drive=self.drive.port))
        self.passwords: dict[str, str] = {}

    def start(self) -> None:
        """Everything runs, and records."""
        # A poll is late only for what the gateway did itself.
        own_time: dict[str, Any] = {
            "NEXUS_PASS_ENVIRONMENT": "NEXUS_TEST_OWN_TIME",
            "NEXUS_TEST_OWN_TIME": "gateway",
            "PYTHONPATH": f"{ROOT / 'tests/e2e/own_time_process'}{os.pathsep}{ROOT}",
        }
        self.plant.nexus("up", **own_time)
        self.plant.nexus("apply", "site.yaml", "--yes", "--allow", "write-enable=**")
        self.runtime: dict[str, Any] = orjson.loads((self.plant.home.path / "runtime.json").read_bytes())
        self.secrets = orjson.loads((self.plant.home.path / "credentials.json").read_bytes())
        self.passwords = passwords_of(self.plant, "desk", "guest")
        wait_until(lambda: min(map(self.newest, COUNTERS)) > 0, "rows of both counters")
        wait_until(
            lambda: self.plant.nexus("read", SETPOINT, "--wait", "2s", code=None).returncode == 0, "a live value"
        )

    def stop(self) -> None:
        """End it."""
        self.plant.nexus("down", code=None)
        self.drive.stop()
        self._device.kill()
        self._device.wait()

    # --- clients ----------------------------------------------------------------------------------------------

    def client(self, user: str | None, password: str | None = None, *, identifier: str | None = None) -> aiomqtt.Client:
        """A plain MQTT client, with the user's own password unless another one is given."""
        url = urlsplit(self.runtime["broker_url"])
        known = {**self.secrets["broker"], **self.passwords}
        return aiomqtt.Client(
            hostname=url.hostname or "127.0.0.1",
            port=url.port or 1883,
            username=user,
            password=password if password is not None or user is None else known.get(user),
            identifier=identifier,
            timeout=10,
        )

    def api(self, method: str, path: str, *, token: str = "", source: str = "127.0.0.1", **keys: Any) -> httpx.Response:
        """One request to control's API below the site, from an address of this machine."""
        head = {"authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=30) as client:
            url = f"{self.runtime['control_url']}/v1/sites/acme/hostile{path}"
            return client.request(method, url, headers=head | keys.pop("headers", {}), **keys)

    def login(self, user: str, password: str, *, source: str = "127.0.0.1") -> httpx.Response:
        """One login."""
        return self.api("POST", "/login", source=source, json={"user": user, "password": password})

    # --- the record -------------------------------------------------------------------------------------------

    def ask(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of the database."""

        async def run() -> list[Any]:
            secret = self.secrets["database"]["nexus"]
            found = await asyncpg.connect(self.runtime["database_url"], password=secret)
            try:
                return list(await found.fetch(statement, *arguments))
            finally:
                await found.close()

        return asyncio.run(run())

    def newest(self, path: str) -> int:
        """Highest number that a counter has on record."""
        (row,) = self.ask(
            "SELECT max(x.value)::bigint AS value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id"
            " WHERE s.path = $1",
            path,
        )
        return int(row["value"] or 0)

    @contextlib.contextmanager
    def at_full_rate(self) -> Iterator[None]:
        """What happens inside costs neither counter a poll or a row: before, meanwhile, and after."""
        before = {path: max(1, self.newest(path) - AFTER) for path in COUNTERS}
        missed = {name: self.metric(f"nexus.gateway.{name}", "nexus_link_missed_cycles_total") for name in GATEWAYS}
        gaps = self.ask("SELECT * FROM nexus.gap")
        yield
        for path, first in before.items():
            self._whole(path, first, self.newest(path) + AFTER)
        for name, count in missed.items():
            assert self.metric(f"nexus.gateway.{name}", "nexus_link_missed_cycles_total") == count
        assert self.ask("SELECT * FROM nexus.gap") == gaps

    def _whole(self, path: str, first: int, last: int) -> None:
        end_s = time.monotonic() + patient(60.0)
        while self.newest(path) < last:
            assert time.monotonic() < end_s, f"the record of {path} stands still"
            time.sleep(0.1)
        rows = self.ask(
            "SELECT x.value::bigint AS value, extract(epoch FROM x.time)::float8 AS time_s FROM nexus.sample x"
            " JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1 AND x.value BETWEEN $2 AND $3 ORDER BY x.time",
            *(path, float(first), float(last)),
        )
        assert [row["value"] for row in rows] == list(range(first, last + 1)), (
            f"{path}: each poll has one row, in order"
        )
        seconds = rows[-1]["time_s"] - rows[0]["time_s"]
        assert round(seconds / POLL_S) + 1 == len(rows), f"{path}: as many rows as its seconds have polls"
        pauses = [later["time_s"] - one["time_s"] for one, later in itertools.pairwise(rows)]
        assert max(pauses) < 2 * POLL_S, f"{path}: no poll was late"

    # --- what was seen ----------------------------------------------------------------------------------------

    def metric(self, principal: str, name: str, **labels: str) -> float:
        """The sum of one metric of a role, of the lines with these labels."""
        port = self.runtime["http_ports"][principal]
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = [line for line in lines if re.match(rf"{name}[ {{]", line) and all(one in line for one in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def refused(self, reason: str) -> float:
        """How often control's API has refused for this reason."""
        return self.metric("nexus.control", "nexus_control_refused_total", reason=reason)

    def trail(self, what: str, **detail: str) -> list[dict[str, Any]]:
        """Lines of the audit trail, with their detail."""
        rows = self.ask(
            "SELECT who, subject, detail::text AS detail FROM nexus.audit WHERE what = $1 ORDER BY id", what
        )
        found = [{**dict(row), "detail": json.loads(row["detail"])} for row in rows]
        return [row for row in found if all(row["detail"].get(key) == value for key, value in detail.items())]

    def commands(self, command: str) -> list[Any]:
        """Rows of a command."""
        return self.ask(
            "SELECT path, principal, state, detail::text AS detail FROM nexus.command WHERE id = $1", command
        )

    def broker_log(self) -> str:
        """What the broker has written so far."""
        return (self.plant.home.logs / "broker.log").read_text(encoding="utf-8", errors="replace")


GATEWAYS = ("gateway", "other")
