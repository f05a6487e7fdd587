"""One run from the first process to the report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nexus_cli.local.credentials import read_credentials
from nexus_cli.project.text import load
from tests.chaos.commander import Commander
from tests.chaos.conduct import judged, leaks, unended, unprovoked_letters
from tests.chaos.deploying import Deploying
from tests.chaos.faults import Chaos
from tests.chaos.hostile import Target
from tests.chaos.judging import Judge
from tests.chaos.network import Proxy, proxies
from tests.chaos.observer import FieldLogs, Usage, asked_again, read_record
from tests.chaos.parts import PANEL, ChaosRuntime, Disks
from tests.chaos.report import Findings, to_json
from tests.chaos.schedule import LINKS, Fault, schedule
from tests.chaos.settling import Tell, end_roles, settled, stand_still
from tests.chaos.site import ENTERPRISE, NAME, SITES, Ports, Site
from tests.servers import free_port

SLOWEST_POLL_MS = 2000
"""The longest interval that a deployment sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run.

    Attributes:
        minutes: How long faults last; start, settling and verdict come on top.
        kinds: Which faults.
        every_s: Mean time between two faults.
        server: URL of a PostgreSQL server with its password; "" for one that the run starts, kills and fills.
    """

    seed: int
    minutes: float
    site: str
    kinds: tuple[str, ...]
    folder: Path
    every_s: float = 9.0
    server: str = ""

    def schedule(self) -> tuple[Fault, ...]:
        """What the seed draws."""
        without = ("database",) if self.server else ()
        return schedule(
            seed=self.seed, seconds=self.minutes * 60, kinds=self.kinds, every_s=self.every_s, without=without
        )

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "site": self.site,
            "faults": list(self.kinds),
            "every_s": self.every_s,
            "database": "given" if self.server else "embedded",
        }


AndThen = Callable[[str, Callable[[Findings], Awaitable[None]]], Awaitable[None]]
"""Called with the database's address and a judge, once the record was judged and before anything is stopped."""


async def run(
    plan: Plan, *, tell: Tell, faults: Sequence[Fault] | None = None, and_then: AndThen | None = None
) -> dict[str, Any]:
    """Carry a run out; gives the report. Everything that was started is stopped, whatever happens.

    Args:
        faults: Instead of what the seed draws.
        and_then: For tests that change the record and have it judged again.
    """
    folder = plan.folder / "plant"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ports = Ports(
        modbus=free_port(), modbus_a=free_port(), modbus_b=free_port(), opcua_a=free_port(), opcua_b=free_port()
    )
    if plan.site == "demo":
        ports.s7, ports.ads = free_port(), free_port()
    site = SITES[plan.site](ports)
    (folder / "site.yaml").write_text(site.yaml())
    loaded = load(folder / "site.yaml")
    assert loaded.value is not None, loaded.findings
    with contextlib.closing(Disks()) as disks:
        runtime = ChaosRuntime(
            folder, site=f"{ENTERPRISE}/{NAME}", snapshot=loaded.value.snapshot, disks=disks, server=plan.server
        )
        return await _started(plan, runtime, site, ports, tell, faults, and_then)


async def _started(
    plan: Plan,
    runtime: ChaosRuntime,
    site: Site,
    ports: Ports,
    tell: Tell,
    faults: Sequence[Fault] | None,
    and_then: AndThen | None,
) -> dict[str, Any]:
    with runtime.running():
        opcua = free_port()
        async with proxies(_targets(runtime, ports, opcua)) as by_link:
            _lead(runtime, site, by_link, ports)
            await asyncio.to_thread(_start, runtime, site, ports, opcua)
            faults = plan.schedule() if faults is None else tuple(faults)
            return await _Run(plan, runtime, site, by_link, tell).report(faults, and_then)


def _targets(runtime: ChaosRuntime, ports: Ports, opcua: int) -> dict[str, int]:
    by_end = {
        "broker": runtime.guarded.port,
        "database": runtime.database.port,
        "control": runtime.ports["control"],
        "device": ports.modbus,
        "opcua": opcua,
    }
    return {link: by_end[link.partition(">")[2]] for link in LINKS}


def _lead(runtime: ChaosRuntime, site: Site, by_link: dict[str, Proxy], ports: Ports) -> None:
    """The site was written before the proxies had their ports: the gateways' devices follow them."""
    moved = {
        ports.modbus_a: by_link["gw-a>device"].port,
        ports.modbus_b: by_link["gw-b>device"].port,
        ports.opcua_a: by_link["gw-a>opcua"].port,
        ports.opcua_b: by_link["gw-b>opcua"].port,
    }
    for device in site.devices:
        device.port = moved.get(device.port, device.port)
    (runtime.folder / "site.yaml").write_text(site.yaml())
    runtime.lead_through(by_link)


