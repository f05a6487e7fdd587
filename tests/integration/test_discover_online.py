"""Discovery against real servers: OPC UA, SunSpec over Modbus, MQTT, and the way through a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua

from nexus_cli.diagnostics import NexusError
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.modbus import sunspec
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.discover import Ask, Wanted, discover, edit, write
from nexus_cli.project.probe import probe
from nexus_cli.project.text import load
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.field import FakeSource
from tests.servers import TestBroker, free_port
from tests.sunspec import EXPECTED, inverter
from tests.waiting import until

SITE = "nexus: 1\nenterprise: acme\nsite: chicago   # ours\n"
URI = "http://acme/plc"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".nexus", site="acme/chicago")


async def looked(ask: Ask, settings: Settings, stop: asyncio.Event | None = None) -> Any:
    outcome = await discover(ask, settings=settings, stop=stop or asyncio.Event())
    assert outcome.value is not None, outcome.findings
    return outcome.value


@contextlib.asynccontextmanager
async def machine(*, boilers: int = 3, per: int = 40) -> AsyncIterator[str]:
    """A server of asyncua's own, with what real servers have."""
    server, port = Server(), free_port()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace(URI)
    objects = server.nodes.objects
    temperature = await objects.add_variable(ua.NodeId("T", space), "Temperature °C", 20.0)
    unit = ua.EUInformation(
        NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
        UnitId=4408652,
        DisplayName=ua.LocalizedText("°C"),
    )
    await temperature.add_property(0, "EngineeringUnits", unit)
    await temperature.add_property(0, "EURange", ua.Range(-10.0, 120.0))
    state = await objects.add_variable(ua.NodeId("S", space), "State", ua.Variant(1, ua.VariantType.UInt32))
    await state.add_property(0, "EnumStrings", [ua.LocalizedText("Stopped"), ua.LocalizedText("Running")])
    array = await objects.add_variable(ua.NodeId("A", space), "Array", [1.0, 2.0, 3.0])
    await array.write_array_dimensions([3])
    kind = await server.nodes.enum_data_type.add_data_type(ua.NodeId("Mode", space), ua.QualifiedName("Mode", space))
    await kind.add_property(0, "EnumStrings", [ua.LocalizedText("Manual"), ua.LocalizedText("Auto")])
    await objects.add_variable(ua.NodeId("M", space), "Mode", ua.Variant(0, ua.VariantType.Int32), datatype=kind.nodeid)
    await objects.add_property(ua.NodeId("P", space), "SerialNumber", "4711")
    for number in range(boilers):
        folder = await objects.add_object(ua.NodeId(f"B{number}", space), f"Boiler #{number}")
        for place in range(per):
            await folder.add_variable(ua.NodeId(f"B{number}.{place}", space), f"Value {place}", float(place))
    async with server:
        yield f"opcua://127.0.0.1:{port}"


def by_name(found: Any) -> dict[str, dict[str, Any]]:
    return {tag.name: tag.keys for device in found.proposals[0].devices for tag in device.tags}


async def test_a_server_s_units_ranges_enumerations_and_arrays_arrive(settings: Settings) -> None:
    async with machine() as url:
        found = await looked(Ask(target=url), settings)
    tags = by_name(found)
    assert tags["temperature-deg-c"] == {
        "node": f"nsu={URI};s=T",
        "type": "float64",
        "unit": "degC",
        "range": [-10.0, 120.0],
        "description": "Temperature °C",
    }
    assert tags["state"]["values"] == {0: "Stopped", 1: "Running"}
    assert tags["mode"] == {"node": f"nsu={URI};s=M", "type": "int32", "values": {0: "Manual", 1: "Auto"}}
    assert tags["array"]["type"] == "float64[3]"
    assert tags["boiler-1.value-7"]["description"] == "Boiler #1/Value 7"
    assert len(tags) == 3 * 40 + 4
    reasons = dict(found.proposals[0].skipped)
    assert reasons["SerialNumber"].startswith("a property")
    assert reasons["Temperature °C/EURange"] == "describes Temperature °C"
    assert found.proposals[0].complete
    assert not list((settings.home / "discover").iterdir()), "a complete walk leaves no journal"


