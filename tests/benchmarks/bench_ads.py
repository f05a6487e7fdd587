"""ADS: `session.read` against pyads's sum read of the same symbols, and notifications against pyads's, client CPU.

The server is a process of its own; each client too, because pyads works on threads of its own and what they spend
counts. Run: python -m tests.benchmarks.bench_ads
"""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import struct
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.simulator import serve
from nexus_cli.drivers.base import Notification, points_of
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.figures import Figure, machine

HOST, NET_ID = "127.0.0.77", "127.0.0.77.1.1"
TAGS = 497
"""With the three that watch the PLC, 500 sub-commands: the most that a sum read takes."""
REPORTED = 500
CYCLE_MS = 20


def device() -> DeviceConfig:
    """Numbers to read, and numbers that are reported in every cycle."""
    tags = {
        f"r{at:03}": TagConfig(type="float64", address=f"GVL.r{at}", simulate={"signal": "constant", "value": at + 0.5})
        for at in range(TAGS)
    }
    tags |= {
        f"s{at:03}": TagConfig(
            type="float64",
            address=f"GVL.s{at}",
            mode="cyclic",
            poll_ms=CYCLE_MS,
            simulate={"signal": "constant", "value": at + 0.25},
        )
        for at in range(REPORTED)
    }
    connection = {"host": HOST, "ams_net_id": NET_ID, "source_net_id": "127.0.0.1.1.1"}
    return DeviceConfig(path="a/l/d", protocol="ads", connection=connection, tags=tags)


def server(pipe: Connection) -> None:
    """The server's process."""

    async def main() -> None:
        simulator = await serve([device()], host=HOST, port=48898)
        pipe.send("ready")
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await simulator.close()

    asyncio.run(main())


def ours(pipe: Connection, seconds: float, router: str) -> None:
    """Our session: tags per second of CPU and of wall time; CPU per notification in µs, and how many came."""
    pipe.send(asyncio.run(_ours(seconds, router)))


async def _ours(seconds: float, router: str) -> dict[str, float]:
    config = device()
    config.connection["router"] = router
    session = await DRIVER.connect([config], home=".")
    (request,) = DRIVER.group(config, points_of(config, [name for name in config.tags if name.startswith("r")]))
    result = await session.read(request)
    assert not result.faults
    assert result.values[-1] == TAGS - 0.5
    count, cpu, wall = 0, time.process_time(), time.monotonic()
    while time.monotonic() - wall < seconds:
        await session.read(request)
        count += TAGS
    found = {"cpu": count / (time.process_time() - cpu), "wall": count / (time.monotonic() - wall)}
    heard = 0

    def sink(_: str, notifications: Sequence[Notification]) -> None:
        nonlocal heard
        heard += len(notifications)

    points = points_of(config, [name for name in config.tags if name.startswith("s")])
    subscription = await session.subscribe(config.path, points, interval_ms=[CYCLE_MS] * len(points), sink=sink)
    assert not subscription.faults
    await asyncio.sleep(0.3)
    heard, cpu, wall = 0, time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    found |= {"heard": float(heard), "us": (time.process_time() - cpu) / max(heard, 1) * 1e6}
    found["rate"] = heard / (time.monotonic() - wall)
    await session.close()
    return found


def bare(pipe: Connection, seconds: float, router: str) -> None:
    """pyads: `adsSumReadBytes` of ready addresses and one `struct` over the answer; its notification callback."""
    import pyads
    from pyads import pyads_ex

    pyads.open_port()
    pyads.set_local_address("127.0.0.1.1.1")
    pyads.close_port()
    plc = pyads.Connection(NET_ID, 851, HOST)
    plc.open()
    infos = [plc.get_symbol(f"GVL.r{at}") for at in range(TAGS)]
    symbols = [(info.index_group, info.index_offset, 8) for info in infos]
    decode = struct.Struct(f"<{TAGS}d").unpack_from
    port, address = plc._port, plc._adr
    values = decode(pyads_ex.adsSumReadBytes(port, address, symbols), 4 * TAGS)
    assert values[-1] == TAGS - 0.5
    count, cpu, wall = 0, time.process_time(), time.monotonic()
    while time.monotonic() - wall < seconds:
        decode(pyads_ex.adsSumReadBytes(port, address, symbols), 4 * TAGS)
        count += TAGS
    found = {"cpu": count / (time.process_time() - cpu), "wall": count / (time.monotonic() - wall)}
    heard = 0

    def callback(notification: Any, data: Any) -> None:
        nonlocal heard
        plc.parse_notification(notification, ctypes.c_double)
        heard += 1

    attributes = pyads.NotificationAttrib(8, pyads.ADSTRANS_SERVERCYCLE, 0, CYCLE_MS)
    handles = [plc.add_device_notification(f"GVL.s{at}", attributes, callback) for at in range(REPORTED)]
    time.sleep(0.3)
    heard, cpu, wall = 0, time.process_time(), time.monotonic()
    time.sleep(seconds)
    found |= {"heard": float(heard), "us": (time.process_time() - cpu) / max(heard, 1) * 1e6}
    found["rate"] = heard / (time.monotonic() - wall)
    for handle in handles:
        if handle is not None:
            plc.del_device_notification(*handle)
    plc.close()
    pipe.send(found)


def _in_process(work: Callable[[Connection, float, str], None], seconds: float, router: str = "") -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, seconds, router), daemon=True)
    process.start()
    there.close()
    try:
        found: dict[str, float] = here.recv()
    finally:
        process.join(20)
        process.terminate()
    return found


def run(*, seconds: float = 3.0) -> list[Figure]:
    """Measure against a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=server, args=(there,), daemon=True)
    process.start()
    try:
        here.recv()
        limit = _in_process(bare, seconds)
        direct = _in_process(ours, seconds, "direct")
        routed = _in_process(ours, seconds, "local")
    finally:
        here.send("stop")
        process.join(5)
        process.terminate()
    sum_read = f"ADS sum read of {TAGS} float64"
    report = f"ADS notifications, {REPORTED} in cycles of {CYCLE_MS} ms"
    pyads, callback = "pyads adsSumReadBytes + struct", "pyads callback"
    return [
        Figure(
            name=f"{sum_read}: per CPU second of the client",
            value=direct["cpu"], unit="tags/s", limit=limit["cpu"], ratio_at_least=0.8, limit_name=pyads,
        ),
        Figure(
            name=f"{sum_read}: wall, one connection",
            value=direct["wall"], unit="tags/s", limit=limit["wall"], ratio_at_least=0.8, limit_name=pyads,
        ),
        Figure(
            name=f"{sum_read}: per CPU second, through the router",
            value=routed["cpu"], unit="tags/s", limit=limit["cpu"], limit_name=pyads,
        ),
        Figure(
            name=f"{report}: client CPU each",
            value=direct["us"], unit="us", limit=limit["us"], ratio_at_most=1.0,
            note=f"{direct['rate']:,.0f}/s heard, pyads {limit['rate']:,.0f}/s", limit_name=callback,
        ),
        Figure(
            name=f"{report}: client CPU each, through the router",
            value=routed["us"], unit="us", limit=limit["us"], note=f"{routed['rate']:,.0f}/s heard", limit_name=callback,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
