"""How long a write takes while its link is polled without a pause: command published to answer received.

Beside it the bare way: the same two requests (write, read back) of the driver on a session that nothing polls, and
the way of a queue behind the polls (one whole cycle of the link). Run alone: `python -m tests.benchmarks.bench_write`.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.figures import Figure, machine, report
from tests.commanding import Bench
from tests.servers import free_port, new_broker

DEVICES, TAGS = 20, 100
WRITES = 200
ANSWER_S = 0.002
"""What a device takes to answer: 2 ms, a fast one."""


def plant(port: int) -> list[DeviceConfig]:
    """Twenty units behind one link, each with a hundred registers that no request joins, polled every 10 ms: the link
    is never at rest."""
    devices = []
    for number in range(DEVICES):
        tags = {
            f"t{at}": TagConfig(type="uint16", address=f"holding:{at * 2}", poll_ms=10, writable=at == 0)
            for at in range(TAGS)
        }
        connection = {"host": "127.0.0.1", "port": port, "unit_id": number + 1, "timeout": 2000, "max_read": 4}
        devices.append(
            DeviceConfig(
                path=f"a/l/d{number}",
                protocol="modbus",
                link=f"tcp:127.0.0.1:{port}",
                gateway="gw-1",
                connection=connection,
                tags=tags,
            )
        )
    return devices


async def bare(devices: list[DeviceConfig], home: str) -> list[float]:
    """Write and read back on a quiet session, seconds each."""
    driver = registry.driver("modbus")
    session = await driver.connect(devices, home=home)
    try:
        device = devices[0]
        point = points_of(device, ["t0"])[0]
        (request,) = driver.group(device, [point])
        found = []
        for value in range(50):
            began = time.perf_counter()
            await session.write(device.path, point, value)
            await session.read(request)
            found.append(time.perf_counter() - began)
        return found
    finally:
        await session.close()


async def device(port: int) -> None:
    """The field, in a process of its own: a server that takes its time for every answer. Says how much it was asked."""
    server = await serve(plant(port), port=port)
    answer = server.respond
    asked = 0

    def respond(unit_id: int, pdu: bytes) -> bytes | None:
        nonlocal asked
        asked += 1
        time.sleep(ANSWER_S)
        return answer(unit_id, pdu)

    server.respond = respond  # type: ignore[method-assign]
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(asked, flush=True)
    await server.close()


class Field:
    """That process."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.bench_write", "device", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None and self._process.stdout.readline().strip() == "ready"

    def asked(self) -> int:
        """Requests so far."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


async def measure(folder: Path) -> list[Figure]:
    """All figures."""
    broker = new_broker(folder).start()
    port = free_port()
    field = await asyncio.to_thread(Field, port)
    try:
        devices = plant(port)
        alone = await bare(devices, str(folder))
        bench = Bench(broker, folder / "home", devices)
        latencies: list[float] = []
        async with bench.running():
            await asyncio.sleep(2.0)  # the load itself: every unit is being polled
            before, began_s = await asyncio.to_thread(field.asked), time.perf_counter()
            for number in range(WRITES):
                began = time.perf_counter()
                found = await bench.asker.ask(f"a/l/d{number % DEVICES}/t0", number, deadline_s=30)
                latencies.append(time.perf_counter() - began)
                assert found["state"] == "done", found
            rate = (await asyncio.to_thread(field.asked) - before) / (time.perf_counter() - began_s)
    finally:
        await asyncio.to_thread(field.end)
        broker.kill()
    bare_ms = statistics.median(alone) * 1000
    latencies.sort()
    p50, p95 = latencies[len(latencies) // 2] * 1000, latencies[int(len(latencies) * 0.95)] * 1000
    requests = sum(len(registry.driver("modbus").group(one, points_of(one))) for one in devices)
    limit = "write + read, quiet link"
    note = f"{rate:,.0f} requests/s on the link meanwhile"
    return [
        Figure(name="write under full polling, p50", value=p50, unit="ms", limit=bare_ms, limit_name=limit, note=note),
        Figure(
            name="write under full polling, p95", value=p95, unit="ms", limit=bare_ms, limit_name=limit, at_most=50.0
        ),
        Figure(name="waiting behind the polls instead (one cycle)", value=requests / max(rate, 1) * 1000, unit="ms"),
    ]


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder)))


if __name__ == "__main__" and sys.argv[1:2] == ["device"]:
    asyncio.run(device(int(sys.argv[2])))
elif __name__ == "__main__":
    print(machine())
    print(report(run()))
