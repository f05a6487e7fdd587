"""Vendors' structures, decoded with the definitions of their own connection.

asyncua's `load_data_type_definitions()` fills a process-wide registry, so that two servers with one structure id
decode silently wrong. Here each session has its own definitions, read from the DataTypeDefinition attribute.

Source: OPC 10000-6 §5.2.6–5.2.8 (structures, optional fields, unions), OPC 10000-3 §8.48 (StructureDefinition).
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from datetime import datetime
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.codec import DecodeError, Structure, read_array, read_builtin
from nexus_cli.drivers.opcua.values import plain
from nexus_cli.wire.sample import Value

OPTIONAL_FIELDS = 1
UNION = 2
STRUCTURE = 22
VARIANT = 24
ENUMERATION = 6
MAX_TYPES = 2_000
"""Definitions that one session keeps; more would be a server that lies."""


class FieldDefinition(NamedTuple):
    """One member: its type is a key of the definitions or a built-in type id."""

    name: str
    data_type: str
    rank: int
    optional: bool


class Definition(NamedTuple):
    """A structure's members; `form` is the standard's StructureType."""

    form: int
    fields: tuple[FieldDefinition, ...]


class StructureCodec:
    """Definitions of one connection, loaded when a value first needs them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._definitions: dict[str, Definition | int] = {}
        self._data_types: dict[str, str] = {}

    def knows(self, type_id: str) -> bool:
        """True when values of this encoding need no further look at the server."""
        return type_id in self._data_types or _standard(type_id) is not None

    async def prepare(self, type_id: str, data_type: str = "") -> None:
        """Load the definition behind an encoding id, and those of its members.

        Args:
            type_id: Node id of the encoding, as in a `Structure`.
            data_type: Node id of the data type when it is known; else the HasEncoding reference is followed.

        Raises:
            DriverError: The session is lost. A type that the server does not define is noted and stays undecodable.
        """
        if self.knows(type_id) or len(self._data_types) >= MAX_TYPES:
            return
        found = data_type or await self._inverse(type_id, ua.ObjectIds.HasEncoding)
        if found:
            await self._load(found)
        self._data_types[type_id] = found

    def decode(self, value: Structure) -> Value:
        """A structure as an object by member names.

        Raises:
            DecodeError: The server gave no definition, or the bytes don't fit it.
        """
        if not value.body:
            return None
        standard = _standard(value.type_id)
        if standard is not None:
            return _decode_standard(standard, value.body)
        data_type = self._data_types.get(value.type_id, "")
        if not isinstance(self._definitions.get(data_type), Definition):
            raise DecodeError(f"the server does not define the structure {value.type_id}")
        try:
            return self._structure(data_type, value.body, 0, 0)[0]
        except (IndexError, struct.error) as error:
            raise DecodeError(f"a structure {value.type_id} ends too early ({error})") from None

    def _structure(self, data_type: str, data: bytes, at: int, depth: int) -> tuple[Value, int]:
        definition = self._definitions.get(data_type)
        if depth > 32:
            raise DecodeError("structures nest too deeply")
        if definition is None:
            raise DecodeError(f"the server does not define the data type {data_type}")
        if isinstance(definition, int):
            value, at = read_builtin(definition, data, at)
            return plain(value, self.decode), at
        if definition.form not in (0, OPTIONAL_FIELDS, UNION):
            raise DecodeError("structures with sub-typed members are not decoded")
        if definition.form == UNION:
            switch, at = read_builtin(7, data, at)
            if not switch:
                return {}, at
            if switch > len(definition.fields):
                raise DecodeError(f"a union has no member {switch}")
            chosen = definition.fields[switch - 1]
            value, at = self._member(chosen, data, at, depth)
            return {chosen.name: value}, at
        mask, bit = -1, 0
        if definition.form == OPTIONAL_FIELDS:
            mask, at = read_builtin(7, data, at)
        found: dict[str, Value] = {}
        for member in definition.fields:
            if definition.form == OPTIONAL_FIELDS and member.optional:
                present = mask >> bit & 1
                bit += 1
                if not present:
                    continue
            found[member.name], at = self._member(member, data, at, depth)
        return found, at

    def _member(self, member: FieldDefinition, data: bytes, at: int, depth: int) -> tuple[Value, int]:
        if member.rank < 1:
            return self._structure(member.data_type, data, at, depth + 1)
        definition = self._definitions.get(member.data_type)
        if isinstance(definition, int) and member.rank == 1:
            values, at = read_array(definition, data, at)
            return plain(values, self.decode), at
        if member.rank > 1:
            raise DecodeError("members of several dimensions are not decoded")
        count, at = read_builtin(6, data, at)
        if count > len(data):
            raise DecodeError(f"a member says that it has {count} elements, but its bytes end before")
        out = []
        for _ in range(count):
            value, at = self._structure(member.data_type, data, at, depth + 1)
            out.append(value)
        return out, at

    async def _load(self, data_type: str) -> None:
        if data_type in self._definitions or len(self._definitions) >= MAX_TYPES:
            return
        builtin = _builtin(data_type)
        if builtin:
            self._definitions[data_type] = builtin
            return
        found = await self._attribute(data_type)
        if isinstance(found, ua.EnumDefinition):
            self._definitions[data_type] = ENUMERATION
        elif isinstance(found, ua.StructureDefinition):
            members = tuple(
                FieldDefinition(
                    member.Name or f"field_{number}",
                    member.DataType.to_string(),
                    int(member.ValueRank),
                    bool(member.IsOptional),
                )
                for number, member in enumerate(found.Fields or [])
            )
            self._definitions[data_type] = Definition(int(found.StructureType), members)
            for member in members:
                await self._load(member.data_type)
        else:  # a simple sub-type (Duration, UtcTime, …): as its parent
            parent = await self._inverse(data_type, ua.ObjectIds.HasSubtype)
            if parent:
                await self._load(parent)
                if parent in self._definitions:
                    self._definitions[data_type] = self._definitions[parent]

    async def _attribute(self, data_type: str) -> Any:
        node = ua.NodeId.from_string(data_type)
        answers = await self._channel.call(
            "read a data type's definition",
            lambda: self._channel.services.read_attributes([node], ua.AttributeIds.DataTypeDefinition),
        )
        value = answers[0].Value
        return None if value is None else value.Value

    async def _inverse(self, node: str, reference: int) -> str:
        description = ua.BrowseDescription()
        description.NodeId = ua.NodeId.from_string(node)
        description.BrowseDirection = ua.BrowseDirection.Inverse
        description.ReferenceTypeId = ua.NodeId(reference)
        description.IncludeSubtypes = True
        description.NodeClassMask = 0
        description.ResultMask = 0
        parameters = ua.BrowseParameters()
        parameters.NodesToBrowse = [description]
        results = await self._channel.call("browse a data type", lambda: self._channel.services.browse(parameters))
        references = results[0].References if results else []
        return str(references[0].NodeId.to_string()) if references else ""


