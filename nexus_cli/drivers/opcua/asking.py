"""One node asked now over an open session: the bytes as they came, and what the driver makes of them."""

from __future__ import annotations

import struct

from nexus_cli.drivers.base import DriverError, Fault, Opinion, Point, Scope
from nexus_cli.drivers.opcua.codec import DataValue, read_data_value
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import READ_REQUEST, node_id, read_body, read_value_id
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value


async def asked(session: OpcuaSession, _: DeviceConfig, point: Point) -> Opinion:
    """Ask the server. Raises DriverError."""
    address = node_of(point)
    node = node_id(address, session.connection.namespaces)
    if node is None:
        return Opinion(
            asked=f"Read {point.address}",
            fault=Fault(Reason.ILLEGAL_ADDRESS, 0x80340000),
            problem="the server does not know the namespace",
        )
    body = read_body([read_value_id(node, index=address.range)])
    data, at = await session.channel.request("read", READ_REQUEST, body)
    (count,) = struct.unpack_from("<i", data, at)
    if count != 1:
        raise DriverError(f"{count} values for one node", scope=Scope.REQUEST, reason=Reason.DECODE_ERROR)
    found, end = read_data_value(data, at + 4)
    await session.connection.learn(found)
    return _opinion(
        f"Read {point.address}", _variant(data[at + 4 : end], found), session.connection.converter(point)(found)
    )


def _variant(data: bytes, found: DataValue) -> bytes:
    """The bytes of the value without those of status and times.

    Source: OPC 10000-6, 5.2.2.17 "DataValue": a mask, then the value when its bit 0 is set; status is 4 bytes and each
    of the two times 8, with 2 of picoseconds.
    """
    if not data or not data[0] & 1:
        return b""
    mask = data[0]
    behind = sum(width for bit, width in ((2, 4), (4, 8), (16, 2), (8, 8), (32, 2)) if mask & bit)
    return data[1 : len(data) - behind]


def _opinion(asked: str, data: bytes, value: Value | Fault) -> Opinion:
    if isinstance(value, Fault):
        return Opinion(asked=asked, data=data, fault=value)
    return Opinion(asked=asked, data=data, value=value)
