"""Discovery through a gateway: interrupted, continued, of the device that was asked for, below the polls."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover import frontier, via
from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import SimulatorServer
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.discover import Ask, Progress, Wanted, discover
from nexus_cli.runtime.gateway import browsing
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from tests.field import FakeSource
from tests.servers import TestBroker, free_port
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]
URI = "http://acme/plc"
NODES = 2_000


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes the rows down here, so that a gateway that ends need not wait for it."""
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)


def plc(port: int, path: str, count: int, *, poll_ms: int = 200) -> DeviceConfig:
    tags = {
        f"v{place}": TagConfig(type="float64", address=f"nsu={URI};s={path}.{place}", poll_ms=poll_ms)
        for place in range(count)
    }
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    return DeviceConfig(
        path=path, protocol="opcua", link=endpoint, gateway="gw-1", connection={"endpoint": endpoint}, tags=tags
    )


def count_looks(server: SimulatorServer) -> Counter[str]:
    """How often the server was asked for what is below a node, from now on."""
    looks: Counter[str] = Counter()
    service = server.server.iserver.view_service
    plain = service.browse

    def browse(parameters: Any) -> Any:
        looks.update(one.NodeId.to_string() for one in parameters.NodesToBrowse)
        return plain(parameters)

    service.browse = browse
    return looks


@contextlib.asynccontextmanager
async def gateway(
    broker: TestBroker, devices: Sequence[DeviceConfig], home: Path, *, polls: int = 3
) -> AsyncIterator[tuple[Gateway, asyncio.Event]]:
    """A running gateway whose devices have been polled so often, and what ends it."""
    stop, gateways = asyncio.Event(), list[Gateway]()
    own = replace(broker.settings(principal="nexus.gateway.gw-1", home=home), site="acme/chicago")
    async with asyncio.TaskGroup() as group:
        source = FakeSource(list(devices))
        group.create_task(run_gateway(own, name="gw-1", source=source, stop=stop, started=gateways.append))
        try:
            await until(lambda: gateways and hasattr(gateways[0], "links") and gateways[0].links.devices())
            await until(lambda: all(device.counters.cycles >= polls for device in gateways[0].links.devices()))
            yield gateways[0], stop
        finally:
            stop.set()


async def walked(
    ask: Ask, settings: Settings, *, end: Callable[[Progress, asyncio.Event], None] = lambda _now, _stop: None
) -> Any:
    stop = asyncio.Event()
    outcome = await discover(ask, settings=settings, stop=stop, on_progress=lambda now: end(now, stop))
    assert outcome.value is not None, outcome.findings
    return outcome.value.proposals[0]


def after(found: int) -> Callable[[Progress, asyncio.Event], None]:
    """Ctrl-C after so many values."""

    def end(now: Progress, stop: asyncio.Event) -> None:
        if now.found >= found:
            stop.set()

    return end


def nodes_of(proposal: Any) -> list[str]:
    return sorted(str(tag.keys["node"]) for device in proposal.devices for tag in device.tags)


