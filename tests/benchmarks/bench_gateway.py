"""The gateway's figures: the chain, the outbox, the client, and the whole with a field that costs nothing.

Run: `python -m tests.benchmarks.bench_gateway [devices] [tags] [seconds]`. Prints figures, asserts none.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from nexus_cli.drivers.base import ReadResult, Request
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import FakeClock
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.runtime.gateway.normaliser import Cycle, Normaliser
from nexus_cli.runtime.gateway.outbox import Limits, Outbox
from nexus_cli.wire.client import BrokerClient
from tests.field import FakeDriver, FakeHistorian, FakeSession, FakeSource
from tests.servers import new_broker


def say(what: str, figure: float, unit: str, note: str = "") -> None:
    """One line."""
    print(f"{what:52} {figure:12,.1f} {unit:12} {note}", flush=True)


def chain() -> None:
    """The normaliser alone: µs per tag."""
    for title, keys, moving in (
        ("plain tag, moving", {}, True),
        ("plain tag, standing still", {}, False),
        ("scaled, range, deadband, moving", {"scale": 0.1, "range": (0.0, 1e9), "deadband": 0.01}, True),
    ):
        tags = {f"t{at}": TagConfig(type="float64", address=str(at), **keys) for at in range(100)}
        normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="fake", tags=tags))
        states = normaliser.of(tags)
        rounds = [[float(at + n * moving) for at in range(100)] for n in range(200)]
        for values in rounds[:2]:
            normaliser.take(states, values, Cycle(1))
        began = time.perf_counter()
        for number, values in enumerate(rounds[2:], 2):
            normaliser.take(states, values, Cycle(number))
        say(f"chain: {title}", (time.perf_counter() - began) / 19_800 * 1e6, "µs/tag")


async def disk(folder: Path, *, tags: int = 41) -> None:
    """The outbox alone: frames per second, group commits included."""
    box = Outbox(folder, clock=FakeClock(), gap_topic="g", limits=Limits())
    box.open()
    samples: dict[str, object] = {f"tag-{at}": 1234.5678 + at for at in range(tags)}
    stop = asyncio.Event()
    count = 20_000
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        group.create_task(box.run(stop))
        for at in range(count):
            box.add_frame("_nexus/e/s/data/gw/a/l/d", time_us=at, samples=samples)  # type: ignore[arg-type]
            if at % 200 == 199:
                await asyncio.sleep(0)
            while box._buffered_bytes > 4 << 20:
                await asyncio.sleep(0.001)
        stop.set()
    took = time.perf_counter() - began
    say(
        f"outbox: frames of {tags} tags made durable",
        count / took,
        "frames/s",
        f"{box.size_bytes / took / 1e6:.0f} MB/s",
    )
    say("outbox: CPU", (time.process_time() - cpu) / count * 1e6, "µs/frame")


async def client(folder: Path) -> None:
    """The broker client alone: QoS 1 publishes with windows."""
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
                say(f"client: QoS 1, window {window}", count / took, "msg/s", f"{busy:.0f} µs CPU/msg")
    finally:
        broker.kill()


class _FreeSession(FakeSession):
    """Answers at once with values that all moved."""

    async def read(self, request: Request) -> ReadResult:
        driver = self.driver
        driver._count += 1
        return ReadResult([driver._count + at * 0.5 for at in range(len(request.points))])


class _FreeDriver(FakeDriver):
    async def connect(self, devices: object, *, home: str) -> FakeSession:
        return _FreeSession(self, "")


async def whole(folder: Path, *, devices: int, tags: int, seconds: float) -> None:
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
            before, began, cpu = gateway.facts()["counters"], time.perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            after, took, busy = gateway.facts()["counters"], time.perf_counter() - began, time.process_time() - cpu
            frames = (after["accepted"] - before["accepted"]) / took
            note = f"{devices} devices × {tags} tags at 1 s"
            say("gateway: frames accepted", frames, "frames/s", note)
            say("gateway: samples accepted", frames * tags, "tags/s")
            say(
                "gateway: CPU", busy / took * 100, "% of a core", f"{busy / took / max(1.0, frames) * 1e6:.0f} µs/frame"
            )
            say("gateway: missed cycles", after["missed_cycles"] - before["missed_cycles"], "cycles")
            say("gateway: live published", (after["live_published"] - before["live_published"]) / took, "msg/s")
            say("gateway: live conflated", (after["live_conflated"] - before["live_conflated"]) / took, "values/s")
            say("gateway: frames without receipt at the end", gateway.facts()["outbox"]["uncommitted"], "frames")
            stop.set()
    finally:
        historian.terminate()
        await historian.wait()
        broker.kill()


async def _historian(url: str) -> None:
    from nexus_cli.settings import Settings

    await FakeHistorian(Settings(site="acme/chicago", broker_url=url), live=False).run(asyncio.Event())


def main() -> None:
    """All of it."""
    if sys.argv[1:2] == ["historian"]:
        asyncio.run(_historian(sys.argv[2]))
        return
    devices, tags, seconds = (int(one) for one in (*sys.argv[1:4], *("1000", "41", "10")[len(sys.argv) - 1 :]))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    chain()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(disk(Path(folder) / "outbox"))
        asyncio.run(client(Path(folder)))
        asyncio.run(whole(Path(folder), devices=devices, tags=tags, seconds=seconds))


if __name__ == "__main__":
    main()
