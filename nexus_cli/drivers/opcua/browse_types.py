"""What a server's data types mean here: our type, and the names of an enumeration. One look per data type.

Source: OPC 10000-3 §8.40 (EnumValueType), §8.48 (StructureDefinition), §8.50 (EnumDefinition); OPC 10000-6 annex A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua.connection import ServerConnection

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
ENUMERATION, STRUCTURE = 29, 22
MOST_LEVELS = 12


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """A data type: our name for a single value, the labels of its codes, and its own name."""

    type: str
    values: Mapping[int, str] = field(default_factory=dict)
    structure: bool = False


class DataTypes:
    """The data types of one server, looked up when first met."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._known: dict[str, TypeFacts] = {}

    async def facts(self, data_type: ua.NodeId | None) -> TypeFacts:
        """What a data type means; an unknown one is `json`. Raises DriverError when the session is lost."""
        if data_type is None:
            return TypeFacts("json")
        if not data_type.NamespaceIndex and data_type.Identifier in TYPES:
            return TypeFacts(TYPES[data_type.Identifier])
        key = data_type.to_string()
        if key not in self._known:
            try:
                self._known[key] = await self._look(data_type)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
                self._known[key] = TypeFacts("json")
        return self._known[key]

    async def _look(self, data_type: ua.NodeId) -> TypeFacts:
        base = data_type
        for _ in range(MOST_LEVELS):
            if not base.NamespaceIndex and base.Identifier in (*TYPES, STRUCTURE):
                break
            above = await self._references(base, ua.ObjectIds.HasSubtype, ua.BrowseDirection.Inverse)
            if not above:
                return TypeFacts("json")
            base = above[0].NodeId
        if base.NamespaceIndex:
            return TypeFacts("json")
        if base.Identifier == STRUCTURE:
            return TypeFacts("json", structure=True)
        if base.Identifier != ENUMERATION:
            return TypeFacts(TYPES.get(base.Identifier, "json"))
        return TypeFacts("int32", await self._labels(data_type))

    async def _labels(self, data_type: ua.NodeId) -> dict[int, str]:
        for reference in await self._references(data_type, ua.ObjectIds.HasProperty, ua.BrowseDirection.Forward):
            if reference.BrowseName.Name in ("EnumStrings", "EnumValues"):
                answers = await read(self._connection, [(reference.NodeId, ua.AttributeIds.Value)])
                if found := labels(answers[0]):
                    return found
        definition = (await read(self._connection, [(data_type, ua.AttributeIds.DataTypeDefinition)]))[0]
        fields = getattr(definition, "Fields", None) or []
        return {int(one.Value): str(one.Name) for one in fields if hasattr(one, "Value")}

    async def _references(self, node: ua.NodeId, kind: int, direction: ua.BrowseDirection) -> list[Any]:
        parameters = ua.BrowseParameters()
        parameters.View.Timestamp = ua.get_win_epoch()
        parameters.NodesToBrowse.append(description(node, kind=kind, direction=direction, classes=0))
        services = self._connection.channel.services
        results = await self._connection.channel.call("browse a data type", partial(services.browse, parameters))
        return list(results[0].References or [])


def labels(value: Any) -> dict[int, str]:
    """Label by code of an EnumStrings or EnumValues property; empty when it is neither."""
    found: dict[int, str] = {}
    for position, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, ua.LocalizedText):
            found[position] = item.Text or ""
        elif hasattr(item, "DisplayName") and hasattr(item, "Value"):
            found[int(item.Value)] = item.DisplayName.Text or ""
    return {code: label for code, label in found.items() if label}


def description(
    node: ua.NodeId,
    *,
    kind: int = ua.ObjectIds.HierarchicalReferences,
    direction: ua.BrowseDirection = ua.BrowseDirection.Forward,
    classes: int = int(ua.NodeClass.Object) | int(ua.NodeClass.Variable),
) -> ua.BrowseDescription:
    """What to browse of one node."""
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = direction
    wanted.ReferenceTypeId = ua.NodeId(kind)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = classes
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted


async def read(connection: ServerConnection, wanted: Sequence[tuple[ua.NodeId, int]]) -> list[Any]:
    """Attributes of nodes, same order, within the server's limit per call; None where one is not there.

    Raises:
        DriverError: The session is lost, or the server refuses even a single node.
    """
    services = connection.channel.services
    out: list[Any] = []
    position = 0
    while position < len(wanted):
        parameters = ua.ReadParameters()
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
        for node, attribute in wanted[position : position + max(1, connection.limits.read)]:
            item = ua.ReadValueId()
            item.NodeId, item.AttributeId = node, attribute
            parameters.NodesToRead.append(item)
        try:
            answers = await connection.channel.call("read attributes", partial(services.read, parameters))
        except DriverError as error:
            if error.scope is not Scope.REQUEST or len(parameters.NodesToRead) <= 1:
                raise
            connection.lower_reads(len(parameters.NodesToRead) // 2)
            continue
        for answer in answers:
            good = answer.Value is not None and (answer.StatusCode is None or answer.StatusCode.is_good())
            out.append(answer.Value.Value if good else None)
        position += len(parameters.NodesToRead)
    return out
