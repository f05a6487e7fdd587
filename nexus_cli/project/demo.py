"""The verb of `nexus demo`: a small plant from simulated devices to rows, proven, and taken down again."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from nexus_cli.database.arrivals import arrivals_since
from nexus_cli.database.connect import connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import EMBEDDED, Home, Runtime
from nexus_cli.local.running import supervisor_runs
from nexus_cli.local.start import broker_here
from nexus_cli.local.stop import stop_runtime, wipe
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.access_rotate import rotate
from nexus_cli.project.apply import ApplyOptions, apply_ready
from nexus_cli.project.live import tail
from nexus_cli.project.live_value import Live
from nexus_cli.project.plan import plan_site
from nexus_cli.project.simulate import Simulation, devices_of, serving, write_overlay
from nexus_cli.project.text import load
from nexus_cli.project.up import up
from nexus_cli.settings import Settings, home_here, load_settings

T = TypeVar("T")

STEPS = ("devices", "runtime", "plan", "apply", "values", "rows")
ARRIVE_S = 60.0
"""Longest wait until every tag was seen live, and as long again until each has a row."""
MEASURE_S = 5.0
PEOPLE = {"ada": "an engineer", "vic": "a viewer"}
"""Users of the demo's site, and what each may do."""
SHOWN = 8
"""Live values that are shown while they arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Callbacks for the progress of the demo.

    Attributes:
        step: Called with a step of `STEPS`, `begun` or `done`, and a detail.
        progress: Called with a step, how many of it, and how many in all.
        live: Called with a value to show.
    """

    step: Callable[[str, str, str], None]
    progress: Callable[[str, int, int], None]
    live: Callable[[Live], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the demo proved.

    Attributes:
        missing: Tags without a live value or without a row, with what was missing.
        samples_per_s: Rows a second, measured over a few seconds.
        newest_age_s: Age of the newest row when it was read.
        took_s: From start to proof.
        logins: User with his role, and password, for the page; made for this demo.
    """

    site: str
    devices: int
    tags: int
    links: int
    rows: int
    samples_per_s: float
    newest_age_s: float
    missing: tuple[tuple[str, str], ...]
    runtime: Runtime
    home: Path
    took_s: float
    logins: tuple[tuple[str, str], ...]


def demo_site() -> Path:
    """Where the demo's site lies: inside the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_sites" / "demo"
    return inside if inside.is_dir() else package.parent / "sites" / "demo"


@asynccontextmanager
async def running_demo(
    *, broker: str = "", keep: bool = False, report: Reporter, on_end: Callable[[str], None]
) -> AsyncIterator[Summary]:
    """Bring the demo plant to life and prove it; everything is stopped when the block ends.

    Args:
        broker: As for `up`.
        keep: Leave the `.nexus` folder (rows, credentials) that the demo made.
        report: Called with every step.
        on_end: Called with what is being stopped.

    Raises:
        NexusError: NX6512 a runtime runs here; a part could not be started, or the plan could not be applied.
    """
    started = time.monotonic()
    home = home_here(os.environ).resolve()
    os.environ["NEXUS_HOME"] = str(home)  # as `--home` does: never that of a plant above this folder
    loaded = load(demo_site())
    if loaded.value is None:
        raise NexusError("The demo's own site has errors.", code="NX6530", hint="nexus validate sites/demo")
    snapshot = loaded.value.snapshot
    _refuse_anothers(home, f"{snapshot.enterprise}/{snapshot.site}")
    ours = not home.exists()
    report.step("devices", "begun", "")
    blocking, since = Blocking(), datetime.now(UTC)
    async with serving(devices_of(snapshot, folder=demo_site())) as simulation:
        try:
            tags = sum(served.tags for served in simulation.links)
            report.step("devices", "done", f"{len(simulation.links)} servers with {tags} tags")
            site, env = await asyncio.to_thread(_where, simulation, home)
            runtime = await blocking.call(lambda: _start(site, env, broker, report, given_up=blocking.given_up))
            settings = await blocking.call(lambda: _apply(site, env, report))
            logins = await blocking.call(lambda: _logins(settings))
            links = len(simulation.links)
            yield await _prove(
                snapshot, settings, runtime, links=links, logins=logins, report=report, started=started, since=since
            )
            on_end("stopping")
        finally:
            # The runtime ends before the devices do: nothing is BAD only because the demo is over.
            blocking.give_up()
            await blocking.call(lambda: _stop(home, remove=ours and not keep))


def _refuse_anothers(home: Path, site: str) -> None:
    """The demo writes into its folder and ends by stopping what runs there: that must not be a real plant."""
    kept = Home(home).read_runtime().site
    if kept not in ("", site):
        raise NexusError(
            f"{home} belongs to {kept}, and the demo would use its servers.",
            code="NX6512",
            hint="run the demo from another folder",
        )
    if supervisor_runs(Home(home)):
        raise NexusError(
            f"A runtime runs in {home} already.",
            code="NX6512",
            hint="run the demo from another folder; or `nexus down` first",
        )


class Blocking:
    """Runs the verbs that block, one at a time: a stop that comes in the middle of a start waits for its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Ask what runs to end soon."""
        self._given_up.set()

    def given_up(self) -> bool:
        """True once it was requested."""
        return self._given_up.is_set()

    async def call(self, function: Callable[[], T]) -> T:
        """The function's answer, from a thread."""

        def locked() -> T:
            with self._lock:
                return function()

        return await asyncio.to_thread(locked)


def _where(simulation: Simulation, home: Path) -> tuple[Path, str | None]:
    """The site to apply. When a port was taken, a copy with an overlay that leads to where the devices are."""
    if not any(served.moved for served in simulation.links):
        return demo_site(), None
    copy = home / "demo-site"
    home.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(demo_site(), copy)
    overlay = copy / "env" / "moved.yaml"
    overlay.unlink(missing_ok=True)
    write_overlay(simulation, overlay)
    return copy, "moved"


def _start(site: Path, env: str | None, broker: str, report: Reporter, *, given_up: Callable[[], bool]) -> Runtime:
    report.step("runtime", "begun", "")
    # Servers of its own, whatever this shell names: simulated values must not reach a plant.
    broker = broker or broker_here()
    done = up(
        str(site), env=env, broker=broker, database=EMBEDDED, beside=True, progress=report.step, given_up=given_up
    )
    runtime = done.runtime
    if runtime is None:
        raise NexusError("The demo's own site has errors.", code="NX6530", hint="nexus validate sites/demo")
    if given_up():
        return runtime
    gateways = f"{len(runtime.gateways)} gateways"
    report.step("runtime", "done", f"{runtime.broker_kind}, PostgreSQL, control, historian, worker, {gateways}, web")
    return runtime


def _apply(site: Path, env: str | None, report: Reporter) -> Settings:
    """Plan and apply, in a thread of its own (the verbs block)."""
    settings = load_settings()
    report.step("plan", "begun", "")
    planned = plan_site(str(site), settings=settings, env=env)
    ready = planned.value
    if ready is None or ready.errored:
        raise NexusError("The demo could not be planned.", code="NX6530", hint="nexus plan sites/demo")
    report.step("plan", "done", f"{len(ready.changed)} resources to change")
    report.step("apply", "begun", "")
    if ready.empty:
        report.step("apply", "done", "nothing to do, it was applied before")
        return settings
    hazards = {str(each["name"]) for each in ready.open_hazards(())}
    done = apply_ready(
        ready, ApplyOptions(allow=sorted(hazards), reason="nexus demo"), settings=settings, on_event=lambda _: None
    )
    report.step("apply", "done", f"deployment {done.number}: {done.outcome}")
    return settings


def _logins(settings: Settings) -> tuple[tuple[str, str], ...]:
    """New passwords of the people who look at the demo's page."""
    found = rotate(settings, names=list(PEOPLE), everybody=False, keep_old_s=0)
    return tuple((f"{one.principal}, {PEOPLE[one.principal]}", one.password) for one in found.passwords)


def tags_of(snapshot: Snapshot) -> frozenset[str]:
    """Paths of every tag that must arrive: enabled ones of devices that a gateway reads."""
    return frozenset(
        f"{path}/{tag}"
        for path, device in snapshot.of_kind("device")
        if device.get("protocol") != "external" and device.get("enabled", True)
        for tag, facts in device["tags"].items()
        if facts.get("enabled", True)
    )


async def _prove(
    snapshot: Snapshot,
    settings: Settings,
    runtime: Runtime,
    *,
    links: int,
    logins: tuple[tuple[str, str], ...],
    report: Reporter,
    started: float,
    since: datetime,
) -> Summary:
    """Rows count from the demo's start: a constant tag without a heartbeat is stored once, soon after apply."""
    expected = tags_of(snapshot)
    not_live = await _live(expected, settings, report)
    counted = await _rows(expected, settings, since, report)
    before, rows_before = time.monotonic(), sum(rows for rows, _ in counted.values())
    await asyncio.sleep(MEASURE_S)
    counted = await _count(expected, settings, since)
    rate = (sum(rows for rows, _ in counted.values()) - rows_before) / (time.monotonic() - before)
    newest = max((when for _, when in counted.values() if when is not None), default=None)
    missing = [(path, "no live value") for path in sorted(not_live)]
    missing += [(path, "no row") for path, (rows, _) in sorted(counted.items()) if not rows]
    return Summary(
        site=runtime.site,
        devices=sum(1 for _ in snapshot.of_kind("device")),
        tags=len(expected),
        links=links,
        rows=sum(rows for rows, _ in counted.values()),
        samples_per_s=rate,
        newest_age_s=(datetime.now(UTC) - newest).total_seconds() if newest is not None else float("inf"),
        missing=tuple(missing),
        runtime=runtime,
        home=settings.home.resolve(),
        took_s=time.monotonic() - started,
        logins=logins,
    )


async def _live(expected: frozenset[str], settings: Settings, report: Reporter) -> frozenset[str]:
    """Follow every topic until each tag had a value that counts; gives those that had none."""
    report.step("values", "begun", "")
    waiting, shown = set(expected), 0
    try:
        async with asyncio.timeout(ARRIVE_S):
            async for live in tail((), settings=settings):
                if live.path in waiting and live.quality in ("GOOD", "UNCERTAIN"):
                    waiting.discard(live.path)
                    report.progress("values", len(expected) - len(waiting), len(expected))
                    if shown < SHOWN:
                        shown += 1
                        report.live(live)
                if not waiting:
                    break
    except TimeoutError:
        pass
    report.step("values", "done", f"{len(expected) - len(waiting)} of {len(expected)} tags live")
    return frozenset(waiting)


async def _rows(
    expected: frozenset[str], settings: Settings, since: datetime, report: Reporter
) -> dict[str, tuple[int, datetime | None]]:
    report.step("rows", "begun", "")
    until = time.monotonic() + ARRIVE_S
    while True:
        counted = await _count(expected, settings, since)
        arrived = sum(1 for rows, _ in counted.values() if rows)
        report.progress("rows", arrived, len(expected))
        if arrived == len(expected) or time.monotonic() > until:
            report.step("rows", "done", f"{arrived} of {len(expected)} tags have rows")
            return counted
        await asyncio.sleep(0.25)


async def _count(
    expected: frozenset[str], settings: Settings, since: datetime
) -> dict[str, tuple[int, datetime | None]]:
    async with connection(settings, application="nexus-demo") as opened:
        found = await arrivals_since(opened, site=settings.site, since=since)
    return {path: (found[path].rows, found[path].newest) if path in found else (0, None) for path in expected}


def _stop(home: Path, *, remove: bool) -> None:
    stop_runtime(Home(home), progress=lambda _: None)
    if remove:
        wipe(Home(home))
