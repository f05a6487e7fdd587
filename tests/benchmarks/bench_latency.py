"""How soon: a notification on its live topic, and a sample as a committed row.

The first is measured inside a gateway (from the driver's call to the return of the socket's send) and at a subscriber in another process. The second asks PostgreSQL itself: with
`track_commit_timestamp` every row's transaction has its time, and the row has the gateway's, by the same clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from nexus_cli.drivers.base import ReadResult, Request
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.benchmarks.bench_core import historian
from tests.benchmarks.bench_observed import Thousand, write_site
from tests.benchmarks.field import process
from tests.benchmarks.figures import Figure, machine
from tests.benchmarks.plants import apply_site
from tests.field import FakeDriver, FakeSession, FakeSource
from tests.postgres import PASSWORD
from tests.servers import free_port, new_broker

TAGS, PERIOD_S, COUNT = 50, 0.005, 2_000
BACKGROUND = {"nothing else": 0, "1,000 polled values/s": 50, "10,000 polled values/s": 500}
POLLED_TAGS = 20
ROWS_S = 20.0
ROW_TAGS = (20, 41)
"""Of each of 1,000 devices."""
REPORTS = b"acme/chicago/a/l/reports/"


class _Moving(FakeSession):
    """Answers at once with values that all moved."""

    async def read(self, request: Request) -> ReadResult:
        self.driver._count += 1
        return ReadResult([self.driver._count + at * 0.5 for at in range(len(request.points))])


class _Field(FakeDriver):
    async def connect(self, devices: Any, *, home: str) -> FakeSession:
        return _Moving(self, "")


def listener(pipe: Connection, url: str) -> None:
    """Notes when each value of the reporting device arrived, in monotonic seconds (one clock for all processes)."""

    async def main() -> None:
        arrived: dict[float, float] = {}
        client = BrokerClient(settings=Settings(site="acme/chicago", broker_url=url), client_id="bench-listener")
        stop = asyncio.Event()

        def note(message: Any) -> None:
            now_s = time.monotonic()
            value = orjson.loads(message.payload).get("value")
            if value is not None:
                arrived[value] = now_s

        async def ready() -> None:
            pipe.send("ready")

        async with asyncio.TaskGroup() as group:
            group.create_task(
                client.run(stop, subscriptions=[("acme/chicago/a/l/reports/#", 0)], on_message=note, on_connected=ready)
            )
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            pipe.send(arrived)
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            stop.set()

    asyncio.run(main())


def devices(polled: int) -> list[DeviceConfig]:
    """One device that reports, and polled ones beside it."""
    reporting = {
        f"n{at:02}": TagConfig(type="float64", address=f"n{at}", mode="subscribe", poll_ms=100) for at in range(TAGS)
    }
    reads = {f"p{at:02}": TagConfig(type="float64", address=f"p{at}", poll_ms=1000) for at in range(POLLED_TAGS)}
    found = [DeviceConfig(path="a/l/reports", protocol="fake", link="r", gateway="gw-1", tags=reporting)]
    found += [
        DeviceConfig(path=f"a/l/d{at}", protocol="fake", link=f"p{at}", gateway="gw-1", tags=reads)
        for at in range(polled)
    ]
    return found


async def notify(folder: Path, url: str, pipe: Any, *, polled: int) -> tuple[list[float], list[float]]:
    """Milliseconds from notification to PUBLISH written, and to its arrival at a subscriber."""
    settings = Settings(home=folder, site="acme/chicago", principal="nexus.gateway.gw-1", broker_url=url)
    driver, stop = _Field(), asyncio.Event()
    found: list[Gateway] = []
    written: dict[float, float] = {}
    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_gateway(
                settings,
                name="gw-1",
                source=FakeSource(devices(polled)),
                stop=stop,
                drivers=lambda _: driver,
                started=found.append,
            )
        )
        while "a/l/reports" not in driver.subscriptions or not found[0].ready()[0]:
            await asyncio.sleep(0.05)
        _watch(found[0]._client, written)
        await asyncio.sleep(3.0)
        begun: dict[float, float] = {}
        value = 1e9  # no polled value comes near it
        subscription = driver.subscriptions["a/l/reports"]
        for number in range(COUNT):
            value += 1.0
            begun[value] = time.monotonic()
            subscription.report(**{f"n{number % TAGS:02}": value})
            await asyncio.sleep(PERIOD_S)
        await asyncio.sleep(1.0)
        stop.set()
    pipe.send("give")
    arrived = pipe.recv()
    pipe.send("end")
    to_socket = [(written[one] - begun[one]) * 1e3 for one in begun if one in written]
    to_reader = [(arrived[one] - begun[one]) * 1e3 for one in begun if one in arrived]
    return to_socket, to_reader


def _watch(client: BrokerClient, written: dict[float, float]) -> None:
    """Note the moment after the socket took each publish of a reported value (one write may hold several packets)."""
    stream: Any = client._connection._stream  # type: ignore[union-attr]
    write = stream.write

    def timed(data: bytes) -> None:
        write(data)
        now_s, at = time.monotonic(), data.find(REPORTS)
        while at >= 0:
            begin = data.index(b"{", at)
            payload = data[begin : data.index(b"}", begin) + 1]
            written[orjson.loads(payload)["value"]] = now_s
            at = data.find(REPORTS, begin)

    stream.write = timed


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def notifications(name: str, polled: int) -> list[Figure]:
    """One load."""
    with tempfile.TemporaryDirectory() as folder:
        broker = new_broker(Path(folder)).start()
        try:
            with process(historian, broker.url), process(listener, broker.url) as pipe:
                pipe.recv()
                to_socket, to_reader = asyncio.run(notify(Path(folder) / "home", broker.url, pipe, polled=polled))
        finally:
            broker.kill()
    return [
        Figure(
            name=f"notification to PUBLISH written, p95, {name}",
            value=_percentile(to_socket, 95),
            unit="ms",
            at_most=5.0,
            note=f"p50 {_percentile(to_socket, 50):.2f}, p99 {_percentile(to_socket, 99):.1f}; "
            f"{COUNT - len(to_socket)} of {COUNT} conflated",
        ),
        Figure(
            name="  to a subscriber in another process, p95",
            value=_percentile(to_reader, 95),
            unit="ms",
            note=f"p50 {_percentile(to_reader, 50):.2f}, p99 {_percentile(to_reader, 99):.1f}",
        ),
    ]


async def _row_delays(url: str, since_us: float, until_us: float) -> list[float]:
    conn = await asyncpg.connect(url, password=PASSWORD)
    try:
        table = await conn.fetchval("SELECT table_name FROM nexus.retention_class WHERE name = 'process'")
        rows = await conn.fetch(
            "select extract(epoch from pg_xact_commit_timestamp(xmin) - time) * 1000 as delay_ms, count(*) as rows "
            f"from nexus.{table} where time between to_timestamp($1) and to_timestamp($2) group by time, xmin::text, 1",
            since_us / 1e6,
            until_us / 1e6,
        )
    finally:
        await conn.close()
    return [float(row["delay_ms"]) for row in rows for _ in range(row["rows"])]


async def _set_commit_times(url: str) -> None:
    conn = await asyncpg.connect(url, password=PASSWORD)
    try:
        await conn.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    finally:
        await conn.close()


def rows(tags: int) -> list[Figure]:
    """1,000 devices with so many tags at 1 s, every value moving: 1,000 times as many rows/s through the whole runtime."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtime = Thousand(folder, port=free_port())
        write_site(folder, port=runtime.device_port, deadband=0.5, tags=tags)
        try:
            runtime.database.start()
            asyncio.run(_set_commit_times(runtime.database.url))
            runtime.database.stop()
            runtime.start()
            apply_site(runtime)
            time.sleep(5.0)
            since_us = time.time() * 1e6
            time.sleep(ROWS_S)
            until_us = time.time() * 1e6
            time.sleep(3.0)
            delays = asyncio.run(_row_delays(runtime.database.url, since_us, until_us))
        finally:
            runtime.stop()
    return [
        Figure(
            name=f"sample to committed row, p99, {tags},000 rows/s",
            value=_percentile(delays, 99),
            unit="ms",
            at_most=250.0,
            note=f"p50 {_percentile(delays, 50):.0f}, p95 {_percentile(delays, 95):.0f}, worst {max(delays):.0f}; "
            f"{len(delays) / ROWS_S:,.0f} rows/s",
        )
    ]


def run() -> list[Figure]:
    """All loads."""
    found: list[Figure] = []
    for name, polled in BACKGROUND.items():
        with contextlib.suppress(BrokenPipeError):
            found += notifications(name, polled)
    for tags in ROW_TAGS:
        found += rows(tags)
    return found


if __name__ == "__main__":
    print(machine())
    chosen: dict[str, Callable[[], list[Figure]]] = {
        **{f"rows-{tags}": partial(rows, tags) for tags in ROW_TAGS},
        "idle": lambda: notifications("nothing else", 0),
    }
    for figure in chosen.get(sys.argv[-1], run)():
        print(figure.line())
