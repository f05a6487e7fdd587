"""A server as it is now: which nodes it has, their types and rights, its namespaces and its product. Reads attributes alone.

A node that is gone is looked for by the same identifier in the server's other namespaces: projects that are loaded again
get other indexes, and vendors change the year in a URI.

Source: OPC 10000-4 §5.11.2 (Read), OPC 10000-3 §5.6.2 (attributes of a variable), OPC 10000-5 §6.3.2 (BuildInfo).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.examined import Examined, Presence
from nexus_cli.drivers.opcua.address import NodeAddress, escape_uri
from nexus_cli.drivers.opcua.browse import READ_BIT, WRITE_BIT, type_name
from nexus_cli.drivers.opcua.browse_types import DataTypes
from nexus_cli.drivers.opcua.connection import ServerConnection
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.drivers.opcua.status import name_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import parse_type

ATTRIBUTES = (
    ua.AttributeIds.NodeClass,
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.ArrayDimensions,
    ua.AttributeIds.UserAccessLevel,
)
POINTS = 40
"""Nodes of one step: one Read of their attributes."""
UNKNOWN_NODE = frozenset({0x80340000, 0x80330000})
"""BadNodeIdUnknown, BadNodeIdInvalid. Source: OPC 10000-6 annex A.2."""
DENIED = frozenset({0x801F0000, 0x803A0000})
"""BadUserAccessDenied, BadNotReadable."""
NO_NAMESPACE = "the server does not know the namespace"
BUILD_INFO = {2263: "manufacturer", 2261: "product", 2264: "version"}
"""Server_ServerStatus_BuildInfo by node. Source: OPC 10000-6 annex A.3."""
MOST_NAMESPACES = 50


class _Answer(NamedTuple):
    """One attribute: its value, and the status where there is none."""

    value: Any
    status: int


class OpcuaExaminer:
    """See `drivers.examined.Examiner`."""

    def pieces(self, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Sequence[Point]]:
        """See `Examiner.pieces`."""
        return [points[first : first + POINTS] for first in range(0, len(points), POINTS)]

    async def identity(self, session: OpcuaSession, device: DeviceConfig, /) -> Mapping[str, str]:
        """The product, and the URI of each namespace by its index. Raises DriverError."""
        connection = session.connection
        await _look_again(connection)
        wanted = [(ua.NodeId(number), ua.AttributeIds.Value) for number in BUILD_INFO]
        answers = await _read(connection, wanted)
        found = {
            name: str(answer.value)
            for name, answer in zip(BUILD_INFO.values(), answers, strict=True)
            if answer.value not in (None, "")
        }
        spaces = connection.namespaces[:MOST_NAMESPACES]
        return found | {f"namespace {index}": uri for index, uri in enumerate(spaces) if index}

    async def examine(
        self, session: OpcuaSession, device: DeviceConfig, points: Sequence[Point], /
    ) -> Sequence[Examined]:
        """See `Examiner.examine`."""
        connection = session.connection
        nodes = [node_id(node_of(point), connection.namespaces) for point in points]
        known = [(place, node) for place, node in enumerate(nodes) if node is not None]
        answers = await _read(connection, [(node, attribute) for _, node in known for attribute in ATTRIBUTES])
        found: list[Examined] = [
            Examined(name=point.name, presence=Presence.GONE, problem=NO_NAMESPACE, code=min(UNKNOWN_NODE))
            for point in points
        ]
        types = DataTypes(connection)
        for number, (place, _) in enumerate(known):
            row = answers[number * len(ATTRIBUTES) : (number + 1) * len(ATTRIBUTES)]
            found[place] = await _judged(types, points[place], row)
        return [
            await _moved(connection, point, one) if one.presence is Presence.GONE else one
            for point, one in zip(points, found, strict=True)
        ]


async def _judged(types: DataTypes, point: Point, row: Sequence[_Answer]) -> Examined:
    """One node by its attributes."""
    node_class, data_type, rank, dimensions, access = row
    if node_class.value is None:
        code = node_class.status
        gone = code & 0xFFFF0000 in UNKNOWN_NODE
        refused = code & 0xFFFF0000 in DENIED
        presence = Presence.GONE if gone else Presence.REFUSED if refused else Presence.UNKNOWN
        return Examined(name=point.name, presence=presence, problem=name_of(code), code=code)
    if node_class.value != ua.NodeClass.Variable:
        what = ua.NodeClass(node_class.value).name
        return Examined(name=point.name, presence=Presence.MISTYPED, problem=f"the node is no variable but a {what}")
    if access.value is not None and not access.value & READ_BIT:
        return Examined(name=point.name, presence=Presence.REFUSED, problem="this user may not read it")
    facts = await types.facts(data_type.value)
    kind = "" if data_type.value is None else _kind(facts.type, rank.value, dimensions.value)
    writable = None if access.value is None else bool(access.value & WRITE_BIT)
    if parse_type(point.type).base == "json" or point.options.get("index"):
        kind = ""  # whatever is there becomes JSON; an element's type is that of the array, which a value shows
    return Examined(name=point.name, presence=Presence.THERE, type=kind, writable=writable)


def _kind(base: str, rank: Any, dimensions: Any) -> str:
    """The type in our words; an array of unknown length is `float32[]`."""
    kind = type_name(base, rank, dimensions)
    return f"{base}[]" if kind == "json" and base != "json" and rank in (0, 1) else kind


async def _moved(connection: ServerConnection, point: Point, gone: Examined) -> Examined:
    """The node under the same identifier in another namespace, when there is exactly one."""
    wanted = node_of(point)
    here = node_id(wanted, connection.namespaces)
    spaces = [
        (uri, ua.NodeId(_identifier(wanted), index))
        for index, uri in enumerate(connection.namespaces[:MOST_NAMESPACES])
        if index and (here is None or index != here.NamespaceIndex)
    ]
    answers = await _read(connection, [(node, ua.AttributeIds.NodeClass) for _, node in spaces])
    there = [uri for (uri, _), answer in zip(spaces, answers, strict=True) if answer.value == ua.NodeClass.Variable]
    if len(there) != 1:
        return gone
    address = f"nsu={escape_uri(there[0])};{wanted.kind}={wanted.identifier}"
    return replace(gone, presence=Presence.MOVED, address=address)


def _identifier(address: NodeAddress) -> Any:
    found = node_id(replace(address, uri="", index=0), ())
    assert found is not None
    return found.Identifier


async def _look_again(connection: ServerConnection) -> None:
    """Take note of the server's namespaces as they are now; one that refuses keeps those that are known."""
    connection.look_again_s = 0.0
    try:
        await connection.look_for_namespaces()
    except DriverError as error:
        if error.scope is Scope.SESSION:
            raise


async def _read(connection: ServerConnection, wanted: Sequence[tuple[ua.NodeId, int]]) -> list[_Answer]:
    """Attributes of nodes, same order, within the server's limit per call. Raises DriverError."""
    out: list[_Answer] = []
    while len(out) < len(wanted):
        parameters = ua.ReadParameters()
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        for node, attribute in wanted[len(out) : len(out) + max(1, connection.limits.read)]:
            item = ua.ReadValueId()
            item.NodeId, item.AttributeId = node, attribute
            parameters.NodesToRead.append(item)
        try:
            answers = await connection.channel.call(
                "examine nodes", partial(connection.channel.services.read, parameters)
            )
        except DriverError as error:
            if error.scope is not Scope.REQUEST or len(parameters.NodesToRead) <= 1:
                raise
            connection.lower_reads(len(parameters.NodesToRead) // 2)
            continue
        for answer in answers:
            good = answer.Value is not None and (answer.StatusCode is None or answer.StatusCode.is_good())
            code = 0 if answer.StatusCode is None else int(answer.StatusCode.value)
            out.append(_Answer(answer.Value.Value if good else None, code))
    return out


EXAMINER = OpcuaExaminer()