async def test_a_walk_through_a_gateway_goes_on_after_ctrl_c_and_a_dead_gateway(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(via, "SILENCE_S", 2.0)
    monkeypatch.setattr(via, "PATIENCE_S", 1.0)
    monkeypatch.setattr(browsing, "SIGN_OF_LIFE_S", 0.3)
    monkeypatch.setattr(frontier, "BATCH", 100)
    port = free_port()
    polled = plc(port, "a/l/plc", 20)
    server = await serve_opcua([polled, plc(port, "a/l/rest", NODES)], port=port)
    cli = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    ask = Ask(target=f"opcua://127.0.0.1:{port}", via="gw-1")
    try:
        async with gateway(broker, [polled], tmp_path / "gateway"):
            whole = nodes_of(await walked(ask, replace(cli, home=tmp_path / "other")))
            assert len(whole) == NODES + 20
            looks = count_looks(server)
            cut = await walked(ask, cli, end=after(300))
            assert cut.facts["ended"] == "interrupted"
            assert not cut.complete
        async with gateway(broker, [polled], tmp_path / "gateway") as (_, gone):

            def end(now: Progress, _stop: asyncio.Event) -> None:
                if now.found >= 900:
                    gone.set()

            with pytest.raises(NexusError) as caught:
                await walked(ask, cli, end=end)
            assert caught.value.code in ("NX6610", "NX6611"), "its last word, or none"
            assert "resumes from there" in caught.value.hint
        with pytest.raises(NexusError) as caught:
            await walked(ask, cli)
        assert caught.value.code == "NX6611", "nobody is there"
        assert "resumes from there" in caught.value.hint
        direct = await walked(replace(ask, via=""), cli, end=after(1_300))
        assert direct.facts["resumed"] >= 900, "one journal for both ways"
        async with gateway(broker, [polled], tmp_path / "gateway") as (running, _):
            counters = running.links.devices()[0].counters
            missed = counters.missed
            last = await walked(ask, cli)
            assert counters.missed == missed, "not one poll was missed for it"
        assert last.facts["resumed"] >= 1_200
        assert last.complete
        assert nodes_of(last) == whole
        again = sum(count - 1 for count in looks.values())
        assert again <= 3 * 400, "of each interruption, one request's nodes at most were looked at twice"
        assert not list((cli.home / "discover").iterdir()), "a complete walk leaves no journal"
    finally:
        await server.close()


async def test_a_walk_goes_on_by_itself_when_its_link_was_away(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "BATCH", 100)
    port = free_port()
    devices = [plc(port, "a/l/plc", 20), plc(port, "a/l/rest", NODES)]
    servers = [await serve_opcua(devices, port=port)]
    cli = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    waited: list[str] = []
    away = asyncio.Event()
    try:
        async with gateway(broker, devices[:1], tmp_path / "gateway") as (running, _), asyncio.TaskGroup() as group:

            async def restart() -> None:
                await away.wait()
                await servers[0].close()
                await until(lambda: waited)
                servers.append(await serve_opcua(devices, port=port))

            def end(now: Progress, _stop: asyncio.Event) -> None:
                if now.found >= 600 and not away.is_set():
                    away.set()
                    servers[0].drop_connections()  # at once: the walk must not come to its end before the server does
                if now.away:
                    waited.append(now.name)

            group.create_task(restart(), name="restart the server")
            found = await walked(Ask(target=f"opcua://127.0.0.1:{port}", via="gw-1"), cli, end=end)
            assert running.links.devices()[0].counters.cycles
    finally:
        await servers[-1].close()
    assert waited
    assert "connection broke" in waited[0] or "link" in waited[0]
    assert found.complete
    nodes = nodes_of(found)
    assert len(nodes) == len(set(nodes)) == NODES + 20, "everything once"
    assert "the same value was found before" not in dict(found.skipped).values()


async def test_a_walk_goes_on_by_itself_when_its_gateway_was_away(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(via, "SILENCE_S", 1.0)
    monkeypatch.setattr(browsing, "SIGN_OF_LIFE_S", 0.3)
    monkeypatch.setattr(frontier, "BATCH", 100)
    port = free_port()
    devices = [plc(port, "a/l/plc", 20), plc(port, "a/l/rest", NODES)]
    server = await serve_opcua(devices, port=port)
    cli = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    waited: list[str] = []
    away = asyncio.Event()

    def end(now: Progress, _stop: asyncio.Event) -> None:
        if now.found >= 600:
            away.set()
        if now.away:
            waited.append(now.name)

    try:
        async with asyncio.TaskGroup() as group:
            async with gateway(broker, devices[:1], tmp_path / "gateway"):
                ask = Ask(target=f"opcua://127.0.0.1:{port}", via="gw-1")
                walk = group.create_task(walked(ask, cli, end=end), name="walk")
                await until(away.is_set)
            await until(lambda: any("does not answer" in why for why in waited))
            async with gateway(broker, devices[:1], tmp_path / "gateway"):
                found = await walk
    finally:
        await server.close()
    assert found.complete
    assert len(nodes_of(found)) == NODES + 20
    assert "the same value was found before" not in dict(found.skipped).values()


async def test_the_second_runtime_of_a_plc_is_browsed_by_its_ams_port(broker: TestBroker, tmp_path: Path) -> None:
    tcp = free_port()

    def runtime(port: int, symbol: str) -> DeviceConfig:
        connection = {"host": "127.0.0.1", "tcp_port": tcp, "ams_net_id": "127.0.0.1.1.1", "port": port}
        link = kinds()["ads"].link_of(kinds()["ads"].connection.model_validate(connection))
        tags = {"v": TagConfig(type="int32", address=symbol, poll_ms=200)}
        return DeviceConfig(
            path=f"a/l/plc-{port}", protocol="ads", link=link, gateway="gw-1", connection=connection, tags=tags
        )

    runtimes = [runtime(851, "MAIN.first"), runtime(852, "MAIN.second")]
    server = await serve_ads(runtimes, port=tcp)
    cli = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    net_id = runtimes[0].connection["ams_net_id"]

    async def symbols(port: int, via_gateway: str) -> list[str]:
        target = f"ads://127.0.0.1:{port}?net_id={net_id}&tcp_port={tcp}"
        proposal = await walked(Ask(target=target, via=via_gateway), cli)
        found = [str(tag.keys["address"]) for device in proposal.devices for tag in device.tags]
        return [address for address in found if address.startswith("MAIN.")]

    try:
        for port, symbol in ((851, "MAIN.first"), (852, "MAIN.second")):
            assert await symbols(port, "") == [symbol]
        async with gateway(broker, runtimes, tmp_path / "gateway"):
            for port, symbol in ((851, "MAIN.first"), (852, "MAIN.second")):
                assert await symbols(port, "gw-1") == [symbol]
            with pytest.raises(NexusError) as caught:
                await symbols(853, "gw-1")
        assert "port 853" in caught.value.message
    finally:
        await server.close()


async def test_the_unit_that_was_asked_for_is_browsed_not_the_first_of_its_link(
    broker: TestBroker, tmp_path: Path
) -> None:
    port = free_port()

    def meter(unit: int) -> DeviceConfig:
        tags = {"v": TagConfig(type="uint16", address="holding:0", poll_ms=200)}
        connection = {"host": "127.0.0.1", "port": port, "unit_id": unit}
        return DeviceConfig(
            path=f"a/l/m{unit}",
            protocol="modbus",
            link=f"tcp:127.0.0.1:{port}",
            gateway="gw-1",
            connection=connection,
            tags=tags,
        )

    meters = [meter(1), meter(2)]
    server = await serve_modbus(meters, port=port)
    asked: list[int] = []
    plain = server.respond

    def respond(unit_id: int, pdu: bytes) -> bytes | None:
        if pdu[:1] == b"\x2b":
            asked.append(unit_id)
        return plain(unit_id, pdu)

    server.respond = respond  # type: ignore[method-assign]
    cli = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    try:
        async with gateway(broker, meters, tmp_path / "gateway"):
            await discover(
                Ask(target=f"modbus://127.0.0.1:{port}?unit=2", via="gw-1", wanted=Wanted()),
                settings=cli,
                stop=asyncio.Event(),
            )
            assert set(asked) == {2}
            with pytest.raises(NexusError) as caught:
                await discover(
                    Ask(target=f"modbus://127.0.0.1:{port}?unit=7", via="gw-1"), settings=cli, stop=asyncio.Event()
                )
            assert "unit_id 7" in caught.value.message
    finally:
        await server.close()
