"""Node ids of the file → node ids of one connection, whose namespace indexes are its own."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Sequence

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from nexus_cli.drivers.opcua.address import NodeAddress

# Every failure of the library arrives as an exception and is reported as a DriverError once.
logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)

VALUE = ua.AttributeIds.Value
READ_REQUEST = ua.ObjectIds.ReadRequest_Encoding_DefaultBinary


def node_id(address: NodeAddress, namespaces: Sequence[str]) -> ua.NodeId | None:
    """The library's node id; None when the server does not know the namespace URI.

    Args:
        address: From the file.
        namespaces: The server's NamespaceArray.
    """
    space = address.index
    if address.uri:
        try:
            space = namespaces.index(address.uri)
        except ValueError:
            return None
    if address.kind == "i":
        return ua.NodeId(int(address.identifier), space)
    if address.kind == "g":
        return ua.NodeId(uuid.UUID(address.identifier), space)
    if address.kind == "b":
        return ua.NodeId(base64.b64decode(address.identifier), space)
    return ua.NodeId(address.identifier, space)


def read_value_id(node: ua.NodeId, *, index: str = "", attribute: int = VALUE) -> ua.ReadValueId:
    """What to read or to monitor."""
    found = ua.ReadValueId()
    found.NodeId = node
    found.AttributeId = attribute
    if index:
        found.IndexRange = index
    return found


def read_body(items: Sequence[ua.ReadValueId], *, max_age_ms: float = 0) -> bytes:
    """The encoded parameters of a Read with both times; the same for every cycle, so made once.

    `max_age_ms` 0 asks for the newest value that the device has. Source: OPC 10000-4 §5.10.2.
    """
    parameters = ua.ReadParameters()
    parameters.MaxAge = max_age_ms
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    parameters.NodesToRead = list(items)
    return bytes(struct_to_binary(parameters))
