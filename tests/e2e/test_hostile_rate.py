"""Forty hostile sessions beside a device that counts its polls: by the samples' own times, not one is missing or late.

The gateway is on its own time, so that a poll is late only for what the gateway did itself.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e import ledger
from tests.e2e.test_commands_rights import ACCESS, Rights
from tests.e2e.test_commands_rights import pytestmark as pytestmark
from tests.e2e.test_hostile_sessions import GUESSED_IDS, hostile, metric, take_over
from tests.integration.test_local_runtime import Plant
from tests.servers import free_port
from tests.waiting import patient

ROOT = Path(__file__).parents[2]
PATH = "hall/line-1/counter/polls"
POLL_S = 0.2
SAMPLES = 50
SITE = """
nexus: 1
enterprise: acme
site: commanded
defaults: {{poll: 200ms}}
areas:
  hall:
    lines:
      line-1:
        devices:
          counter:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout: 5s}}
            tags:
              polls: {{address: "holding:0", type: uint32}}
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 2, timeout: 5s}}
            tags:
              setpoint: {{address: "holding:0", type: uint32, writable: true}}
messages:
  start-order: {{topic: "erp/orders/one", schema: {{type: object}}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive samples of the counter.

    Attributes:
        values: What the device counted, by time.
        times_s: Times of the samples, as the gateway wrote them.
    """

    values: list[int]
    times_s: list[float]

    @property
    def polls_due(self) -> int:
        """Polls that this time has room for."""
        return round((self.times_s[-1] - self.times_s[0]) / POLL_S) + 1

    @property
    def longest_pause_s(self) -> float:
        """Between two samples."""
        return max(later - earlier for earlier, later in zip(self.times_s, self.times_s[1:], strict=False))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rights]:
    plant, port = Plant(tmp_path_factory.mktemp("counted")), free_port()
    plant.write(SITE.format(port=port) + ACCESS)
    own_time: dict[str, Any] = {
        "NEXUS_PASS_ENVIRONMENT": "NEXUS_TEST_OWN_TIME",
        "NEXUS_TEST_OWN_TIME": "gateway",
        "PYTHONPATH": f"{ROOT / 'tests/e2e/own_time_process'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, "-m", "tests.e2e.counting_device", str(port)]
    device = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        plant.nexus("up", **own_time)
        plant.nexus("apply", "site.yaml", "--yes", "--allow", "write-enable=**")
        yield Rights(plant, None)  # type: ignore[arg-type]  # nobody writes here
    finally:
        plant.nexus("down", code=None)
        device.kill()
        device.wait()


async def ask(rights: Rights, statement: str, *arguments: Any) -> list[Any]:
    found = await asyncpg.connect(rights.runtime["database_url"], password=rights.credentials["database"]["nexus"])
    try:
        return list(await found.fetch(statement, *arguments))
    finally:
        await found.close()


async def stretch(rights: Rights, beyond: float, *, count: int) -> Stretch:
    """The first samples with a higher number than this, once there are so many."""
    statement = (
        "SELECT x.value, extract(epoch FROM x.time)::float8 AS time_s FROM nexus.sample x"
        " JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1 AND x.value > $2 ORDER BY x.time LIMIT $3"
    )
    async with asyncio.timeout(patient(120.0)):
        while len(rows := await ask(rights, statement, PATH, beyond, count)) < count:
            await asyncio.sleep(0.2)
    return Stretch(values=[int(row["value"]) for row in rows], times_s=[row["time_s"] for row in rows])


def test_forty_hostile_sessions_cost_no_poll_and_no_sample(counted: Rights) -> None:
    gateway = "nexus.gateway.gateway"

    async def run() -> tuple[Stretch, Stretch]:
        alone = await stretch(counted, -1, count=SAMPLES)
        missed = metric(counted, gateway, "nexus_link_missed_cycles_total")
        async with hostile(counted):
            newest = await ask(counted, "SELECT max(value) AS value FROM nexus.sample")
            for name in GUESSED_IDS * 3:
                await take_over(counted, name)
            beside = await stretch(counted, newest[0]["value"], count=SAMPLES)
        assert metric(counted, gateway, "nexus_link_missed_cycles_total") == missed
        return alone, beside

    alone, beside = asyncio.run(run())
    for found in (alone, beside):
        assert found.values == list(range(found.values[0], found.values[0] + SAMPLES)), (
            "each poll has its row, in order"
        )
        assert found.polls_due == SAMPLES, "as many samples as its seconds have polls"
        assert found.longest_pause_s < 2 * POLL_S
    (whole,) = [count for count in asyncio.run(ledger_of(counted)) if count.path == PATH]
    assert (whole.missing, whole.doubled, whole.backwards) == (0, 0, 0)
    assert asyncio.run(ask(counted, "SELECT * FROM nexus.gap")) == []


async def ledger_of(rights: Rights) -> list[ledger.Count]:
    found = await asyncpg.connect(rights.runtime["database_url"], password=rights.credentials["database"]["nexus"])
    try:
        return await ledger.counts(found)
    finally:
        await found.close()
