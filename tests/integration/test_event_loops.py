"""Links on every event loop that a role may run on: polled, lost, opened again, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.settings import EventLoop
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into
from tests.waiting import until

FAST = loop_factory(EventLoop.AUTO)
LOOPS = {"asyncio": None} | ({"uvloop": FAST} if FAST is not None else {})
TAGS = 20
CONSTANT = {"signal": "constant", "value": 1.5}
ADDRESSES = {
    "modbus": lambda at: f"holding:{at * 2}",
    "s7": lambda at: f"%DB1:{at * 4}:REAL",
    "ads": lambda at: f"GVL.t{at}",
    "opcua": lambda at: f"nsu=urn:loops;s=t{at}",
}
SERVE: dict[str, Callable[..., Awaitable[Any]]] = {
    "modbus": serve_modbus,
    "s7": serve_s7,
    "ads": serve_ads,
    "opcua": serve_opcua,
}


def device(protocol: str, port: int = 0) -> DeviceConfig:
    connection: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    if protocol == "ads":
        connection = {
            "host": "127.0.0.1",
            "tcp_port": port,
            "ams_net_id": "127.0.0.1.1.1",
            "source_net_id": "1.1.1.1.1.1",
        }
    if protocol == "opcua":
        connection = {"endpoint": f"opc.tcp://127.0.0.1:{port}"}
    tags = {
        f"t{at}": TagConfig(
            type="float32", address=ADDRESSES[protocol](at), poll_ms=100, mode="poll", simulate=CONSTANT
        )
        for at in range(TAGS)
    }
    return DeviceConfig(path="a/l/d", protocol=protocol, link="link", gateway="gw-1", connection=connection, tags=tags)


@pytest.mark.parametrize("protocol", sorted(SERVE))
@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_a_link_is_polled_and_lost_and_comes_back(protocol: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(_polled_and_lost(protocol))


async def _polled_and_lost(protocol: str) -> None:
    server = await SERVE[protocol]([device(protocol)])
    port = server.port
    recorded, clock = Recorded(), SystemClock()
    pipeline = pipeline_into(recorded, clock)
    link = Supervisor(
        "link",
        driver=registry.driver(protocol),
        link_keys=frozenset(),
        home=".",
        clock=clock,
        pipeline=pipeline,
        latencies=latencies(clock),
        changed=lambda: None,
    )
    link.apply([(device(protocol, port), "1")])
    pipeline.configure(link.devices.values())
    stop = asyncio.Event()
    running = asyncio.create_task(link.run(stop))
    running_device = link.devices["a/l/d"]
    await until(lambda: running_device.counters.cycles > 5, "some polls")
    assert recorded.values("a/l/d/t0") == [1.5] and recorded.values(f"a/l/d/t{TAGS - 1}") == [1.5]
    closing = server.close()
    if closing is not None:
        await closing
    await until(lambda: recorded.values("a/l/d/t0")[-1] is None, "the loss")
    server = await SERVE[protocol]([device(protocol)], port=port)
    await until(lambda: recorded.values("a/l/d/t0") == [1.5, None, 1.5], "the return")
    stop.set()
    await running
    closing = server.close()
    if closing is not None:
        await closing
