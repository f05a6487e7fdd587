"""Instances of companion specifications: of vendors' own types, built from interfaces, and their numbered states."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.common.node import Node

from nexus_cli.cli.views.discover import document, text
from nexus_cli.drivers.base import BrowseOptions
from nexus_cli.drivers.opcua import browse_companions
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.model.config import DeviceConfig
from nexus_cli.project.discover import Ask, Wanted, discover
from nexus_cli.settings import Settings
from tests.opcua_nodeset import serve_nodeset
from tests.real_data import DATA
from tests.servers import free_port

NODESETS = DATA / "opcua-nodesets"
FILES = (
    *("DI/Opc.Ua.Di.NodeSet2.xml", "Machinery/Opc.Ua.Machinery.NodeSet2.xml"),
    *("Machinery/Opc.Ua.Machinery.Examples.NodeSet2.xml", "PackML/Opc.Ua.PackML.NodeSet2.xml"),
)
VENDOR = "http://acme.example/machines"
FAMILY = "http://opcfoundation.org/UA/Kilns/"
EXECUTING = {5: "Suspended", 6: "Execute", 4: "Idle", 10: "Holding", 17: "Complete"}
"""Some of PackML's states. Source: OPC 30050 §6.4."""


async def looked(url: str, home: Path, **wanted: Any) -> Any:
    ask = Ask(target=url, wanted=Wanted(**wanted))
    outcome = await discover(ask, settings=Settings(home=home, site="acme/chicago"), stop=asyncio.Event())
    assert outcome.value is not None, outcome.findings
    return outcome.value.proposals[0]


def tags_of(proposal: Any) -> dict[str, dict[str, Any]]:
    return {tag.name: tag.keys for device in proposal.devices for tag in device.tags}


async def add_number(machine: Node, value: int) -> None:
    """The optional number of a state machine's current state."""
    current = await machine.get_child("0:CurrentState")
    await current.add_property(0, "Number", ua.Variant(value, ua.VariantType.UInt32))


@contextlib.asynccontextmanager
async def kiln() -> AsyncIterator[tuple[Server, str]]:
    """A server with a specification of its own, a vendor's types derived from it, and an interface."""
    server, port = Server(), free_port()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    family, own = await server.register_namespace(FAMILY), await server.register_namespace(VENDOR)
    base = await server.nodes.base_object_type.add_object_type(family, "KilnType")
    plate = await server.get_node(ua.ObjectIds.BaseInterfaceType).add_object_type(family, "IKilnNameplateType")
    vendor = await (await base.add_object_type(own, "AcmeKilnType")).add_object_type(own, "AcmeTwinKilnType")
    tagged = await server.nodes.base_object_type.add_object_type(own, "TaggedType")
    await tagged.add_reference(plate, browse_companions.HAS_INTERFACE)
    objects = server.nodes.objects
    plain = await objects.add_object(own, "Shed")
    for number in (1, 2, 3, 4):
        made = await objects.add_object(own, f"Kiln {number}", objecttype=vendor.nodeid)
        await made.add_object(own, "Part", objecttype=base.nodeid)
    await plain.add_object(own, "Typed", objecttype=tagged.nodeid)
    await (await plain.add_object(own, "Loose")).add_reference(plate, browse_companions.HAS_INTERFACE)
    block = await objects.add_object(family, "KilnBuildingBlocks")
    await plain.add_reference(block, browse_companions.HAS_ADD_IN)
    await objects.delete_reference(block, ua.ObjectIds.Organizes, True, True)
    machine = await server.nodes.base_object_type.get_child(["0:StateMachineType", "0:FiniteStateMachineType"])
    gates = await machine.add_object_type(own, "GateMachineType")
    fast = await gates.add_object_type(own, "FastGateMachineType")
    for kind, name, number in ((gates, "Open", 1), (gates, "Closed", 2), (fast, "Ajar", 3)):
        state = await kind.add_object(own, name, objecttype=ua.NodeId(2307))
        await (await state.get_child("0:StateNumber")).write_value(ua.Variant(number, ua.VariantType.UInt32))
    await add_number(await plain.add_object(own, "Gate", objecttype=fast.nodeid), 3)
    await plain.add_variable(own, "Who", ua.NodeId(5, own))
    await plain.add_variable(own, "Number", ua.Variant(7, ua.VariantType.UInt32))
    async with server:
        yield server, f"opcua://127.0.0.1:{port}"


