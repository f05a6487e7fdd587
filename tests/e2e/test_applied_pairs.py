"""Random pairs of sites on a running plant: after apply the runtime observes the second, after rollback the first again.

What the plan predicts is counted: sessions that restart, retained topics that are cleared, series that begin and that are forgotten.
`NEXUS_PAIRS` is how many pairs are tried, `NEXUS_PAIRS_SEED` where they begin. Rights are compared with the evaluator's answers for
any pair in `tests/properties/test_rights_in_plan.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.e2e.runtime import Runtime
from tests.servers import free_port
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(sys.platform == "win32", reason="aiomqtt wants a loop with sockets"),
]
PAIRS = int(os.environ.get("NEXUS_PAIRS", "5"))
SEED = int(os.environ.get("NEXUS_PAIRS_SEED", "14"))
HOSTS = ("127.0.0.1", "127.0.0.2")
ALLOWED = [
    word
    for name in ("data-loss", "series-break", "acl-widen", "write-enable", "empty-target")
    for word in ("--allow", name)
]
RIGHTS = ["hall/**", "hall/line-1/**", "hall/*/*/first", "hall/line-2/*/second"]


def random_site(chance: random.Random, port: int) -> dict[str, Any]:
    """A site over two hosts of the counting device, as YAML's JSON."""
    areas: dict[str, Any] = {}
    for unit in chance.sample(range(1, 7), chance.randint(1, 5)):
        line = chance.choice(["line-1", "line-2"])
        tags = {
            name: {
                "address": f"holding:{address}",
                "type": "uint32",
                **({"unit": "kWh"} if chance.random() < 0.3 else {}),
            }
            for name, address in (("first", 0), ("second", 2), ("third", 4))
            if chance.random() < 0.8
        } or {"first": {"address": "holding:0", "type": "uint32"}}
        areas.setdefault(line, {"devices": {}})["devices"][f"unit-{unit}"] = {
            "protocol": "modbus",
            "connection": {"host": chance.choice(HOSTS), "port": port, "unit_id": unit},
            "poll": chance.choice(["100ms", "200ms"]),
            "tags": tags,
        }
    return {
        "nexus": 1,
        "enterprise": "acme",
        "site": "pairs",
        "retention": {"process": {"keep": chance.choice(["30d", "60d"])}},
        "defaults": {"retention": "process"},
        "access": {
            "roles": {"operator": {"read": chance.sample(RIGHTS, 2)}},
            "users": {"ann": {"role": "operator"}, **({"bob": {"role": "operator"}} if chance.random() < 0.5 else {})},
        },
        "areas": {"hall": {"lines": areas}},
    }


def paths_of(site: dict[str, Any]) -> set[str]:
    """The tags of a site."""
    return {
        f"hall/{line}/{device}/{tag}"
        for line, devices in site["areas"]["hall"]["lines"].items()
        for device, each in devices["devices"].items()
        for tag in each["tags"]
    }