def _builtin(data_type: str) -> int:
    """Built-in type id of `i=1` … `i=25`, and of the abstract types that are encoded as them."""
    if not data_type.startswith("i="):
        return 0
    number = int(data_type[2:])
    if number == ENUMERATION_TYPE:
        return ENUMERATION
    return number if 1 <= number <= 25 else 0


ENUMERATION_TYPE = 29


def _standard(type_id: str) -> type | None:
    """The class of a structure that the standard itself defines: namespace 0 means the same on every server."""
    if not type_id.startswith("i="):
        return None
    found = ua.extension_objects_by_typeid.get(ua.NodeId(int(type_id[2:])))
    return found if isinstance(found, type) else None


def _decode_standard(kind: type, body: bytes) -> Value:
    try:
        return _fields(struct_from_binary(kind, Buffer(body)))
    except (ua.UaError, IndexError, struct.error, ValueError, TypeError) as error:
        raise DecodeError(f"a {kind.__name__} can't be read ({type(error).__name__})") from None


def _fields(value: Any) -> Value:
    if isinstance(value, ua.LocalizedText):
        return value.Text or ""
    if isinstance(value, ua.QualifiedName):
        return value.Name or ""
    if isinstance(value, (ua.NodeId, ua.ExpandedNodeId)):
        return str(value.to_string())
    if isinstance(value, ua.StatusCode):
        return int(value.value)
    if isinstance(value, ua.Variant):
        return _fields(value.Value)
    if isinstance(value, enum.Enum):
        return int(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return plain(bytes(value), None)
    if isinstance(value, (list, tuple)):
        return [_fields(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {
            field.name.rstrip("_"): _fields(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in ("Encoding", "data_type")
        }
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
