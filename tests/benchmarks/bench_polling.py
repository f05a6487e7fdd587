"""The polling part of a gateway alone: 400 Modbus TCP links, 20 float32 each, once a second.

Schedule, request, answer, decoding and hand-over; the chain behind it is left out. Then the whole gateway over the same
field, whose values stand still. The field is a process of its own that answers with prebuilt bytes.
Run: python -m tests.benchmarks.bench_polling [SECONDS [LOOP]]
"""

from __future__ import annotations

import asyncio
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from nexus_cli.drivers.base import ReadResult, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from tests.benchmarks.bench_core import cycles, gateway_of
from tests.benchmarks.core_fields import Open
from tests.benchmarks.field import served
from tests.benchmarks.figures import Figure, machine
from tests.measured import latencies
from tests.servers import new_broker

LINKS, TAGS, POLL_MS = 400, 20, 1000
SETTLE_S = 3.0


class PrebuiltDevice(asyncio.Protocol):
    """A Modbus TCP device: its answer is ready but for the transaction and unit ids, and its values do not change."""

    body = bytes((3, TAGS * 4)) + struct.pack(f">{TAGS}f", *(1.5 + at for at in range(TAGS)))
    length = struct.pack(">HH", 0, 1 + len(body))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), 12):  # clients have one request in flight: whole frames come
            self.write(data[at : at + 2] + self.length + data[at + 6 : at + 7] + self.body)


async def open_field() -> Open:
    """One server for all links."""
    server = await asyncio.get_running_loop().create_server(PrebuiltDevice, "127.0.0.1", 0, backlog=LINKS)
    return Open(server, ports=[server.sockets[0].getsockname()[1]])


def device(number: int, port: int) -> DeviceConfig:
    """One device on a link of its own."""
    tags = {f"t{at:02}": TagConfig(type="float32", address=f"holding:{at * 2}", poll_ms=POLL_MS) for at in range(TAGS)}
    return DeviceConfig(
        path=f"a/l/d{number}",
        protocol="modbus",
        link=f"modbus:{number}",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port, "unit_id": 1},
        tags=tags,
    )


class Sampled(NamedTuple):
    """What a stretch of polling took.

    Attributes:
        reads: Answered reads.
        cpu_us: CPU of this process a read.
        wakes: Times a second that this process slept and was woken.
        missed: Cycles that began too late.
    """

    reads: int
    cpu_us: float
    wakes: float
    missed: int


class HandOver:
    """Stands in the pipeline's place: takes everything and keeps nothing."""

    class _Cycle:
        time_us = 0

    def asked(self, device: str) -> None:
        """See `Pipeline`."""

    def cycle(self, device: str) -> _Cycle:
        """See `Pipeline`."""
        return self._Cycle()

    def ongoing(self, device: DeviceRuntime) -> _Cycle:
        """See `Pipeline`."""
        return self._Cycle()

    def finish(self, device: DeviceRuntime, *, over: bool = True) -> None:
        """See `Pipeline`."""

    def emit(self, device: DeviceRuntime, cycle: object) -> None:
        """See `Pipeline`."""


class Taken:
    """Stands in the place of a device's chain; counts the reads."""

    reads = 0

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def take(self, states: Sequence[object], values: Sequence[object], cycle: object, **more: object) -> None:
        """See `Normaliser.take`."""
        Taken.reads += 1

    def bad(self, states: Iterable[object], reason: object, cycle: object, *, code: int = 0) -> None:
        """See `Normaliser.bad`."""


def supervisors(port: int, *, links: int = LINKS) -> list[Supervisor]:
    """One a link."""
    made = []
    for number in range(links):
        one = Supervisor(
            f"modbus:{number}",
            driver=DRIVER,
            link_keys=KIND.link_keys,
            home=".",
            clock=SystemClock(),
            pipeline=HandOver(),  # type: ignore[arg-type]
            latencies=latencies(SystemClock()),
            changed=lambda: None,
        )
        one.apply([(device(number, port), "1")])
        for running in one.devices.values():
            running.normaliser = Taken(running.normaliser)  # type: ignore[assignment]
        made.append(one)
    return made