class Pairs(Runtime):
    """A runtime beside the counting device on two hosts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, site="acme/pairs")
        self.device_port = free_port()

    def start(self) -> None:
        """Start every part; nothing is applied yet."""
        self.spawn(
            "device", [sys.executable, "-m", "tests.e2e.counting_device", str(self.device_port), str(len(HOSTS))]
        )
        super().start()

    def write(self, site: dict[str, Any]) -> None:
        """The site file."""
        (self.folder / "site.yaml").write_text(json.dumps(site, indent=1))

    def plan(self) -> dict[str, Any]:
        """The plan of what is written, as JSON."""
        found: dict[str, Any] = json.loads(self.nexus("plan", "site.yaml", "--format", "json"))
        return found

    def links(self) -> dict[str, int]:
        """When each session of the gateway came up, microseconds since 1970."""
        return {
            name: each["since"]
            for name, each in self.status("gateway")["links"].items()
            if each["state"] == "connected"
        }

    def retained(self) -> set[str]:
        """Paths of the tags that the broker has a retained message of."""

        async def ask() -> set[str]:
            found: set[str] = set()
            async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
                await client.subscribe("acme/pairs/#")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.7):
                        async for message in client.messages:
                            if message.retain:
                                found.add(str(message.topic).removeprefix("acme/pairs/"))
            return found

        return asyncio.run(ask())

    def series(self) -> dict[str, tuple[str, bool]]:
        """Id and whether it is declared, by path."""
        rows = self.query("select path, id::text as id, active from nexus.series")
        return {row["path"]: (row["id"], row["active"]) for row in rows}

    def wait_running(self, site: dict[str, Any]) -> None:
        """Until the gateway runs exactly these devices and the broker has exactly their values."""
        devices = {path.rpartition("/")[0] for path in paths_of(site)}
        wait_until(lambda: set(self.status("gateway")["runs"]) == devices, "the gateway runs the devices")
        wait_until(lambda: self.retained() == paths_of(site), "the broker has their values and no others")


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Pairs]:
    found = Pairs(tmp_path / "plant")
    try:
        found.start()
        yield found
    finally:
        found.stop()


def changed(plan: dict[str, Any], action: str) -> set[str]:
    """Paths of tags with an action, by the plan."""
    return {
        tag["address"].removeprefix("tag.")
        for each in plan["resource_changes"]
        for tag in each.get("tags", ())
        if tag["change"]["actions"] == [action]
    }


def said(plan: dict[str, Any], plane: str, words: str) -> int:
    """Sum of the numbers before some words in the impact of a plane."""
    texts = [each["text"] for each in plan["impact"] if each["plane"] == plane]
    return sum(int(text.split()[0].replace(",", "")) for text in texts if words in text)


def test_what_is_predicted_happens_and_rollback_takes_it_back(plant: Pairs) -> None:
    chance = random.Random(SEED)
    here = random_site(chance, plant.device_port)
    plant.write(here)
    plant.apply()
    plant.wait_running(here)
    for number in range(PAIRS):
        there = random_site(chance, plant.device_port)
        context = f"pair {number} of seed {SEED}"
        plant.write(there)
        plan = plant.plan()
        before, links, series = plant.retained(), plant.links(), plant.series()
        assert before == paths_of(here), context

        plant.apply(*ALLOWED)
        plant.wait_running(there)

        again = plant.plan()
        assert again["resource_changes"] == [], context
        assert again["base"]["digest"] == plan["desired"]["digest"], context
        cleared = before - plant.retained()
        assert changed(plan, "forget") == cleared, context
        assert said(plan, "topics", "cleared") == len(cleared), context
        now = plant.series()
        begun = {path for path, (_, active) in now.items() if active and not series.get(path, ("", False))[1]}
        ended = {path for path, (_, active) in series.items() if active and not now[path][1]}
        assert (changed(plan, "create"), changed(plan, "forget")) == (begun, ended), context
        assert said(plan, "series", "begin") == len(begun), context
        assert said(plan, "series", "forgotten") == len(ended), context
        kept = {path: id_ for path, (id_, _) in series.items()}
        assert {path: now[path][0] for path in kept} == kept, f"no series is minted twice: {context}"
        untouched = set(links) - {
            side["link"]
            for each in plan["resource_changes"]
            if each["type"] == "device"
            for side in (each["change"]["before"], each["change"]["after"])
            if side is not None
        }
        assert {name: plant.links()[name] for name in untouched} == {name: links[name] for name in untouched}, context

        plant.nexus("rollback", "--yes", *ALLOWED)
        plant.wait_running(here)
        assert plant.plan()["base"]["digest"] == plan["base"]["digest"], context
        plant.write(here)
        assert plant.plan()["resource_changes"] == [], context
        plant.write(there)
        plant.apply(*ALLOWED)
        plant.wait_running(there)
        here = there