def _start(runtime: ChaosRuntime, site: Site, ports: Ports, opcua: int) -> None:
    simulated = bool(site.of_kind("s7", "ads"))
    if simulated:
        (runtime.folder / "simulated.yaml").write_text(site.yaml("s7", "ads"))
    hosts = max(device.host for device in site.devices)
    nodes = [f"{device.name}:{device.tags}" for device in site.of_kind("opcua")]
    runtime.start_field((ports.modbus, hosts), opcua, nodes, simulated=simulated)
    runtime.start()


class _Run:
    """One run on a runtime that was started."""

    def __init__(self, plan: Plan, runtime: ChaosRuntime, site: Site, by_link: Mapping[str, Proxy], tell: Tell) -> None:
        self._plan, self._runtime, self._tell = plan, runtime, tell
        self._deploying = Deploying(runtime=runtime, site=site)
        self._slowest_ms = {device.path: device.poll_ms for device in site.devices}
        password = read_credentials(runtime.home)["broker"][PANEL]
        broker, control = runtime.guarded.port, runtime.ports["control"]
        self._commander = Commander(port=broker, password=password, devices=site.of_kind("modbus"))
        target = Target(broker=broker, control=control, user=PANEL, password=password)
        self._chaos = Chaos(runtime=runtime, proxies=by_link, deploying=self._deploying, target=target)
        self._usage = Usage(runtime)
        self._since_us = 0

    async def report(self, faults: Sequence[Fault], and_then: AndThen | None) -> dict[str, Any]:
        """Carry out the faults and judge what came of it."""
        findings = Findings()
        await self._drive(faults, findings)
        self._tell("reading the record")
        await self._judge(findings)
        if and_then is not None:
            await and_then(self._runtime.database.url, self._judge)
        lives = self._usage.lives()
        for text in leaks(lives):
            findings.breach("leaks", text)
        findings.figures["lives judged for leaks"] = dict(judged(lives))
        usage = {life.name: life.samples for life in lives}
        (self._plan.folder / "usage.json").write_text(json.dumps(usage))
        for text in self._deploying.odd:
            findings.breach("errors", text)
        await asyncio.to_thread(end_roles, self._runtime, findings)
        done = [one.to_json() for one in self._chaos.done]
        return to_json(arguments=self._plan.to_json(), findings=findings, faults=done)

    async def _drive(self, faults: Sequence[Fault], findings: Findings) -> None:
        deploying, runtime, tell = self._deploying, self._runtime, self._tell
        tags, devices = deploying.site.tag_count, len(deploying.site.devices)
        tell(f"{tags} tags on {devices} devices; first deployment: {await deploying.apply()}")
        ending, commanding = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._usage.run(ending))
            obeying = group.create_task(_obey(runtime))
            if "command" in self._plan.kinds:
                group.create_task(self._commander.run(commanding))
            await settled(runtime, findings, tell, what="the start")
            self._since_us = time.time_ns() // 1000
            await self._chaos.run(tuple(faults), seconds=self._plan.minutes * 60, tell=tell)
            commanding.set()
            await settled(runtime, findings, tell, what="the end")
            await stand_still(runtime, deploying, findings, tell)
            ending.set()
            obeying.cancel()

    async def _judge(self, findings: Findings) -> None:
        """Hold the record as it is now against the laws."""
        deploying, runtime = self._deploying, self._runtime
        record = await read_record(runtime.database)
        (self._plan.folder / "gaps.json").write_text(json.dumps([asdict(gap) for gap in record.gaps]))
        polled = any(one.fault.detail.get("change") == "poll" for one in self._chaos.done)
        judge = Judge(
            database=runtime.database,
            record=record,
            logs=FieldLogs.read(runtime.field_folder),
            deploying=deploying,
            done=self._chaos.done,
            slowest_ms={path: max(ms, SLOWEST_POLL_MS) if polled else ms for path, ms in self._slowest_ms.items()},
            findings=findings,
            since_us=self._since_us,
            again_us=asked_again(self._plan.folder / "plant", self._chaos.done),
        )
        await judge.tags()
        judge.gaps()
        judge.commands(self._commander.sent)
        for text in [*deploying.unfinished, *unended(record.outcomes)]:
            findings.breach("deployments", text)
        kinds = {one.fault.kind for one in self._chaos.done if not one.skipped}
        for text in unprovoked_letters(record.dead_letters, kinds):
            findings.breach("letters", text)
        findings.figures |= {
            "tags": deploying.site.tag_count,
            "dead letters": dict(record.dead_letters),
            "changes of the site": deploying.site.changes,
            "attempts of apply": len(deploying.attempts),
            "deployments": dict(Counter(record.outcomes)),
        }


async def _obey(runtime: ChaosRuntime) -> None:
    """Rights that control asks for come into force, as the supervisor of `nexus up` sees to."""
    while True:
        await asyncio.to_thread(runtime.guarded.obey)
        await asyncio.sleep(0.1)
