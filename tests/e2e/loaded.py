"""A runtime of `nexus up` over TLS with a counting device, a drive, and people and programs of every kind; and what they can do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics
from tests.e2e import ledger
from tests.e2e.account_feeder import TOPICS as FED_TOPICS
from tests.e2e.commanded import Drive
from tests.integration.test_local_runtime import Plant
from tests.servers import free_port
from tests.waiting import wait_until

TOPICS = Topics("acme", "loaded")
SETPOINT, PANEL, PRESS = "hall/line-1/drive/setpoint", "hall/line-1/panel/level", "hall/line-1/press"
MAY = '{read: ["hall/**"], write: ["hall/line-1/drive/setpoint", "hall/line-1/panel/level"]}'
MAY_NOT = '{read: ["hall/line-1/counter/**"]}'
"""Something is left: an account without any right is none, and Mosquitto ends its connections."""
SITE = """
nexus: 1
enterprise: acme
site: loaded
defaults: {{poll: 200ms}}
areas:
  hall:
    lines:
      line-1:
        devices:
          press: {{protocol: external, tags: {{{press}}}}}
          panel: {{protocol: external, tags: {{level: {{type: float64}}}}}}
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {drive}, unit_id: 1, timeout: 5s}}
            tags:
              setpoint: {{address: "holding:0", type: int16, scale: 0.1, unit: degC, range: [10, 90], writable: true, poll: 1s}}
          counter:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {counter}, unit_id: 1, timeout: 5s}}
            tags: {{count: {{address: "holding:0", type: uint32}}}}
access:
  roles:
    feeder: {{write: ["hall/line-1/press/**"]}}
    desk: {may}
    panel: {{read: ["hall/**"], write: ["hall/line-1/panel/level"]}}
  users:
    anna: {{role: desk}}
    panel-1: {{role: panel}}
  applications:
    feeder: {{role: feeder}}
