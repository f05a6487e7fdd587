"""Vendors' structures: decoded with the definitions of their own connection, never with another server's."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Server, ua

from nexus_cli.drivers.base import Notification, points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.waiting import until

pytestmark = pytest.mark.own_time

URI = "http://acme.example/structures"
DATA_TYPE, ENCODING, INNER, ENUM = 3001, 5001, 3002, 3003


def member(name: str, data_type: ua.NodeId, *, rank: int = -1, optional: bool = False) -> ua.StructureField:
    found = ua.StructureField()
    found.Name = name
    found.DataType = data_type
    found.ValueRank = rank
    found.IsOptional = optional
    return found


def definition(members: Sequence[ua.StructureField], form: int = 0) -> ua.StructureDefinition:
    found = ua.StructureDefinition()
    found.StructureType = ua.StructureType(form)
    found.Fields = list(members)
    found.BaseDataType = ua.NodeId(22)
    return found


async def define(server: Server, number: int, name: str, what: Any) -> ua.NodeId:
    index = await server.get_namespace_index(URI)
    base = server.get_node(ua.NodeId(29 if isinstance(what, ua.EnumDefinition) else 22))
    node = await base.add_data_type(ua.NodeId(number, index), ua.QualifiedName(name, index))
    await node.write_data_type_definition(what)
    return node.nodeid


@asynccontextmanager
async def serving(form: int, members: Any, values: dict[str, Any]) -> AsyncIterator[tuple[Server, str]]:
    """A server whose structure `ENCODING` is made of what `members(index)` says."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(URI)
    await define(server, INNER, "Point", definition([member("X", ua.NodeId(6)), member("Y", ua.NodeId(6))]))
    enumeration = ua.EnumDefinition()
    enumeration.Fields = [ua.EnumField(Name="Off", Value=0), ua.EnumField(Name="On", Value=1)]
    await define(server, ENUM, "State", enumeration)
    data_type = await define(server, DATA_TYPE, "Thing", definition(members(index), form))
    encoding = await server.nodes.objects.add_object(ua.NodeId(ENCODING, index), ua.QualifiedName("Default Binary", 0))
    await server.get_node(data_type).add_reference(encoding, ua.ObjectIds.HasEncoding, forward=True, bidirectional=True)
    for name, body in values.items():
        bodies = body if isinstance(body, list) else [body]
        objects = [ua.ExtensionObject(TypeId=encoding.nodeid, Body=found) for found in bodies]
        variant = ua.Variant(objects if isinstance(body, list) else objects[0], ua.VariantType.ExtensionObject)
        await server.nodes.objects.add_variable(ua.NodeId(name, index), name, variant, datatype=data_type)
    await server.start()
    try:
        yield server, f"opc.tcp://127.0.0.1:{server.bserver.port}"
    finally:
        await server.stop()


def device(endpoint: str, *names: str, type_: str = "json") -> DeviceConfig:
    return DeviceConfig(
        path="area/line/structures",
        protocol="opcua",
        connection={"endpoint": endpoint, "timeout": 1000, "connect_timeout": 2000},
        tags={name: TagConfig(type=type_, address=f"nsu={URI};s={name}") for name in names},
    )


async def read(config: DeviceConfig, home: str) -> tuple[list[Any], dict[int, Any]]:
    driver = OpcuaDriver()
    session = await driver.connect([config], home=home)
    try:
        (request,) = driver.group(config, points_of(config))
        result = await session.read(request)
        return list(result.values), dict(result.faults)
    finally:
        await session.close()


def motor(index: int) -> list[ua.StructureField]:
    return [
        member("Speed", ua.NodeId(11)),
        member("Name", ua.NodeId(12)),
        member("State", ua.NodeId(ENUM, index)),
        member("Where", ua.NodeId(INNER, index)),
        member("Samples", ua.NodeId(5), rank=1),
        member("Since", ua.NodeId(294)),
    ]


def motor_body(speed: float) -> bytes:
    name = "Förderband".encode()
    body = struct.pack("<d", speed) + struct.pack("<i", len(name)) + name + struct.pack("<i", 1)
    body += struct.pack("<ii", 3, -4) + struct.pack("<i3H", 3, 7, 8, 9)
    return body + struct.pack("<q", 116_444_736_000_000_000 + 10_000_000)


