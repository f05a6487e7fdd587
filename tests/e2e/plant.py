"""A plant whose devices count their polls, so that a missing or doubled row shows."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg

from nexus_cli.database.committed import RangeSet
from tests.e2e import ledger
from tests.e2e.runtime import Runtime
from tests.postgres import PASSWORD
from tests.servers import free_port

PARTS = ("broker", "database", "control", "historian", "gateway")
Hole = tuple[str, int, int, Any, Any]
SITE = """
nexus: 1
enterprise: acme
site: counting
defaults: {{poll: {poll}, retention: process}}
retention: {{process: {{keep: 30d}}}}
templates:
  counter:
    protocol: modbus
    parameters: {{unit_id: {{type: integer}}}}
    connection: {{host: 127.0.0.1, port: {port}, unit_id: "${{param:unit_id}}", timeout: 5s}}
    tags:
      first: {{address: "holding:0", type: uint32}}
      second: {{address: "holding:2", type: uint32}}
      third: {{address: "holding:4", type: uint32}}
areas:
  hall:
    lines:
      line-1:
        devices:
{devices}
"""


class Plant(Runtime):
    """Counting devices behind one link, and a runtime that stores what they count.

    Attributes:
        devices: How many units stand behind the link.
        known_holes: Missing values that a test has looked at.
    """

    def __init__(self, folder: Path, *, devices: int = 5, poll: str = "100ms", broker: str | None = None) -> None:
        super().__init__(folder, site="acme/counting", broker=broker)
        self.devices = devices
        self.poll = poll
        self.device_port = free_port()
        self.known_holes: list[tuple[str, int, int]] = []

    def start(self) -> None:
        """Start every part and apply the site."""
        self.spawn("device", [sys.executable, "-m", "tests.e2e.counting_device", str(self.device_port)])
        super().start()
        self.write_site()
        self.apply()

    def write_site(self, devices: int | None = None) -> None:
        """Write the site file for this many units."""
        count = self.devices if devices is None else devices
        lines = [f"          unit-{n}: {{template: counter, with: {{unit_id: {n}}}}}" for n in range(1, count + 1)]
        text = SITE.format(poll=self.poll, port=self.device_port, devices="\n".join(lines))
        (self.folder / "site.yaml").write_text(text)

    def counts(self) -> list[ledger.Count]:
        """The ledger of every counter."""

        async def ask() -> list[ledger.Count]:
            connection = await asyncpg.connect(self.database.url, password=PASSWORD)
            try:
                return await ledger.counts(connection)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def holes(self) -> list[Hole]:
        """Runs of missing values."""

        async def ask() -> list[Hole]:
            connection = await asyncpg.connect(self.database.url, password=PASSWORD)
            try:
                return await ledger.holes(connection)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def wait_healed(self, *, deadline_s: float = 30.0) -> list[Hole]:
        """Frames that a broker lost are sent again when their receipt stays away: holes that do not close.

        They are final as soon as the historian has every frame that was logged before a row that it has; the deadline,
        in seconds, is for a log in which numbers stay away.
        """
        until = time.monotonic() + deadline_s
        while True:
            new = self._new_holes()
            if not new or time.monotonic() > until:
                return new
            if self.complete():
                ended = {hole[:3] for hole in new}
                return [hole for hole in self._new_holes() if hole[:3] in ended]
            time.sleep(0.5)

    def _new_holes(self) -> list[Hole]:
        return [hole for hole in self.holes() if hole[:3] not in set(self.known_holes)]

    def complete(self) -> bool:
        """Whether no frame is missing before the newest one that is committed: numbers rise through all epochs of a log."""
        stored = RangeSet()
        for row in self.query("select ranges from nexus.committed"):
            for first, last in json.loads(row["ranges"]):
                stored.add_range(first, last)
        return len(stored) == 1

    def wait_rows_beyond(self, values: Mapping[str, int], *, deadline_s: float = 60.0) -> list[ledger.Count]:
        """Wait until every series holds a value above the given one; gives the ledger then."""
        until = time.monotonic() + deadline_s
        found: list[ledger.Count] = []
        while time.monotonic() < until:
            try:
                found = self.counts()
            except (OSError, asyncpg.PostgresError):
                found = []
            have = {count.path: count.last for count in found}
            if have and all(have.get(path, -1) > value for path, value in values.items()) and len(have) >= len(values):
                return found
            time.sleep(0.2)
        logs = "\n".join(f"--- {name}\n{self.log(name)[-1500:]}" for name in self.roles)
        raise AssertionError(f"rows did not go on beyond {values}; have {found}\n{logs}")
