"""The gateway's figures: the chain, the outbox, the client, and the whole with a field that costs nothing.

Run alone: `python -m tests.benchmarks.bench_gateway [devices] [tags] [seconds]`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import asdict

from nexus_cli.drivers.base import ReadResult, Request
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, Normaliser
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.wire.client import BrokerClient
from tests.benchmarks.bench_custody import custody
from tests.benchmarks.figures import Figure, machine
from tests.clock import FakeClock
from tests.field import FakeDriver, FakeHistorian, FakeSession, FakeSource
from tests.frames import columns
from tests.servers import new_broker

MOST_WAITING = 4_000
"""Frames that may wait for the disk, about 4 MB; more are added once some of them are durable."""


def figure(name: str, value: float, unit: str, note: str = "", *, at_most: float | None = None) -> Figure:
    """One figure of a part; parts inform, the whole has its goal."""
    return Figure(name=name, value=value, unit=unit, note=note, at_most=at_most)


def chain() -> list[Figure]:
    """The normaliser alone: µs of one answer, beside the same answer taken tag by tag."""
    scaled = {"scale": 0.1, "range": (-1e9, 1e9), "deadband": 0.01}
    cases: tuple[tuple[str, int, str, dict[str, Any], bool, float | None], ...] = (
        ("20 plain tags, all move", 20, "float64", {}, True, 15.0),
        ("100 plain tags, all move", 100, "float64", {}, True, 20.0),
        ("20 plain tags, unchanged", 20, "float64", {}, False, 4.0),
        ("100 plain tags, unchanged", 100, "float64", {}, False, 4.0),
        ("20 float32, all move", 20, "float32", {}, True, None),
        ("20 int16 with a scale, all move", 20, "int16", {"scale": 0.1}, True, None),
        ("20 float32 with scale, range, dead band, all move", 20, "float32", scaled, True, 40.0),
        ("4 plain tags, all move", 4, "float64", {}, True, None),
    )
    found = []
    for title, count, kind, keys, moving, at_most in cases:
        tags = {f"t{at}": TagConfig(type=kind, address=str(at), **keys) for at in range(count)}
        answers = [_numbers(kind, count, turn if moving else 0) for turn in range(64)]
        one = Figure(
            name=f"chain: {title}",
            value=_cost(tags, answers, by_column=True),
            unit="µs/request",
            limit=_cost(tags, answers, by_column=False),
            limit_name="tag by tag",
            at_most=at_most,
        )
        found.append(one)
    return found


def _numbers(kind: str, count: int, turn: int) -> npt.NDArray[np.float64]:
    """An answer: values of two decimals, or whole ones."""
    whole = np.arange(count) * 137 + turn * 37 + 2010
    return whole.astype(np.float64) if kind == "int16" else np.round(whole / 100, 2).astype(kind).astype(np.float64)


def _cost(tags: dict[str, TagConfig], answers: list[npt.NDArray[np.float64]], *, by_column: bool) -> float:
    """CPU of one answer in µs, the least of many rounds: what else the machine does is not the chain's."""
    normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="fake", tags=tags))
    group = normaliser.of(tags)
    whole = all(tag.type == "int16" for tag in tags.values())
    values: list[list[Any]] = [[int(one) if whole else one for one in each.tolist()] for each in answers]
    now_us, least_s = 0, float("inf")
    for _ in range(30):
        began = time.process_time()
        for answer, raw in zip(answers, values, strict=True):
            now_us += 1_000_000
            if not by_column:
                group.columns = None
            normaliser.take(group, raw, Cycle(now_us), numbers=answer if by_column else None)
        least_s = min(least_s, time.process_time() - began)
    return least_s / len(answers) * 1e6


async def disk(folder: Path, *, tags: int = 41) -> list[Figure]:
    """The outbox alone: frames per second, group commits included."""
    box = Outbox(folder, clock=FakeClock(), gap_topic="_nexus/e/s/gap/gw", limits=Limits())
    box.open()
    frame = columns("a/l/d", time_us=0, samples={f"tag-{at}": 1234.5678 + at for at in range(tags)})
    stop = asyncio.Event()
    count = 20_000
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        group.create_task(box.run(stop))
        for at in range(count):
            box.add_frame(frame._replace(time_us=at))
            if at % 200 == 199:
                await asyncio.sleep(0)
            while box.newest_seq - box.durable_seq > MOST_WAITING:
                await asyncio.sleep(0.001)
        stop.set()
    took = time.perf_counter() - began
    speed = f"{box.size_bytes / took / 1e6:.0f} MB/s"
    return [
        figure(f"outbox: frames of {tags} tags made durable", count / took, "frames/s", speed),
        figure("outbox: CPU", (time.process_time() - cpu) / count * 1e6, "µs/frame"),
    ]