"""


class Loaded(Plant):
    """The runtime, and everybody's accounts.

    Attributes:
        passwords: By principal: account and password that are valid now.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, site=False)
        self.drive, self.counter_port = Drive(), free_port()
        self.passwords: dict[str, tuple[str, str]] = {}
        self.write_site(MAY)

    def write_site(self, may: str) -> None:
        press = ", ".join(f"t{number:02}: {{type: float64}}" for number in range(FED_TOPICS))
        self.write(SITE.format(press=press, drive=self.drive.port, counter=self.counter_port, may=may))

    @contextmanager
    def up(self) -> Iterator[None]:
        """Everything runs, under certificates of the site's own, and everybody has a password."""
        counter = subprocess.Popen([sys.executable, "-m", "tests.e2e.counting_device", str(self.counter_port)])
        self.drive.start()
        try:
            self.nexus("certs", "init")
            self.nexus("certs", "issue", "server", "--kind", "server")
            self.nexus("up", "--listen", "0.0.0.0")
            self.apply()
            self.rotate("--all")
            wait_until(lambda: self.rows_of("hall/line-1/counter/count") > 5, "the first rows")
            yield
        finally:
            self.nexus("down", code=None)
            self.drive.stop()
            counter.kill()
            counter.wait(10)

    def apply(self) -> None:
        self.nexus("apply", "site.yaml", "--yes", "--allow", "write-enable=**", "--allow", "acl-widen=**")

    def rotate(self, *arguments: str) -> dict[str, Any]:
        """`nexus access rotate`; the new passwords are everybody's from now on."""
        found: dict[str, Any] = json.loads(self.nexus("access", "rotate", *arguments, "--format", "json").stdout)
        self.passwords |= {one["principal"]: (one["account"], one["password"]) for one in found["passwords"]}
        return found

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def runtime(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.home.runtime_file.read_bytes())
        return found

    @property
    def secrets(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((self.home.path / "credentials.json").read_bytes())
        return found

    @property
    def broker_port(self) -> int:
        return int(self.runtime["broker_url"].rpartition(":")[2])

    @property
    def ca(self) -> str:
        return str(self.home.path / "certs" / "ca.pem")

    def query(self, sql: str, *arguments: object) -> list[Any]:
        async def ask() -> list[Any]:
            conn = await asyncpg.connect(
                self.runtime["database_url"], password=self.secrets["database"]["nexus"], ssl=False
            )
            try:
                return list(await conn.fetch(sql, *arguments))
            finally:
                await conn.close()

        return asyncio.run(ask())

    def rows_of(self, path: str) -> int:
        sql = "SELECT count(*) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1"
        return int(self.query(sql, path)[0][0])

    def fed(self) -> tuple[int, int]:
        """Rows of the fed device, and different numbers among them."""
        sql = (
            "SELECT count(*), count(DISTINCT x.value) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id "
            "WHERE s.path LIKE $1"
        )
        rows, numbers = self.query(sql, f"{PRESS}/%")[0]
        return int(rows), int(numbers)

    def holes(self) -> tuple[list[ledger.Count], list[Any], int]:
        """The ledger of the counter, runs of polls without a row, and rows of gaps.

        A poll that a busy machine answers too late is a row without a value: it is on record, and no hole.
        """

        async def ask() -> tuple[list[ledger.Count], list[Any], int]:
            conn = await asyncpg.connect(
                self.runtime["database_url"], password=self.secrets["database"]["nexus"], ssl=False
            )
            try:
                like = "hall/line-1/counter/%"
                gaps = await conn.fetchval("SELECT count(*) FROM nexus.gap")
                found = [hole for hole in await ledger.holes(conn, like) if not await _on_record(conn, hole)]
                return await ledger.counts(conn, like), found, int(gaps)
            finally:
                await conn.close()

        return asyncio.run(ask())

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.nexus("status", "--format", "json", code=None).stdout)
        return found

    # --- accounts -------------------------------------------------------------------------------------------------

    def client(self, account: str, password: str) -> BrokerClient:
        """A client of this account; a refused one stays refused."""
        settings = Settings(
            home=self.folder / "nobody",
            site="acme/loaded",
            principal=account,
            broker_url=f"mqtts://127.0.0.1:{self.broker_port}",
            broker_user=account,
            broker_password=password,
            broker_ca=self.ca,
        )
        return BrokerClient(settings=settings, client_id=f"test-{account}-{time.monotonic_ns()}")

    def logs_in(self, account: str, password: str) -> bool:
        """Whether the broker takes it; fails when it answers nothing at all."""

        async def ask() -> bool:
            try:
                async with self.client(account, password).session():
                    return True
            except NexusError as error:
                assert error.code == "NX6011", error
                return False

        return asyncio.run(ask())

    def publish(self, name: str, value: float) -> None:
        """One message of a principal on the panel's topic."""

        async def send() -> None:
            client = self.client(*self.passwords[name])
            body = orjson.dumps({"value": value, "timestamp": time.time_ns() // 1000})
            async with client.session():
                await client.publish(TOPICS.tag(PANEL), body)

        asyncio.run(send())

    def nobody_is_locked_out(self, *, besides: str = "") -> None:
        """Within seconds every account works, every role is up, and the command line reads and asks."""
        for name, (account, password) in self.passwords.items():
            wait_until(lambda a=account, p=password: self.logs_in(a, p), f"{name} logs in")
        for name in {"anna", "panel-1"} - {besides}:
            value, last_s = time.time(), 0.0

            def arrived(value: float = value, name: str = name) -> bool:
                nonlocal last_s
                if time.monotonic() - last_s > 2.0:
                    last_s = time.monotonic()
                    self.publish(name, value)
                sql = "SELECT 1 FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1 AND x.value = $2"
                return bool(self.query(sql, PANEL, value))

            wait_until(arrived, f"a row of {name}")
        wait_until(self.works, "everything up")

    def works(self) -> bool:
        """Whether everything is up and the rights are in force."""
        found = self.status()
        states = [found["broker"]["state"], found["database"]["state"], *(role["state"] for role in found["roles"])]
        return set(states) == {"up"} and bool(found["access"]["in_force"])


def pause(seconds: float) -> None:
    """Let the load go on for a while."""
    with contextlib.suppress(TimeoutError), socket.socketpair()[0] as never:
        never.settimeout(seconds)
        never.recv(1)


async def _on_record(conn: asyncpg.Connection, hole: tuple[str, int, int, Any, Any]) -> bool:
    """True when between the rows around a run of missing values there are as many rows of another quality."""
    path, first, last, before, after = hole
    rows = await conn.fetchval(
        """SELECT count(*) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id
           WHERE s.path = $1 AND x.time > $2 AND x.time < $3 AND x.quality <> 192""",
        *(path, before, after),
    )
    return int(rows) >= last - first + 1