def swapped(index: int) -> list[ua.StructureField]:
    return [member("Flow", ua.NodeId(10)), member("Total", ua.NodeId(7))]


MOTOR = {
    "Speed": 12.5,
    "Name": "Förderband",
    "State": 1,
    "Where": {"X": 3, "Y": -4},
    "Samples": [7, 8, 9],
    "Since": "1970-01-01T00:00:01Z",
}


async def test_members_of_every_sort(tmp_path: Any) -> None:
    values = {"motor": motor_body(12.5), "motors": [motor_body(12.5), motor_body(-1.0)]}
    async with serving(0, motor, values) as (_, endpoint):
        found, faults = await read(device(endpoint, "motor", "motors"), str(tmp_path))
    assert not faults
    assert found[0] == MOTOR
    assert found[1] == [MOTOR, {**MOTOR, "Speed": -1.0}]


async def test_two_servers_with_one_structure_id_keep_apart(tmp_path: Any) -> None:
    flow = struct.pack("<fI", 0.5, 1234)
    async with (
        serving(0, motor, {"thing": motor_body(12.5)}) as (_, first),
        serving(0, swapped, {"thing": flow}) as (_, second),
    ):
        for _ in range(2):
            found, faults = await read(device(first, "thing"), str(tmp_path))
            assert (found, faults) == ([MOTOR], {})
            found, faults = await read(device(second, "thing"), str(tmp_path))
            assert (found, faults) == ([{"Flow": 0.5, "Total": 1234}], {})


async def test_optional_members_and_unions(tmp_path: Any) -> None:
    def optional(index: int) -> list[ua.StructureField]:
        return [
            member("Id", ua.NodeId(7)),
            member("Low", ua.NodeId(11), optional=True),
            member("High", ua.NodeId(11), optional=True),
        ]

    body = struct.pack("<IId", 0b10, 5, 99.5)
    async with serving(1, optional, {"thing": body}) as (_, endpoint):
        assert await read(device(endpoint, "thing"), str(tmp_path)) == ([{"Id": 5, "High": 99.5}], {})

    def union(index: int) -> list[ua.StructureField]:
        return [member("Number", ua.NodeId(6)), member("Text", ua.NodeId(12))]

    bodies = {"second": struct.pack("<Ii", 2, 2) + b"ok", "none": struct.pack("<I", 0)}
    async with serving(2, union, bodies) as (_, endpoint):
        assert await read(device(endpoint, "second", "none"), str(tmp_path)) == ([{"Text": "ok"}, {}], {})


async def test_a_structure_that_is_too_short_costs_only_itself(tmp_path: Any) -> None:
    values = {"good": motor_body(1.0), "short": motor_body(1.0)[:20]}
    async with serving(0, motor, values) as (_, endpoint):
        found, faults = await read(device(endpoint, "good", "short"), str(tmp_path))
    assert found[0] == {**MOTOR, "Speed": 1.0}
    assert found[1] is None
    assert faults[1].reason is Reason.DECODE_ERROR
    assert set(faults) == {1}


async def test_a_structure_is_not_taken_for_a_number(tmp_path: Any) -> None:
    async with serving(0, motor, {"thing": motor_body(1.0)}) as (_, endpoint):
        found, faults = await read(device(endpoint, "thing", type_="float64"), str(tmp_path))
    assert found == [None]
    assert faults[0].reason is Reason.TYPE_MISMATCH


async def test_structures_are_reported_decoded(tmp_path: Any) -> None:
    heard: list[Notification] = []
    async with serving(0, motor, {"thing": motor_body(2.0)}) as (_, endpoint):
        config = device(endpoint, "thing")
        session = await OpcuaDriver().connect([config], home=str(tmp_path))
        try:
            subscription = await session.subscribe(
                config.path, points_of(config), interval_ms=[100], sink=lambda _, found: heard.extend(found)
            )
            assert not subscription.faults
            await until(lambda: heard, "the first report")
        finally:
            await session.close()
    assert heard[0].fault is None
    assert heard[0].value == {**MOTOR, "Speed": 2.0}