async def test_types_interfaces_and_building_blocks_of_a_specification(tmp_path: Path) -> None:
    async with kiln() as (_, url):
        proposal = await looked(url, tmp_path)
    assert proposal.facts["recognised"] == {
        "Kilns Kiln (AcmeTwinKilnType)": ["Kiln 1", "Kiln 2", "Kiln 3", "Kiln 4"],
        "Kilns IKilnNameplate (TaggedType)": ["Shed/Typed"],
        "Kilns IKilnNameplate": ["Shed/Loose"],
        "Kilns KilnBuildingBlocks": ["Shed/KilnBuildingBlocks"],
        "Kilns Kiln": ["Kiln 1/Part", "Kiln 2/Part", "Kiln 3/Part", "Kiln 4/Part"],
    }
    shown = text(document([proposal]), skipped=False, diff=False, style=lambda words, _kind: words)
    assert "  Kiln 1, Kiln 2, Kiln 3 and 1 more: Kilns Kiln (AcmeTwinKilnType)\n" in shown
    assert "Kiln 1/Part" not in shown, "what it consists of need not be said"
    tags = tags_of(proposal)
    assert tags["gate.current-state.number"]["values"] == {1: "Open", 2: "Closed", 3: "Ajar"}
    assert "values" not in tags["number"], "a number of something else"
    assert dict(proposal.skipped)["Shed/Who"] == "a node id, no value of the process"
    assert dict(proposal.skipped)["Shed/Gate/CurrentState/Id"].startswith("a property")


async def test_a_type_is_looked_up_once_and_a_mute_server_is_walked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kiln() as (server, url):
        asked: list[str] = []
        service = server.iserver.view_service
        plain = service.browse

        def browse(parameters: Any) -> Any:
            inverse = [one for one in parameters.NodesToBrowse if one.BrowseDirection == ua.BrowseDirection.Inverse]
            asked.extend(one.NodeId.to_string() for one in inverse if one.ReferenceTypeId.Identifier == 45)
            return plain(parameters)

        service.browse = browse
        config = DeviceConfig(
            path="a/l/d", protocol="opcua", connection={"endpoint": url.replace("opcua", "opc.tcp"), "timeout": 20_000}
        )
        session = await OpcuaDriver().connect([config], home=str(tmp_path))
        try:
            found = [one async for one in session.browse(BrowseOptions(parallel=1))]
            assert len(asked) == len(set(asked)) <= 8
            assert sum("object" in one.detail for one in found) == 11
            monkeypatch.setattr(browse_companions, "MOST_TYPES", -1)
            mute = [one async for one in session.browse(BrowseOptions(parallel=1))]
            assert [one.address for one in mute if one.type] == [one.address for one in found if one.type]
        finally:
            await session.close()


async def test_packml_and_machinery_as_their_node_sets_have_them(tmp_path: Path) -> None:
    if not NODESETS.is_dir():
        pytest.skip(f"NOT RUN: the companion specifications' NodeSets are not at {NODESETS}")
    served = await serve_nodeset([NODESETS / name for name in FILES])
    try:
        server: Any = served.server
        own = await server.register_namespace(VENDOR)
        packml = await server.get_namespace_index("http://opcfoundation.org/UA/PackML/")
        di = await server.get_namespace_index("http://opcfoundation.org/UA/DI/")
        base = server.get_node(ua.NodeId(6, packml))
        filler = await (await base.add_object_type(own, "PackerType")).add_object_type(own, "FillerType")
        device = await server.get_node(ua.NodeId(1002, di)).add_object_type(own, "ScaleType")
        machine = await server.nodes.objects.add_object(own, "Filler", objecttype=filler.nodeid)
        await server.nodes.objects.add_object(own, "Scale", objecttype=device.nodeid)
        execute = await machine.get_child(
            [f"{packml}:BaseStateMachine", f"{packml}:MachineState", f"{packml}:ExecuteState"]
        )
        await add_number(execute, 6)
        admin = await machine.get_child([f"{packml}:Admin"])
        await admin.add_variable(own, "ProdProcessedCount", ua.Variant(12, ua.VariantType.Int32))
        url = served.endpoint.replace("opc.tcp", "opcua")
        proposal = await looked(url, tmp_path)
        with_properties = tags_of(await looked(url, tmp_path, properties=True))
    finally:
        await served.close()
    recognised = proposal.facts["recognised"]
    assert recognised["PackML PackMLBaseObject (FillerType)"] == ["Filler"]
    assert recognised["DI Device (ScaleType)"] == ["Scale"]
    assert recognised["Machinery MachineIdentification"] == ["Machines/ExampleMachine01/Identification"]
    tags = tags_of(proposal)
    states = tags["filler.base-state-machine.machine-state.execute-state.current-state.number"]["values"]
    assert {number: states[number] for number in EXECUTING} == EXECUTING
    assert tags["filler.status.cur-mach-speed"]["type"] == "float32"
    assert tags["filler.admin.prod-processed-count"]["type"] == "int32"
    assert not [name for name in tags if "available-" in name]
    maker = with_properties["machines.example-machine01.identification.manufacturer"]
    assert maker["type"] == "string"
    shown = text(document([proposal]), skipped=False, diff=False, style=lambda words, _kind: words)
    assert "  Filler: PackML PackMLBaseObject (FillerType)\n" in shown
    assert sum(": PackML " in line for line in shown.splitlines()) == 1
