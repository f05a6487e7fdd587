"""What a gateway finds on devices that changed under it: all four protocols, real simulators, and not one write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor

from nexus_cli.discover.check_via import check_gateways
from nexus_cli.drift.device import device_drift
from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.examined import DeviceExamined
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.settings import Settings
from tests.contract.driver_cases import ads_connection
from tests.integration.test_discover_via import gateway
from tests.recorded_requests import recorded
from tests.servers import TestBroker, free_port
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]
URI = "http://acme/plc"
CHANGING = {
    ua.ObjectIds.WriteRequest_Encoding_DefaultBinary,
    ua.ObjectIds.CallRequest_Encoding_DefaultBinary,
    ua.ObjectIds.AddNodesRequest_Encoding_DefaultBinary,
    ua.ObjectIds.DeleteNodesRequest_Encoding_DefaultBinary,
}


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)


def tag(type_: str, address: str, **keys: Any) -> TagConfig:
    return TagConfig(type=type_, address=address, poll_ms=200, **keys)


async def checked(broker: TestBroker, tmp_path: Path, *paths: str) -> dict[str, DeviceExamined]:
    settings = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)
    found = await check_gateways({"gw-1": list(paths)}, settings=settings)
    return {one.path: one for one in found}


def kinds(
    device: DeviceConfig, examined: DeviceExamined, known: Mapping[str, str] | None = None
) -> dict[str, tuple[str, Any]]:
    """Kind and what is there now, by the last level of the path."""
    findings, unknown = device_drift(device, examined, known=known)
    assert not unknown, unknown
    return {one.path.rpartition("/")[2]: (one.kind, one.found) for one in findings}


async def test_modbus(broker: TestBroker, tmp_path: Path) -> None:
    port = free_port()
    device = DeviceConfig(
        path="a/l/meter",
        protocol="modbus",
        link="plc",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port, "timeout": 500},
        tags={f"r{at}": tag("int16", f"holding:{at}", writable=at == 3) for at in (0, 1, 2, 3, 9)},
    )
    server = await serve_modbus([device], port=port)
    functions: set[int] = set()
    plain = server.respond

    def respond(unit_id: int, pdu: bytes) -> bytes | None:
        functions.add(pdu[0])
        return plain(unit_id, pdu)

    server.respond = respond  # type: ignore[method-assign]
    try:
        async with gateway(broker, [device], tmp_path / "gateway") as (running, _):
            before = (await checked(broker, tmp_path, device.path))[device.path]
            assert kinds(device, before, before.identity) == {}
            assert "vendor" in before.identity
            server.forbid(device.path, "r2")
            server.units[1].identity[0] = b"Somebody else"
            after = (await checked(broker, tmp_path, device.path))[device.path]
            assert kinds(device, after, before.identity) == {
                "meter": ("identity-changed", {"vendor": "Somebody else"}),
                "r2": ("address-gone", None),
            }
            server.silence(device.path)
            one = running.links.devices()[0]
            await until(lambda: not one.reachable)
            silent = (await checked(broker, tmp_path, device.path))[device.path]
            if not silent.unseen:  # else the link was closed for it: not known, which is no "no drift" either
                assert silent.silent
        assert functions <= {1, 2, 3, 4, 43}, "no function that writes"
    finally:
        await server.close()


async def test_s7(broker: TestBroker, tmp_path: Path) -> None:
    port = free_port()
    device = DeviceConfig(
        path="a/l/cpu",
        protocol="s7",
        link="s7",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port, "rack": 0, "slot": 1},
        tags={
            "level": tag("float32", "%DB1:0:REAL"),
            "count": tag("int16", "%DB1:4:INT"),
            "far": tag("int32", "%DB1:40:DINT"),
        },
    )
    server = await serve_s7([device], port=port)
    functions: set[tuple[int, int]] = set()
    plain = server.cpu.answer

    def answer(request: bytes, **more: Any) -> Any:
        functions.add((request[1], request[10]))
        return plain(request, **more)

    server.cpu.answer = answer  # type: ignore[method-assign]
    try:
        async with gateway(broker, [device], tmp_path / "gateway"):
            before = (await checked(broker, tmp_path, device.path))[device.path]
            assert kinds(device, before, before.identity) == {}
            assert "order_code" in before.identity
            server.forbid(device.path, "far")
            assert kinds(device, (await checked(broker, tmp_path, device.path))[device.path]) == {
                "far": ("block-short", None)
            }
            server.protect(device.path)
            protected = kinds(device, (await checked(broker, tmp_path, device.path))[device.path])
            assert protected == dict.fromkeys(device.tags, ("read-refused", None))
        assert (1, 5) not in functions, "no job that writes"
    finally:
        await server.close()


async def test_ads(broker: TestBroker, tmp_path: Path) -> None:
    port = free_port()
    device = DeviceConfig(
        path="a/l/plc",
        protocol="ads",
        link="ads",
        gateway="gw-1",
        connection=ads_connection(port),
        tags={
            "speed": tag("float32", "MAIN.fSpeed"),
            "count": tag("int32", "MAIN.nCount"),
            "mode": tag("int16", "MAIN.nMode", writable=True),
        },
    )
    server = await serve_ads([device], port=port)
    try:
        async with gateway(broker, [device], tmp_path / "gateway") as (running, _):
            await until(lambda: all(one.reachable for one in running.links.devices()))
            with recorded() as asked:
                before = (await checked(broker, tmp_path, device.path))[device.path]
            assert kinds(device, before, before.identity) == {}
            assert "symbol version" in before.identity
            assert (asked.changing, asked.reported) == ([], []), "nothing that changes a PLC, and no report of a value"
            assert asked.asked["ads"]
            server.online_change(device.path, removed=["speed"], retyped={"count": "float32"})
            server.protect(device.path, "mode")
            with recorded() as asked:
                after = (await checked(broker, tmp_path, device.path))[device.path]
            assert (asked.changing, asked.reported) == ([], [])
            found = kinds(device, after, before.identity)
            assert found.pop("plc")[0] == "identity-changed", "the version of the symbol table"
            assert found == {
                "speed": ("address-gone", None),
                "count": ("type-changed", "float32"),
                "mode": ("read-only", "read-only"),
            }
    finally:
        await server.close()


async def test_opcua(broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    device = DeviceConfig(
        path="a/l/press",
        protocol="opcua",
        link=endpoint,
        gateway="gw-1",
        connection={"endpoint": endpoint},
        tags={
            name: tag("float64", f"nsu={URI};s={name}", writable=name == "setpoint")
            for name in ("temp", "gone", "moved", "kind", "setpoint")
        },
    )
    server = await serve_opcua([device], port=port)
    asked: set[int] = set()
    plain = UaProcessor._process_message

    async def process(self: Any, typeid: Any, *rest: Any) -> Any:
        asked.add(typeid.Identifier)
        return await plain(self, typeid, *rest)

    monkeypatch.setattr(UaProcessor, "_process_message", process)
    try:
        async with gateway(broker, [device], tmp_path / "gateway"):
            before = (await checked(broker, tmp_path, device.path))[device.path]
            assert kinds(device, before, before.identity) == {}
            space = await server.server.get_namespace_index(URI)

            def node(name: str) -> Any:
                return server.server.get_node(ua.NodeId(name, space))

            other = await server.server.register_namespace("http://acme/plc/2027")
            await server.server.delete_nodes([node("gone"), node("moved")])
            await server.server.nodes.objects.add_variable(ua.NodeId("moved", other), "moved", 1.0)
            int32 = ua.DataValue(ua.Variant(ua.NodeId(ua.ObjectIds.Int32), ua.VariantType.NodeId))
            await node("kind").write_attribute(ua.AttributeIds.DataType, int32)
            await node("setpoint").set_read_only()
            found = kinds(device, (await checked(broker, tmp_path, device.path))[device.path])
            assert found == {
                "gone": ("address-gone", None),
                "moved": ("address-moved", "nsu=http://acme/plc/2027;s=moved"),
                "kind": ("type-changed", "int32"),
                "setpoint": ("read-only", "read-only"),
            }
        assert ua.ObjectIds.ReadRequest_Encoding_DefaultBinary in asked
        assert not asked & CHANGING, "nothing that changes a server"
    finally:
        await server.close()


async def test_what_cannot_be_looked_at_says_why(broker: TestBroker, tmp_path: Path) -> None:
    """No gateway, an unknown device, a link that is down: each is unknown, and none is without drift."""
    port = free_port()
    device = DeviceConfig(
        path="a/l/meter",
        protocol="modbus",
        link="plc",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port},
        tags={"r0": tag("int16", "holding:0")},
    )
    server = await serve_modbus([device], port=port)
    async with gateway(broker, [device], tmp_path / "gateway"):
        found = await checked(broker, tmp_path, "a/l/nobody", device.path)
        assert "no such device" in found["a/l/nobody"].unseen
        assert not found[device.path].unseen
    await server.close()
    nobody = await check_gateways(
        {"gw-9": [device.path]},
        settings=replace(Settings(home=tmp_path, site="acme/chicago"), broker_url="mqtt://127.0.0.1:1"),
    )
    (one,) = nobody
    findings, unknown = device_drift(device, one, known=None)
    assert not findings
    assert [each.path for each in unknown] == [device.path]