async def polled(port: int, seconds: float, *, links: int = LINKS) -> Sampled:
    """Poll, and count after a while."""
    stop = asyncio.Event()
    many = supervisors(port, links=links)
    async with asyncio.TaskGroup() as group:
        for one in many:
            group.create_task(one.run(stop), name=one.link)
        await asyncio.sleep(SETTLE_S)
        reads, missed = Taken.reads, _missed(many)
        cpu, wall, wakes = time.process_time(), time.monotonic(), _wakes()
        await asyncio.sleep(seconds)
        cpu, wall, wakes = time.process_time() - cpu, time.monotonic() - wall, _wakes() - wakes
        reads, missed = Taken.reads - reads, _missed(many) - missed
        stop.set()
    return Sampled(reads, cpu / reads * 1e6, wakes / wall, missed)


async def whole(port: int, url: str, home: Path, seconds: float) -> Sampled:
    """The same devices in a whole gateway."""
    async with gateway_of([device(number, port) for number in range(LINKS)], home, url) as gateway:
        await asyncio.sleep(2 * SETTLE_S)
        reads, cpu, wall, wakes = cycles(gateway), time.process_time(), time.monotonic(), _wakes()
        await asyncio.sleep(seconds)
        cpu, wall, wakes = time.process_time() - cpu, time.monotonic() - wall, _wakes() - wakes
        reads = cycles(gateway) - reads
        missed = sum(one.counters.missed for one in gateway.links.devices())
    return Sampled(reads, cpu / reads * 1e6, wakes / wall, missed)


def _wakes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def _missed(many: Sequence[Supervisor]) -> int:
    return sum(device.counters.missed for one in many for device in one.devices.values())


async def bare(port: int, seconds: float, *, links: int = LINKS) -> Sampled:
    """The least an event loop can do: a timer a link, a write, a read, one unpack; no schedule and no checks."""
    loop = asyncio.get_running_loop()
    unpack = struct.Struct(f">{TAGS}f").unpack_from
    (request,) = DRIVER.group(device(0, port), points_of(device(0, port)))
    frame = b"\0\1\0\0\0\6" + request.detail.asked
    count = 0
    ended = False

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            nonlocal count
            count += 1
            ReadResult(unpack(data, 9))

        def ask(self, at_s: float) -> None:
            if not ended:
                self.transport.write(frame)
                loop.call_at(at_s + POLL_MS / 1000, self.ask, at_s + POLL_MS / 1000)

    for number in range(links):
        _, client = await loop.create_connection(Client, "127.0.0.1", port)
        client.ask(loop.time() + number / links * POLL_MS / 1000)
    await asyncio.sleep(SETTLE_S)
    began, cpu, wall, wakes = count, time.process_time(), time.monotonic(), _wakes()
    await asyncio.sleep(seconds)
    cpu, wall, wakes = time.process_time() - cpu, time.monotonic() - wall, _wakes() - wakes
    ended = True
    return Sampled(count - began, cpu / (count - began) * 1e6, wakes / wall, 0)


def run(*, seconds: float = 10.0, loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> list[Figure]:
    """CPU and wake-ups of the polling part, and of the whole gateway."""
    with (
        served(open_field) as ports,
        asyncio.Runner(loop_factory=loop) as runner,
        tempfile.TemporaryDirectory() as home,
    ):
        limit = runner.run(bare(ports[0], seconds))
        found = runner.run(polled(ports[0], seconds))
        broker = new_broker(Path(home)).start()
        try:
            all_of_it = runner.run(whole(ports[0], broker.url, Path(home), seconds))
        finally:
            broker.kill()
    links = f"{LINKS} Modbus links x {TAGS} float32 at {POLL_MS // 1000} s"
    figures = []
    for what, one in ((f"polling alone, {links}", found), (f"whole gateway, {links}, unchanged", all_of_it)):
        figures.append(
            Figure(
                name=f"{what}: CPU",
                value=one.cpu_us,
                unit="µs/read",
                limit=limit.cpu_us,
                limit_name="bare: timer, write, read, unpack",
                at_most=60.0 if one is found else None,
                note=f"{one.reads / seconds:,.0f} reads/s, {one.missed} missed",
            )
        )
        figures.append(
            Figure(name=f"{what}: wake-ups", value=one.wakes, unit="/s", limit=limit.wakes, limit_name="bare")
        )
    return figures


def _loop(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name != "uvloop":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    print(machine())
    arguments = sys.argv[1:]
    for figure in run(
        seconds=float(arguments[0]) if arguments else 10.0, loop=_loop(arguments[1] if arguments[1:] else "")
    ):
        print(figure.line())
