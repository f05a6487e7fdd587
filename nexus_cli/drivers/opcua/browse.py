"""Walk a server's address space, following continuation points and keeping to its limits."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from asyncua import ua

from nexus_cli.drivers.base import Browsed, DriverError, Scope
from nexus_cli.drivers.opcua.address import escape_uri, parse_node
from nexus_cli.drivers.opcua.limits import chunks
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.wire.sample import Reason

if TYPE_CHECKING:
    from nexus_cli.drivers.opcua.session import OpcuaSession

OBJECTS = "i=85"
SERVER = "i=2253"
MAX_NODES = 200_000
MAX_LEVELS = 64
WRITE_BIT = 2
"""AccessLevel CurrentWrite. Source: OPC 10000-3 §8.57."""
TYPES: dict[int, str] = {
    1: "bool",
    2: "int8",
    3: "uint8",
    4: "int16",
    5: "uint16",
    6: "int32",
    7: "uint32",
    8: "int64",
    9: "uint64",
    10: "float32",
    11: "float64",
    12: "string",
    13: "datetime",
    14: "string",
    15: "string",
    20: "string",
    21: "string",
    26: "float64",
    27: "int64",
    28: "uint64",
    29: "int32",
    290: "duration",
    294: "datetime",
}
"""Our type by the number of a data type in namespace 0."""


async def browse(session: OpcuaSession, *, start: str = "") -> AsyncIterator[Browsed]:
    """Every variable below `start`, breadth first; the Server object itself is left out.

    Raises:
        DriverError: The session is lost, or `start` is not there.
    """
    root = node_id(parse_node(start or OBJECTS), session.namespaces)
    if root is None:
        raise DriverError(f"{start}: the server has no such namespace", scope=Scope.ITEM, reason=Reason.ILLEGAL_ADDRESS)
    seen = {root.to_string(), SERVER}
    waiting: deque[tuple[ua.NodeId, tuple[str, ...]]] = deque([(root, ())])
    while waiting:
        piece = [waiting.popleft() for _ in range(min(len(waiting), max(1, session.limits.browse)))]
        found = await _children(session, [node for node, _ in piece])
        variables: list[tuple[ua.NodeId, tuple[str, ...]]] = []
        for (_, path), references in zip(piece, found, strict=True):
            for reference in references:
                node = ua.NodeId(
                    reference.NodeId.Identifier, reference.NodeId.NamespaceIndex, reference.NodeId.NodeIdType
                )
                name = node.to_string()
                if name in seen or len(seen) >= MAX_NODES or len(path) >= MAX_LEVELS:
                    continue
                seen.add(name)
                below = (*path, reference.DisplayName.Text or reference.BrowseName.Name or name)
                waiting.append((node, below))
                if reference.NodeClass == ua.NodeClass.Variable:
                    variables.append((node, below))
        for browsed in await _describe(session, variables):
            yield browsed


async def _children(session: OpcuaSession, nodes: Sequence[ua.NodeId]) -> list[list[Any]]:
    parameters = ua.BrowseParameters()
    parameters.View.Timestamp = ua.get_win_epoch()
    for node in nodes:
        description = ua.BrowseDescription()
        description.NodeId = node
        description.BrowseDirection = ua.BrowseDirection.Forward
        description.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
        description.IncludeSubtypes = True
        description.NodeClassMask = int(ua.NodeClass.Object) | int(ua.NodeClass.Variable)
        description.ResultMask = ua.BrowseResultMask.All
        parameters.NodesToBrowse.append(description)
    services = session.channel.client.uaclient.session
    results = await session.channel.call("browse", lambda: services.browse(parameters))
    found = [list(result.References or []) for result in results]
    for position, result in enumerate(results):
        point = result.ContinuationPoint
        while point:
            following = ua.BrowseNextParameters()
            following.ReleaseContinuationPoints = False
            following.ContinuationPoints = [point]
            more = (await session.channel.call("browse", partial(services.browse_next, following)))[0]
            found[position] += more.References or []
            point = more.ContinuationPoint
    return found


async def _describe(session: OpcuaSession, variables: Sequence[tuple[ua.NodeId, tuple[str, ...]]]) -> list[Browsed]:
    services = session.channel.client.uaclient.session
    out = []
    for piece in chunks(variables, session.limits.read):
        nodes = [node for node, _ in piece]
        columns = []
        for attribute in (
            ua.AttributeIds.DataType,
            ua.AttributeIds.ValueRank,
            ua.AttributeIds.UserAccessLevel,
            ua.AttributeIds.Description,
        ):
            answers = await session.channel.call("read attributes", partial(services.read_attributes, nodes, attribute))
            columns.append([answer.Value.Value if answer.Value is not None else None for answer in answers])
        for (node, path), data_type, rank, access, text in zip(piece, *columns, strict=True):
            out.append(
                Browsed(
                    path,
                    _address(node, session.namespaces),
                    _type(data_type, rank),
                    description=(text.Text or "") if text is not None else "",
                    writable=bool((access or 0) & WRITE_BIT),
                    detail={"data_type": data_type.to_string() if data_type is not None else ""},
                )
            )
    return out


def _address(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    text = str(node.to_string())
    index = node.NamespaceIndex
    if not index or index >= len(namespaces):
        return text
    return f"nsu={escape_uri(namespaces[index])};{text.partition(';')[2]}"


def _type(data_type: Any, rank: Any) -> str:
    if rank is not None and rank >= 1:
        return "json"  # the number of elements stands in the value, not in the type
    number = data_type.Identifier if data_type is not None and not data_type.NamespaceIndex else 0
    return TYPES.get(number, "json") if isinstance(number, int) else "json"
