"""A change of some devices while the others go on: no poll missed, no stale retained topic left, no noise in the logs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from nexus_cli.wire.client import BrokerClient
from tests.e2e.plant import SITE, Plant
from tests.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
POLL_S = 0.5
TAGS = ("first", "second", "third")
LINE = "hall/line-1"
OWN_TIME = Path(__file__).parent / "own_time_process"


class HotPlant(Plant):
    """A plant whose devices are given one by one."""

    def declare(self, *lines: str, extra: str = "") -> None:
        """Write the site with these devices."""
        text = SITE.format(poll=self.poll, port=self.device_port, devices="\n".join(" " * 10 + line for line in lines))
        (self.folder / "site.yaml").write_text(text + extra)

    def missed(self) -> float:
        """Missed cycles of the gateway."""
        text = httpx.get(f"http://127.0.0.1:{self.ports['gateway']}/metrics", timeout=5).text
        return sum(
            float(found[1]) for found in re.finditer(r"^nexus_link_missed_cycles_total\{.*\} (\S+)$", text, re.M)
        )

    def retained(self) -> dict[str, bytes]:
        """Retained topics below the site; live ones are among them."""

        async def ask() -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            name = f"looks-{time.monotonic_ns()}"
            client = BrokerClient(settings=self.broker.settings(), client_id=name)
            async with asyncio.timeout(PATIENCE_S), client.session() as messages:
                await client.subscribe([(f"{self.site}/#", 1), (name, 1)])
                await client.publish(name, b"what is retained came before this")
                async for message in messages:
                    if message.topic == name:
                        break
                    if message.retain:
                        found[message.topic] = message.payload
            return found

        return asyncio.run(ask())

    def longest_pause_s(self, device: str, since: datetime) -> float:
        """Longest time between two rows of a device's first tag."""
        found = self.query(
            "select max(extract(epoch from pause)) as pause from (select x.time - lag(x.time) over (order by x.time) as"
            " pause, x.time from nexus.sample x join nexus.series s on s.id = x.series_id where s.path = $1) y "
            "where time > $2",
            f"{LINE}/{device}/first",
            since,
        )
        return float(found[0]["pause"])


def unit(number: int, name: str = "", more: str = "") -> str:
    """The line of one device."""
    return f"{name or f'unit-{number}'}: {{template: counter, with: {{unit_id: {number}}}{more}}}"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotPlant]:
    """Six devices behind one link; the gateway is on its own time, so that it is late for what it did alone."""
    running = HotPlant(tmp_path_factory.mktemp("hot"), devices=6, poll="500ms")
    path = f"{OWN_TIME}{os.pathsep}{running.environment('gateway')['PYTHONPATH']}"
    running.extra_environment["gateway"] = {"NEXUS_TEST_OWN_TIME": "1", "PYTHONPATH": path}
    try:
        running.start()
        running.wait_rows_beyond({f"{LINE}/unit-{n}/{t}": 5 for n in range(1, 7) for t in TAGS})
        yield running
    finally:
        running.stop()


def test_untouched_devices_miss_nothing(plant: HotPlant) -> None:
    untouched = ["unit-1", "unit-4", "unit-5", "unit-6"]
    since = plant.query("select max(time) as newest from nexus.sample")[0]["newest"]  # the gateway is on its own time
    missed = plant.missed()
    plant.declare(
        unit(1),
        unit(2, more=", poll: 1s, deadband: 1"),
        unit(4),
        unit(5),
        unit(6),
        unit(7),
    )
    plant.apply("--allow", "data-loss")
    now = {f"{LINE}/{name}/first": count for name, count in [("unit-1", 0), ("unit-7", 3)]}
    plant.wait_rows_beyond(now)
    last = {count.path: count.last for count in plant.counts()}
    plant.wait_rows_beyond({f"{LINE}/{name}/first": last[f"{LINE}/{name}/first"] + 6 for name in untouched})
    for count in plant.counts():
        if count.path.split("/")[2] in untouched:
            assert (count.missing, count.doubled, count.backwards) == (0, 0, 0), count
    assert plant.missed() <= missed
    for name in untouched:
        assert plant.longest_pause_s(name, since) < 2 * POLL_S, name
    assert "link lost" not in plant.log("gateway")


def test_topics_of_removed_and_moved_tags_are_cleared(plant: HotPlant) -> None:
    def topics(*names: str) -> set[str]:
        return {f"{plant.site}/{LINE}/{name}/{tag}" for name in names for tag in TAGS}

    assert topics("unit-3") & set(plant.retained()) == set(), "removed by the test before"
    assert topics("unit-4", "unit-5") <= set(plant.retained())
    before = {count.path: count for count in plant.counts()}
    moved = f"moved:\n  - {{from: {LINE}/unit-4, to: {LINE}/pump}}\n"
    plant.declare(unit(1), unit(2), unit(4, "pump"), unit(6), unit(7), extra=moved)
    plant.apply("--allow", "data-loss")
    wait_until(lambda: topics("pump") <= set(plant.retained()), "the new topics")
    for _ in range(3):  # nothing that was on its way comes after the clearing
        assert topics("unit-4", "unit-5") & set(plant.retained()) == set()
    plant.wait_rows_beyond({f"{LINE}/pump/first": before[f"{LINE}/unit-4/first"].last + 3})
    after = {count.path: count for count in plant.counts()}
    assert after[f"{LINE}/pump/first"].first == before[f"{LINE}/unit-4/first"].first, "its history came along"
    assert f"{LINE}/unit-4/first" not in after


def test_logs_tell_of_a_lost_database_and_a_stopped_gateway_in_lines(plant: HotPlant) -> None:
    plant.cut(["database"], seconds=3.0)
    last = {count.path: count.last for count in plant.counts() if "/unit-1/" in count.path}
    plant.wait_rows_beyond({path: value + 3 for path, value in last.items()})
    plant.wait_ready("control")
    told = [line for line in plant.log("control").splitlines() if "database" in line]
    assert len(told) == 2, told
    assert "can't be reached" in told[0]
    assert "is back" in told[1]
    plant.end("gateway", signal.SIGTERM)
    wait_until(lambda: "gateway stopped" in plant.log("control"), "control tells that the gateway stopped")
    gaps = plant.query('select device, reason from nexus.gap where gateway = $1 and "end" is null', "gateway")
    assert {gap["reason"] for gap in gaps} == {"gateway_stopped"}
    assert f"{LINE}/unit-1" in {gap["device"] for gap in gaps}
    values = plant.retained()
    assert all(b'"gateway_lost"' in payload for topic, payload in values.items() if "/unit-1/" in topic)
    plant.start_part("gateway")
    wait_until(lambda: "gateway is back" in plant.log("control"), "control tells that the gateway is back")
    for role in plant.roles:
        log = plant.log(role)
        assert "Traceback" not in log, log[-3000:]
        assert "gateway is lost" not in log
        assert "alembic" not in log
        assert "Context impl" not in log
