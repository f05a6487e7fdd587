"""Values that are written to OPC UA nodes have the type that the node has."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.simulator import serve
from tests.integration.test_opcua_subscriptions import URI, device

pytestmark = pytest.mark.own_time


async def test_bytes_are_read_and_written_as_the_node_has_them(tmp_path: Any) -> None:
    """A ByteString, and a Byte array, are one type in the site language."""
    server = await serve([device(count=1)])
    space = await server.server.get_namespace_index(URI)
    for name, value in (
        ("Text", ua.Variant(b"\x01\x02\xff", ua.VariantType.ByteString)),
        ("Array", ua.Variant([1, 2, 255], ua.VariantType.Byte)),
    ):
        node = await server.server.nodes.objects.add_variable(ua.NodeId(name, space), name, value)
        await node.set_writable()
    config = device(server.port, count=1)
    points = [Point(name, f"nsu={URI};s={name}", "uint8[3]") for name in ("Text", "Array")]
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        (request,) = OpcuaDriver().group(config, points)
        assert (await session.read(request)).values == [[1, 2, 255]] * 2
        for point in points:
            await session.write(config.path, point, [7, 0, 200])
        assert (await session.read(request)).values == [[7, 0, 200]] * 2
        with pytest.raises(DriverError) as caught:
            await session.write(config.path, points[0], [7, 0, 256])
        assert caught.value.scope is Scope.ITEM
    finally:
        await session.close()
        await server.close()


async def test_the_type_of_a_written_node_is_looked_up_again(tmp_path: Any) -> None:
    """A PLC was loaded anew while the session stood; and nodes without a value are written by what their type derives from."""
    server = await serve([device(count=1)])
    space = await server.server.get_namespace_index(URI)
    objects = server.server.nodes.objects
    first = await objects.add_variable(ua.NodeId("Y", space), "Y", 5, ua.VariantType.Int16)
    await first.set_writable()
    empty = ua.Variant(None, ua.VariantType.Null)
    for name, data_type in (("Span", ua.NodeId(290)), ("State", ua.NodeId(ua.ObjectIds.ServerState))):
        node = await objects.add_variable(ua.NodeId(name, space), name, empty, datatype=data_type)
        await node.set_writable()
    config = device(server.port, count=1)
    number, span, state = (
        Point(name, f"nsu={URI};s={name}", kind)
        for name, kind in (("Y", "float64"), ("Span", "float64"), ("State", "int32"))
    )
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        await session.write(config.path, number, 7.0)
        await server.server.delete_nodes([first])
        second = await objects.add_variable(ua.NodeId("Y", space), "Y", 5.0, ua.VariantType.Double)
        await second.set_writable()
        await session.write(config.path, number, 7.5)
        assert await second.read_value() == 7.5
        await session.write(config.path, span, 1500.0)
        await session.write(config.path, state, 3)
        (request,) = OpcuaDriver().group(config, [number, span, state])
        assert (await session.read(request)).values == [7.5, 1500.0, 3]
    finally:
        await session.close()
        await server.close()
