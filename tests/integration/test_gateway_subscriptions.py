"""A link that is only subscribed, with a real OPC UA server and a real gateway: nothing is read, and yet a dead server is
noticed, told once, and found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from tests.field import FakeHistorian, FakeSource
from tests.own_time import now_s
from tests.servers import TestBroker, free_port, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.slow, pytest.mark.own_time]
GW = "gw-1"
TAGS = ("a", "b", "c")
NOTICED_S = 12.0
"""A check every 5 s, a time-out of 0.5 s, and a machine that has other things to do."""


def plc(port: int, *, poll_ms: int | None = None) -> DeviceConfig:
    """Three subscribed tags; with `poll_ms` one more that is read so rarely."""
    uri = "http://acme.example/quiet"
    constant = {"signal": "constant", "value": 7}
    tags = {
        name: TagConfig(type="int32", address=f"nsu={uri};s={name}", mode="subscribe", poll_ms=100, simulate=constant)
        for name in TAGS
    }
    if poll_ms is not None:
        tags["rare"] = TagConfig(type="int32", address=f"nsu={uri};s=rare", poll_ms=poll_ms, simulate=constant)
    connection = {
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "timeout": 500,
        "connect_timeout": 2000,
        "session_timeout": 10_000,
    }
    return DeviceConfig(
        path="a/l/plc",
        protocol="opcua",
        link=f"opc.tcp://127.0.0.1:{port}",
        gateway=GW,
        connection=connection,
        tags=tags,
    )


class Quiet:
    """A gateway that runs with a server that changes nothing by itself."""

    def __init__(self, gateway: Gateway, historian: FakeHistorian, server: Any, device: DeviceConfig) -> None:
        self.gateway, self.historian, self.server, self.device = gateway, historian, server, device

    def told(self, tag: str) -> list[tuple[str, str | None]]:
        """Quality and reason of every stored sample of a tag, in order."""
        found = []
        for _, frame in sorted(self.historian.frames.items()):
            if tag in frame.samples:
                quality = frame.quality.get(tag)
                found.append(("GOOD", None) if quality is None else (str(quality[0]), quality[1]))
        return found

    def link(self) -> str:
        """State of the link."""
        return str(next(iter(self.gateway.facts().links.values())).state)

    async def all_told(self, *, times: int, last: tuple[str, str | None]) -> None:
        """Wait until every tag's newest sample is this; every tag then has so many samples."""
        await until(lambda: all(self.told(tag)[-1:] == [last] for tag in TAGS), deadline_s=NOTICED_S)
        assert {tag: len(self.told(tag)) for tag in TAGS} == dict.fromkeys(TAGS, times)


@pytest.fixture(params=[None, 60_000], ids=["only subscribed", "polled once a minute"])
async def quiet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Quiet]:
    """It runs and has reported its first values."""
    port = free_port()
    device = plc(port, poll_ms=request.param)
    server = await serve([device], port=port)
    (tmp_path / "broker").mkdir()
    broker: TestBroker = new_broker(tmp_path / "broker").start()
    settings = broker.settings(principal=f"nexus.gateway.{GW}", home=tmp_path / "home")
    gateways: list[Gateway] = []
    stop, stop_historian = asyncio.Event(), asyncio.Event()
    historian = FakeHistorian(settings)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(historian.run(stop_historian))
            role = group.create_task(
                run_gateway(
                    settings,
                    name=GW,
                    source=FakeSource([device]),
                    stop=stop,
                    drivers=registry.driver,
                    started=gateways.append,
                )
            )
            await until(lambda: bool(gateways))
            one = Quiet(gateways[0], historian, server, device)
            await one.all_told(times=1, last=("GOOD", None))
            try:
                yield one
            finally:
                stop.set()
                await role
                stop_historian.set()
    finally:
        await one.server.close()
        broker.kill()


async def test_a_server_that_stalls(quiet: Quiet) -> None:
    quiet.server.stall(120)
    began = now_s()
    await until(lambda: quiet.link() == "backoff", deadline_s=NOTICED_S)
    assert now_s() - began < NOTICED_S
    await quiet.all_told(times=2, last=("BAD", "link_lost"))
    await asyncio.sleep(3.0)  # some more attempts to connect
    await quiet.all_told(times=2, last=("BAD", "link_lost"))
    quiet.server.stall(None)
    await quiet.all_told(times=3, last=("GOOD", None))
    quiet.server.set(quiet.device.path, "a", 8)
    await until(lambda: len(quiet.told("a")) == 4)


async def test_a_server_that_dies_and_comes_back(quiet: Quiet) -> None:
    port = quiet.server.port
    await quiet.server.close()
    await quiet.all_told(times=2, last=("BAD", "link_lost"))
    await asyncio.sleep(2.0)
    quiet.server = await serve([quiet.device], port=port)
    await quiet.all_told(times=3, last=("GOOD", None))
    assert quiet.link() == "connected"


async def test_a_silent_session_stays_alive(quiet: Quiet) -> None:
    """The session's time-out is 10 s here and nothing changes: without a sign of life the server would end it."""
    await asyncio.sleep(12.0)
    assert quiet.link() == "connected"
    assert [one.reconnects for one in quiet.gateway.links.supervisors.values()] == [0]
    quiet.server.set(quiet.device.path, "b", 9)
    await until(lambda: len(quiet.told("b")) == 2)
