"""A device that is dead, slow or misconfigured costs other links nothing, and its own link one time-out per back-off step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.field import Field
from tests.e2e.runtime import Runtime
from tests.e2e.sites import devices_of
from tests.servers import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
SITE = """
nexus: 1
enterprise: acme
site: trouble
defaults: {{poll: 200ms, retention: process}}
retention: {{process: {{keep: 30d}}}}
templates:
  unit:
    protocol: modbus
    parameters: {{port: {{type: integer}}, unit_id: {{type: integer, default: 1}}}}
    connection: {{host: 127.0.0.1, port: "${{param:port}}", unit_id: "${{param:unit_id}}", timeout: 2s}}
    tags:
      a: {{address: "holding:0", type: uint32, simulate: {{signal: ramp, low: 0, high: 1000000, period: 1h}}}}
      b: {{address: "holding:10", type: uint32, simulate: {{signal: ramp, low: 0, high: 1000000, period: 1h}}}}
      c: {{address: "holding:20", type: uint32, simulate: {{signal: ramp, low: 0, high: 1000000, period: 1h}}}}
areas:
  hall:
    lines:
      line-1:
        devices:
          good: {{template: unit, with: {{port: {good}}}}}
          beside-silent: {{template: unit, with: {{port: {shared}, unit_id: 1}}}}
          silent: {{template: unit, with: {{port: {shared}, unit_id: 2}}}}
          one-hole: {{template: unit, with: {{port: {hole}}}}}
          stalls: {{template: unit, with: {{port: {stalls}}}}}
          dead: {{template: unit, with: {{port: {dead}}}}}
          limited:
            protocol: opcua
            connection: {{endpoint: "opc.tcp://127.0.0.1:{limited}"}}
            tags:
{limited_tags}
"""
NEWEST = """
select s.path, x.quality, (x.status >> 32) as reason from nexus.series s join lateral (
  select quality, status from nexus.sample where series_id = s.id order by time desc limit 1) x on true
"""
STALL_S = 10.0
TIMEOUT_CYCLES = 2 * 11
"""Cycles of 200 ms that one time-out of 2 s can cost a link with two devices, the begun ones included."""


class Trouble:
    """The site, its field and its runtime."""

    def __init__(self, folder: Path) -> None:
        self.ports = {name: free_port() for name in ("good", "shared", "hole", "stalls", "dead", "limited")}
        tags = "\n".join(
            f'              n{n}: {{node: "nsu=http://acme.example/x;s=N{n}", type: float64}}' for n in range(120)
        )
        folder.mkdir()
        site = folder / "site.yaml"
        site.write_text(SITE.format(**self.ports, limited_tags=tags))
        self.field = Field([device for device in devices_of(site) if not device.path.endswith("/dead")])
        self.runtime = Runtime(folder, site="acme/trouble")

    def link(self, name: str) -> str:
        """Link id of a Modbus port."""
        return f"tcp:127.0.0.1:{self.ports[name]}"

    def metrics(self) -> dict[str, dict[str, float]]:
        """The gateway's counters of links at one moment: by name, by link."""
        text = httpx.get(f"http://127.0.0.1:{self.runtime.ports['gateway']}/metrics", timeout=5).text
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("nexus_link_") and sample.name.endswith("_total"):
                    name = sample.name.removesuffix("_total")
                    found.setdefault(name, {})[sample.labels["link"]] = sample.value
        return found

    def metric(self, name: str) -> dict[str, float]:
        """One of them, by link."""
        return self.metrics().get(name, {})

    def wait_cycles(self, link: str, count: int, *, deadline_s: float = 60.0) -> None:
        """Wait until a link has begun so many more cycles."""
        until, start = time.monotonic() + deadline_s, self.metric("nexus_link_cycles").get(link, 0.0)
        while self.metric("nexus_link_cycles").get(link, 0.0) < start + count:
            assert time.monotonic() < until, f"{link} does not poll:\n{self.runtime.log('gateway')[-3000:]}"
            time.sleep(0.1)

    def newest(self) -> dict[str, tuple[int, int]]:
        """Quality and reason number of the newest row by path."""
        return {row["path"]: (row["quality"], row["reason"] or 0) for row in self.runtime.query(NEWEST)}

    def until_newest(self, wanted: dict[str, tuple[int, int]]) -> None:
        """Wait for the newest rows of these paths below the line: a loaded machine may be late once."""
        paths = {f"hall/line-1/{path}": found for path, found in wanted.items()}
        wait_until(lambda: {path: self.newest().get(path) for path in paths} == paths, str(wanted))


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    made = Trouble(tmp_path_factory.mktemp("trouble") / "site")
    try:
        made.field.start()
        servers = made.field.servers
        made.field.call(lambda: servers["hall/line-1/silent"].silence("hall/line-1/silent"))
        made.field.call(servers["hall/line-1/one-hole"].forbid, "hall/line-1/one-hole", "b")
        made.field.call(lambda: servers["hall/line-1/limited"].limit(read=50))
        made.runtime.start()
        # An unreachable device leaves the deployment applied, with a warning: exit code 0.
        made.runtime.apply()
        made.wait_cycles(made.link("good"), 10)
        yield made
    finally:
        made.runtime.stop()
        made.field.stop()


def test_other_links_go_on_while_one_stands_still(trouble: Trouble) -> None:
    stalling = trouble.field.servers["hall/line-1/stalls"]
    before = trouble.metric("nexus_link_cycles")
    trouble.field.call(stalling.stall, STALL_S)
    time.sleep(STALL_S)  # the window that the stalled link can't use
    after = trouble.metric("nexus_link_cycles")
    cycles = {link: after[link] - count for link, count in before.items()}
    endpoint = f"opc.tcp://127.0.0.1:{trouble.ports['limited']}"
    for link in (trouble.link("good"), trouble.link("hole"), endpoint):
        # Ten a link are a fifth of what is due: a link that waits for the other one makes one or two, a busy machine more.
        assert cycles[link] >= STALL_S, (link, cycles)
    assert cycles[trouble.link("stalls")] < STALL_S, cycles


def test_silent_unit_costs_its_link_one_timeout_per_backoff_step(trouble: Trouble) -> None:
    before = trouble.metrics()
    trouble.wait_cycles(trouble.link("good"), 40)
    after = trouble.metrics()

    def spent(name: str, link: str) -> float:
        return after[f"nexus_link_{name}"][trouble.link(link)] - before[f"nexus_link_{name}"][trouble.link(link)]

    missed, timeouts = spent("missed_cycles", "shared"), spent("timeouts", "shared")
    machine = 2 * spent("missed_cycles", "good")  # what it costs each of the two devices
    assert missed <= TIMEOUT_CYCLES * (timeouts + 1) + machine  # one may have ended before we began to count
    # Without back-off a device that never answers would time out in every cycle of its own.
    assert timeouts <= 10
    trouble.until_newest({"beside-silent/a": (192, 0), "silent/a": (0, 2)})


def test_one_illegal_tag_costs_no_other_tag(trouble: Trouble) -> None:
    trouble.until_newest({"one-hole/a": (192, 0), "one-hole/b": (0, 4), "one-hole/c": (192, 0)})


def test_server_with_a_limit_of_50_nodes_gives_all_120(trouble: Trouble) -> None:
    trouble.until_newest({f"limited/n{number}": (192, 0) for number in range(120)})


def test_dead_device_is_bad_and_is_tried_with_backoff(trouble: Trouble) -> None:
    trouble.until_newest({f"dead/{tag}": (0, 1) for tag in "abc"})
    assert trouble.runtime.log("gateway").count(trouble.link("dead")) <= 5
