"""One run from the first process to the report."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from nexus_cli.local.credentials import read_credentials
from nexus_cli.project.text import load
from tests.chaos import verdict
from tests.chaos.commander import Commander
from tests.chaos.deploying import Deploying
from tests.chaos.devices import HOLD
from tests.chaos.faults import Chaos
from tests.chaos.hostile import Target
from tests.chaos.judging import Judge
from tests.chaos.network import Proxy, proxies
from tests.chaos.observer import FieldLogs, Usage, newest, process_ends, read_live, read_record
from tests.chaos.parts import PANEL, ChaosRuntime, Disks
from tests.chaos.report import Findings, to_json
from tests.chaos.schedule import LINKS, schedule
from tests.chaos.site import ENTERPRISE, NAME, SITES, Ports, Site
from tests.servers import free_port

READY_S = 180.0
FRESH_US = 20_000_000
STILL_S = 6.0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run.

    Attributes:
        minutes: How long faults last; start, settling and verdict come on top.
        kinds: Which faults.
        every_s: Mean time between two faults.
    """

    seed: int
    minutes: float
    site: str
    kinds: tuple[str, ...]
    folder: Path
    every_s: float = 9.0

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "site": self.site,
            "faults": list(self.kinds),
            "every_s": self.every_s,
        }


async def run(plan: Plan, *, tell: Tell) -> dict[str, Any]:
    """Carry a run out; gives the report. Everything that was started is stopped, whatever happens."""
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
    runtime = ChaosRuntime(folder, site=f"{ENTERPRISE}/{NAME}", snapshot=loaded.value.snapshot, disks=Disks())
    with runtime.running():
        opcua = free_port()
        async with proxies(_targets(runtime, ports, opcua)) as by_link:
            _lead(runtime, site, by_link, ports)
            await asyncio.to_thread(_start, runtime, site, ports, opcua)
            return await _driven(plan, runtime, site, by_link, tell)


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


async def _driven(
    plan: Plan, runtime: ChaosRuntime, site: Site, by_link: dict[str, Proxy], tell: Tell
) -> dict[str, Any]:
    findings = Findings()
    deploying = Deploying(runtime=runtime, site=site)
    slowest = {device.path: device.poll_ms for device in site.devices}
    password = read_credentials(runtime.home)["broker"][PANEL]
    commander = Commander(port=runtime.guarded.port, password=password, devices=site.of_kind("modbus"))
    target = Target(broker=runtime.guarded.port, control=runtime.ports["control"], user=PANEL, password=password)
    chaos = Chaos(runtime=runtime, proxies=by_link, deploying=deploying, target=target)
    usage, ending = Usage(runtime), asyncio.Event()
    tell(f"{site.tag_count} tags on {len(site.devices)} devices; first deployment: {await deploying.apply()}")
    faults = schedule(seed=plan.seed, seconds=plan.minutes * 60, kinds=plan.kinds, every_s=plan.every_s)
    async with asyncio.TaskGroup() as group:
        group.create_task(usage.run(ending))
        obeying = group.create_task(_obey(runtime))
        commanding = asyncio.Event()
        if "command" in plan.kinds:
            group.create_task(commander.run(commanding))
        await settled(runtime, findings, tell, what="the start")
        await chaos.run(faults, seconds=plan.minutes * 60, tell=tell)
        for device in site.devices:
            slowest[device.path] = max(slowest[device.path], device.poll_ms, 2000 if device.kind == "modbus" else 0)
        commanding.set()
        tell("settling")
        await settled(runtime, findings, tell, what="the end")
        await _still(runtime, deploying, findings, tell)
        ending.set()
        obeying.cancel()
    tell("reading the record")
    record = await read_record(runtime.database.url)
    logs = FieldLogs.read(runtime.field_folder)
    judge = Judge(
        url=runtime.database.url,
        record=record,
        logs=logs,
        deploying=deploying,
        done=chaos.done,
        slowest_ms=slowest,
        findings=findings,
    )
    await judge.tags()
    judge.gaps()
    judge.commands(commander.sent)
    for text in verdict.leaks(usage.lives()):
        findings.breach("leaks", text)
    for text in [*deploying.unfinished, *record.open_deployments]:
        findings.breach("deployments", text)
    for text in deploying.odd:
        findings.breach("errors", text)
    findings.figures |= {
        "tags": site.tag_count,
        "dead letters": dict(record.dead_letters),
        "deployments": {"changes": site.changes, "attempts of apply": len(deploying.attempts)},
    }
    await asyncio.to_thread(_end, runtime, findings)
    return to_json(arguments=plan.to_json(), findings=findings, faults=[one.to_json() for one in chaos.done])