async def client(folder: Path) -> list[Figure]:
    """The broker client alone: QoS 1 publishes with windows."""
    found = []
    broker = new_broker(folder).start()
    try:
        one = BrokerClient(settings=broker.settings(), client_id="bench")
        payload = b"x" * 900
        async with one.session():
            for window in (1, 20, 200, 1000):
                count = 3_000 if window == 1 else 15_000
                began, cpu = time.perf_counter(), time.process_time()
                last = None
                for _ in range(count):
                    last = one.post("bench", payload)
                    if one.inflight >= window:
                        await last
                if last is not None:
                    await last
                took = time.perf_counter() - began
                busy = (time.process_time() - cpu) / count * 1e6
                note = f"{busy:.0f} µs CPU/msg"
                found.append(figure(f"client: QoS 1, window {window}", count / took, "msg/s", note))
    finally:
        broker.kill()
    return found


class _FreeSession(FakeSession):
    """Answers at once with values that all moved."""

    async def read(self, request: Request) -> ReadResult:
        driver = self.driver
        driver._count += 1
        return ReadResult([driver._count + at * 0.5 for at in range(len(request.points))])


class _FreeDriver(FakeDriver):
    async def connect(self, devices: object, *, home: str) -> FakeSession:
        return _FreeSession(self, "")


async def whole(folder: Path, *, devices: int, tags: int, seconds: float) -> list[Figure]:
    """A gateway with a free field: every value moves in every cycle, the historian runs in another process."""
    broker = new_broker(folder, options=("max_inflight_messages 1000", "max_queued_messages 100000")).start()
    settings = broker.settings(principal="nexus.gateway.gw-1", home=folder / "home")
    configs = [
        DeviceConfig(
            path=f"a/l/d{number}",
            protocol="fake",
            link=f"tcp:10.0.{number // 256}.{number % 256}:502",
            gateway="gw-1",
            tags={f"tag-{at}": TagConfig(type="float64", address=str(at)) for at in range(tags)},
        )
        for number in range(devices)
    ]
    historian = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_gateway", "historian", broker.url, cwd=os.getcwd()
    )
    stop = asyncio.Event()
    gateways: list[Gateway] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run_gateway(
                    settings,
                    name="gw-1",
                    source=FakeSource(configs),
                    stop=stop,
                    drivers=lambda _: _FreeDriver(),
                    started=gateways.append,
                )
            )
            await asyncio.sleep(4.0)
            gateway = gateways[0]
            before, began, cpu = asdict(gateway.facts().counters), time.perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            after, took, busy = asdict(gateway.facts().counters), time.perf_counter() - began, time.process_time() - cpu
            waiting = gateway.facts().outbox.uncommitted
            stop.set()
    finally:
        historian.terminate()
        await historian.wait()
        broker.kill()
    rose = {name: (after[name] - before[name]) / took for name in before}
    frames = rose["accepted"]
    note = f"{devices} devices × {tags} tags at 1 s"
    cost = f"{busy / took / max(1.0, frames) * 1e6:.0f} µs/frame"
    return [
        figure("gateway, a field that costs nothing: samples accepted", frames * tags, "tags/s", note),
        figure("  CPU", busy / took * 100, "% of one", cost),
        figure("  missed cycles", after["missed_cycles"] - before["missed_cycles"], "cycles", at_most=0.0),
        figure("  live published", rose["live_published"], "msg/s", f"{rose['live_conflated']:,.0f}/s conflated"),
        figure("  frames without receipt at the end", waiting, "frames"),
    ]


async def _historian(url: str) -> None:
    from nexus_cli.settings import Settings

    await FakeHistorian(Settings(site="acme/chicago", broker_url=url), live=False).run(asyncio.Event())


def run(devices: int = 1000, tags: int = 41, seconds: int = 10) -> list[Figure]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        return [
            *chain(),
            *asyncio.run(disk(home / "outbox")),
            *asyncio.run(custody(home / "custody")),
            *asyncio.run(client(home)),
            *asyncio.run(whole(home, devices=devices, tags=tags, seconds=seconds)),
        ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["historian"]:
        asyncio.run(_historian(sys.argv[2]))
    else:
        print(machine())
        for found in run(*(int(one) for one in sys.argv[1:])):
            print(found.line())