async def test_an_interrupted_walk_goes_on_and_finds_everything_once(settings: Settings) -> None:
    async with machine(boilers=20) as url:
        whole = by_name(await looked(Ask(target=url), settings))
        cut = await looked(Ask(target=url, wanted=Wanted(max_nodes=300)), settings)
        assert not cut.proposals[0].complete
        assert len(by_name(cut)) < 804
        stop = asyncio.Event()
        stop.set()
        again = await looked(Ask(target=url), settings, stop)
        assert again.proposals[0].facts["ended"] == "interrupted"
        assert again.proposals[0].facts["resumed"] > 200
        last = await looked(Ask(target=url), settings)
    assert last.proposals[0].facts["resumed"] > 200
    assert {keys["node"] for keys in by_name(last).values()} == {keys["node"] for keys in whole.values()}
    assert len(by_name(last)) == len(whole) == 804


async def test_discovered_twice_changes_nothing_and_what_is_renamed_stays(settings: Settings, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    async with machine() as url:
        ask = Ask(target=url, into=site, at="heat/l1/boilers", wanted=Wanted(exclude=("**/Value 3*",)))
        first = edit(await looked(ask, settings), ask, mode="merge").value
        assert first is not None
        assert not site.read_text().count("boilers"), "nothing is written before it is asked for"
        write(first)
        assert load(site).ok
        text = site.read_text()
        assert text.startswith(SITE)
        renamed = text.replace("state: {", "machine-state: {writable: true, ", 1)
        renamed = renamed.replace(f'"nsu={URI};s=S"', '"ns=2;s=S"')  # by index: the same node
        site.write_text(renamed)
        second = edit(await looked(ask, settings), ask, mode="merge").value
        assert second is not None
        assert second.merged.empty
        assert second.after == renamed
        pruned = edit(await looked(Ask(into=site, at=ask.at), settings), ask, mode="prune").value
        assert pruned is not None
        assert not pruned.merged.removed
        assert len(pruned.merged.added[ask.at]) == 33, "the device's own connection leads there"


async def test_a_server_that_is_not_there_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(NexusError) as caught:
        await looked(Ask(target=f"opcua://127.0.0.1:{free_port()}"), settings)
    assert caught.value.code == "NX6602"


async def test_sunspec_models_become_tags_whose_scale_stands_in_a_register(settings: Settings, tmp_path: Path) -> None:
    if sunspec.models_folder() is None:
        pytest.skip("pysunspec2 is not installed (pip install 'nexus-cli[discover]')")
    port = free_port()
    server = await serve_modbus([inverter(port)], port=port)
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    try:
        ask = Ask(target=f"modbus://127.0.0.1:{port}", into=site, at="plant/roof/inverter")
        found = await looked(ask, settings)
        proposal = found.proposals[0]
        assert proposal.facts["sunspec"] == {"base": 40_000, "models": [1, 103, 160, 64_998]}
        tags = by_name(found)
        voltage = dict(tags["inverter-three-phase.phase-voltage-an"])
        assert voltage.pop("description")
        voltage.pop("labels", None)
        assert voltage == {
            "address": "holding:40080",
            "type": "float64",
            "raw_type": "uint16",
            "scale_from": "holding:40083",
            "unit": "V",
        }
        assert tags["inverter-three-phase.operating-state"]["values"][4] == "MPPT"
        assert tags["common.manufacturer"]["poll"] == "10m"
        assert {reason for _, reason in proposal.skipped} >= {
            "the device does not implement it",
            "no definition of SunSpec model 64998 (3 registers)",
            "a scale factor, applied to its values",
        }
        change = edit(found, ask, mode="merge").value
        assert change is not None
        write(change)
        loaded = load(site)
        assert loaded.ok, loaded.findings
        values = await read_all(site)
    finally:
        await server.close()
    for name, wanted in EXPECTED.items():
        assert math.isclose(values[name], wanted, rel_tol=1e-12), (name, values[name], wanted)
    assert values["common.manufacturer"] == "Acme"


async def read_all(site: Path) -> dict[str, Any]:
    """Every tag of the site's only device, read by the driver."""
    from tests.e2e.sites import devices_of

    device = devices_of(site)[0]
    session = await DRIVER.connect([device], home="")
    try:
        values: dict[str, Any] = {}
        for request in DRIVER.group(device, points_of(device)):
            result = await session.read(request)
            assert not result.faults
            values.update(zip((point.name for point in request.points), result.values, strict=True))
        return values
    finally:
        await session.close()


async def test_probe_finds_swapped_words_and_the_other_base(settings: Settings) -> None:
    port = free_port()
    device = DeviceConfig(
        path="a/l/d",
        protocol="modbus",
        link=f"tcp:127.0.0.1:{port}",
        connection={"host": "127.0.0.1", "port": port, "unit_id": 1},
        tags={
            "v": TagConfig(
                type="float32",
                address="input:99",
                options={"order": "CDAB"},
                simulate={"signal": "constant", "value": 230.1},
            )
        },
    )
    server = await serve_modbus([device], port=port)
    try:
        outcome = await probe(
            f"modbus://127.0.0.1:{port}",
            address="holding:100",
            expected=230.1,
            tolerance="",
            around=5,
            settings=settings,
        )
        assert outcome.value is not None
        assert outcome.value[0].keys == {"address": "input:99", "type": "float32", "order": "CDAB"}
        none = await probe(
            f"modbus://127.0.0.1:{port}", address="100", expected=77.0, tolerance="0.1", around=2, settings=settings
        )
        assert [item.code for item in none.findings] == ["NX6620"]
    finally:
        await server.close()


@pytest.mark.needs_broker
async def test_a_topic_tree_becomes_external_devices(broker: TestBroker, settings: Settings, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    ours = replace(settings, broker_url=broker.url)
    client = BrokerClient(settings=ours, client_id="publisher")
    async with client.session():
        for topic, payload in (
            ("acme/chicago/pack/l1/scale/weight", b'{"value": 12.5, "unit": "kg"}'),
            ("acme/chicago/pack/l2/scale/on", b"true"),
            ("acme/chicago/pack/l2/scale/motor/speed", b"3"),
            ("elsewhere/x", b"1"),
        ):
            await client.publish(topic, payload, retain=True)
    ask = Ask(target=broker.url, into=site, wanted=Wanted(listen_s=0.7))
    found = await looked(ask, ours)
    change = edit(found, ask, mode="merge").value
    assert change is not None
    write(change)
    loaded = load(site)
    assert loaded.ok, loaded.findings
    devices = {device.path: device for device in (await asyncio.to_thread(_devices, site))}
    assert devices["pack/l1/scale"].tags["weight"].unit == "kg"
    assert devices["pack/l2/scale"].tags["on"].type == "bool"
    assert devices["pack/l2/scale"].connection["globs"] == ["pack/l2/scale/motor/**"]
    again = edit(await looked(ask, ours), ask, mode="merge").value
    assert again is not None
    assert again.merged.empty


def _devices(site: Path) -> list[DeviceConfig]:
    from tests.e2e.sites import devices_of

    return devices_of(site)


def plc(port: int, path: str, count: int) -> DeviceConfig:
    tags = {
        f"v{place}": TagConfig(type="float64", address=f"nsu={URI};s={path}.{place}", poll_ms=100)
        for place in range(count)
    }
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    return DeviceConfig(
        path=path, protocol="opcua", link=endpoint, gateway="gw-1", connection={"endpoint": endpoint}, tags=tags
    )


@pytest.mark.needs_broker
@pytest.mark.own_time
async def test_a_gateway_browses_through_its_own_link_below_its_polls(
    broker: TestBroker, settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    polled = plc(port, "a/l/plc", 40)
    server = await serve_opcua([polled, plc(port, "a/l/rest", 1_500)], port=port)
    source = FakeSource([polled])
    stop, gateways = asyncio.Event(), list[Gateway]()
    own = replace(broker.settings(principal="nexus.gateway.gw-1", home=tmp_path / "gateway"), site="acme/chicago")
    cli = replace(settings, broker_url=broker.url)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_gateway(own, name="gw-1", source=source, stop=stop, started=gateways.append))
            await until(lambda: gateways and hasattr(gateways[0], "links") and gateways[0].links.devices())
            counters = gateways[0].links.devices()[0].counters
            await until(lambda: counters.cycles > 10)
            missed, cycles, began = counters.missed, counters.cycles, asyncio.get_running_loop().time()
            found = await looked(Ask(target=f"opcua://127.0.0.1:{port}", via="gw-1"), cli)
            seconds = asyncio.get_running_loop().time() - began
            assert len(by_name(found)) == 1_540
            assert counters.missed == missed, "not one poll was missed for it"
            assert counters.cycles - cycles >= seconds * 10 - 3
            with pytest.raises(NexusError) as caught:
                await looked(Ask(target="opcua://127.0.0.1:1", via="gw-1"), cli)
            assert caught.value.code == "NX6610"
            print(f"via a gateway at 10 polls a second: {1_540 / seconds:.0f} nodes/s")
            stop.set()
    finally:
        await server.close()