async def _obey(runtime: ChaosRuntime) -> None:
    """Rights that control asks for come into force, as the supervisor of `nexus up` sees to."""
    while True:
        await asyncio.to_thread(runtime.guarded.obey)
        await asyncio.sleep(0.1)


async def settled(runtime: ChaosRuntime, findings: Findings, tell: Tell, *, what: str) -> None:
    """Wait until every role is ready and every counting tag has a fresh row; what is not by then is stuck."""
    until_s = time.monotonic() + READY_S
    problems: list[str] = ["nothing was asked yet"]
    while problems and time.monotonic() < until_s:
        problems = await _problems(runtime)
        await asyncio.sleep(1.0)
    for text in problems:
        findings.breach("stuck", f"after {what}: {text}")
    tell(f"settled after {what}" if not problems else f"NOT settled after {what}: {problems[:3]}")


async def _problems(runtime: ChaosRuntime) -> list[str]:
    found = []
    async with httpx.AsyncClient(timeout=5) as client:
        for role in runtime.roles:
            try:
                answer = await client.get(f"http://127.0.0.1:{runtime.ports[role]}/health/ready")
                if answer.status_code != 200:
                    found.append(f"{role} is not ready: {answer.text[:200]}")
            except httpx.HTTPError as error:
                found.append(f"{role} does not answer: {error!r}")
    try:
        rows = await newest(runtime.database.url)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return [*found, f"the database does not answer: {error!r}"]
    now_us = time.time_ns() // 1000
    old = [path for path, (at, _) in rows.items() if not path.endswith("/command") and now_us - at > FRESH_US]
    bad = [path for path, (_, number) in rows.items() if number is None]
    found += [f"{len(old)} tags without a fresh row, {old[0]} first"] if old else []
    found += [f"{len(bad)} tags are BAD, {bad[0]} first"] if bad else []
    return found or ([] if rows else ["no rows"])


async def _still(runtime: ChaosRuntime, deploying: Deploying, findings: Findings, tell: Tell) -> None:
    """Let the devices stand still, and hold the live view against the last rows."""
    empty, why = await deploying.plan_is_empty()
    if not empty:
        findings.breach("deployments", f"the last plan is not empty: {why}")
    (runtime.field_folder / HOLD).touch()
    tell("the devices stand still")
    rising = {device.path for device in deploying.site.of_kind("s7", "ads")}
    last: dict[str, int | None] = {}
    for _ in range(20):
        await asyncio.sleep(STILL_S)
        rows = await newest(runtime.database.url)
        now = {path: number for path, (_, number) in rows.items() if path.rpartition("/")[0] not in rising}
        if now == last:
            break
        last = now
    live = await read_live(runtime)
    live = {path: number for path, number in live.items() if path.rpartition("/")[0] not in rising}
    for text in verdict.strays(live, last):
        findings.breach("stray", text)


def _end(runtime: ChaosRuntime, findings: Findings) -> None:
    """End the roles as a service manager does, gateways first, and note who did not end cleanly."""
    codes: dict[str, int | None] = {}
    for role in reversed(runtime.roles):
        process = runtime.processes[role]
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            process.wait(30)
        codes[role] = process.poll()
    for text in process_ends(codes):
        findings.breach("ends", text)
    for role in runtime.roles:
        lines = [line for line in runtime.log(role).splitlines() if "Traceback" in line or "NX9000" in line]
        if lines:
            findings.breach("errors", f"{role}: {len(lines)} tracebacks in its log", number=len(lines))
