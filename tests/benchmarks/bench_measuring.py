"""What measuring latencies costs: a whole gateway with it and without, in turns of the same run, and one operation alone.

400 Modbus links of 20 values each, once a second, all of them moving; field, broker and historian are processes of their own.
Without: the calls that add to the histograms do nothing, and the times that only they need are not taken.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import timeit
from pathlib import Path

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.gateway import OPERATIONS, Gateway
from nexus_cli.runtime.latency import Latencies, Latency
from tests.benchmarks.bench_core import SETTLE_S, cycles, gateway_of, historian
from tests.benchmarks.core_fields import open_modbus
from tests.benchmarks.field import process, served
from tests.benchmarks.figures import Figure, machine
from tests.servers import new_broker

LINKS, TAGS, POLL_MS = 400, 20, 1000
TURN_S = 3.0
CALLS = 200_000


def devices(port: int) -> list[DeviceConfig]:
    """One device on a link of its own each."""
    tags = {f"t{at:02}": TagConfig(type="uint32", address=f"holding:{at * 2}", poll_ms=POLL_MS) for at in range(TAGS)}
    return [
        DeviceConfig(
            path=f"a/l/d{number}",
            protocol="modbus",
            link=f"modbus:{number}",
            gateway="gw-1",
            connection={"host": "127.0.0.1", "port": port, "unit_id": number % 200 + 1},
            tags=tags,
        )
        for number in range(LINKS)
    ]


def _switch(latencies: Latencies, *, on: bool) -> None:
    for operation in OPERATIONS:
        one = latencies[operation]
        for name in ("add", "ended", "add_same", "add_many", "now_s"):
            if on:
                one.__dict__.pop(name, None)
            else:
                setattr(one, name, _nothing)
        if on:
            one.now_s = SystemClock().monotonic_s  # an attribute, not a method


def _nothing(*_: object) -> float:
    return 0.0


async def turns(configs: list[DeviceConfig], folder: Path, url: str, seconds: float) -> tuple[list[float], list[float]]:
    """CPU µs of a read with measuring and without, by turn: on, off, off, on, and so forth."""
    with_it: list[float] = []
    without: list[float] = []
    async with gateway_of(configs, folder, url) as gateway:
        await asyncio.sleep(SETTLE_S)
        for number in range(max(1, int(seconds / TURN_S / 4))):
            for on in (True, False, False, True) if number % 2 else (False, True, True, False):
                _switch(gateway.latencies, on=on)
                (with_it if on else without).append(await _turn(gateway))
    return with_it, without


async def _turn(gateway: Gateway) -> float:
    reads, cpu = cycles(gateway), time.process_time()
    await asyncio.sleep(TURN_S)
    return (time.process_time() - cpu) / (cycles(gateway) - reads) * 1e6


def one_operation() -> list[Figure]:
    """Nanoseconds of an operation, counting included, beside the call of a method that does nothing."""
    one, clock = Latency(SystemClock()), SystemClock()
    began_s = clock.monotonic_s()

    class Nothing:
        def add(self, began_s: float, ended_s: float) -> None:
            """Nothing."""

    def ns(call: object) -> float:
        return min(timeit.repeat("call()", globals={"call": call}, number=CALLS, repeat=5)) / CALLS * 1e9

    nothing = Nothing()
    limit = ns(lambda: nothing.add(began_s, began_s + 0.001))
    limits = {"limit": limit, "limit_name": "a method that does nothing"}
    return [
        Figure(
            name="latency: `add`, counting included",
            value=ns(lambda: one.add(began_s, began_s + 0.001)),
            unit="ns",
            at_most=500.0,
            **limits,  # type: ignore[arg-type]
        ),
        Figure(name="  `ended`: with the clock", value=ns(lambda: one.ended(began_s)), unit="ns", **limits),  # type: ignore[arg-type]
        Figure(name="  `add_same`", value=ns(lambda: one.add_same(0.001, 20)), unit="ns", **limits),  # type: ignore[arg-type]
        Figure(
            name="  both windows read",
            value=min(timeit.repeat(one.read, number=200, repeat=5)) / 200 * 1e6,
            unit="µs",
            note="by health every 10 s, each operation",
        ),
    ]


def run(*, seconds: float = 96.0) -> list[Figure]:
    """The gateway with and without, and one operation."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        broker = new_broker(home, options=("max_inflight_messages 1000", "max_queued_messages 100000")).start()
        try:
            with process(historian, broker.url), served(open_modbus) as ports:
                with_it, without = asyncio.run(turns(devices(ports[0]), home / "gateway", broker.url, seconds))
        finally:
            broker.kill()
    spread = statistics.quantiles(without, n=4)
    return [
        Figure(
            name=f"gateway that measures, {LINKS} Modbus links x {TAGS} at 1 s, all move: CPU",
            value=statistics.median(with_it),
            unit="µs/read",
            limit=statistics.median(without),
            limit_name="the same without",
            ratio_at_most=1.03,
            note=f"median of {len(with_it)} turns each; half of those without: {spread[0]:.0f} to {spread[2]:.0f}",
        ),
        *one_operation(),
    ]


if __name__ == "__main__":
    print(machine())
    for figure in run(seconds=float(sys.argv[1]) if sys.argv[1:] else 96.0):
        print(figure.line())
