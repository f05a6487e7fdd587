"""Values for the nodes of a NodeSet: what the file gives as XML structures, and a plain one where it gives none.

asyncua reads a structure's value only through its process-wide registry; here the XML body is encoded with the
definition in the same address space.

Source: OPC 10000-6 §5.3 (XML encoding), annex F.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias
from xml.etree import ElementTree

from asyncua import Server, ua
from asyncua.ua.ua_binary import Primitives, pack_uatype

from nexus_cli.json_value import JsonObject

SET = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
TYPES = "{http://opcfoundation.org/UA/2008/02/Types.xsd}"

Body: TypeAlias = JsonObject
"""An XML structure: text or a further structure by member name; a list where a name repeats."""


def take_structures(root: ElementTree.Element) -> dict[str, Body]:
    """Take vendors' structures out of a NodeSet's values.

    Returns:
        Body by the node's id as written in the file.
    """
    found: dict[str, Body] = {}
    for variable in root.iter(f"{SET}UAVariable"):
        value = variable.find(f"{SET}Value")
        content = None if value is None else value.find(f"{TYPES}ExtensionObject/{TYPES}Body")
        identifier = "" if value is None else value.findtext(f"{TYPES}ExtensionObject/{TYPES}TypeId/{TYPES}Identifier")
        if value is None or content is None or not len(content) or not (identifier or "").startswith("ns="):
            continue
        found[str(variable.get("NodeId"))] = body_of(content[0])
        variable.remove(value)
    return found


def body_of(element: ElementTree.Element) -> Body:
    """An XML element's children by their local names."""
    found: Body = {}
    for child in element:
        name = child.tag.rpartition("}")[2]
        value: Any = body_of(child) if len(child) else (child.text or "")
        if name in found:
            before = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [*before, value]
        else:
            found[name] = value
    return found


async def plain_value(server: Server, node: Any) -> ua.Variant | None:
    """A value for a node that has none: zero, false, its own name, or a structure of such; None for what is odder."""
    data_type = await node.read_data_type()
    rank = (await node.read_attribute(ua.AttributeIds.ValueRank)).Value.Value
    if rank is not None and rank >= 0:
        return None
    kind = await node.read_data_type_as_variant_type()
    if kind is ua.VariantType.ExtensionObject:
        return await structure(server, data_type, {})
    name = (await node.read_browse_name()).Name
    if kind in (ua.VariantType.String, ua.VariantType.LocalizedText):
        return ua.Variant(ua.LocalizedText(name) if kind is ua.VariantType.LocalizedText else name, kind)
    if kind is ua.VariantType.DateTime:
        return ua.Variant(datetime.now(UTC), kind)
    if kind is ua.VariantType.StatusCode:
        return ua.Variant(ua.StatusCode(0), kind)
    if kind.value > ua.VariantType.Double.value:
        return None
    return ua.Variant(False if kind is ua.VariantType.Boolean else 0, kind)


async def structure(server: Server, data_type: ua.NodeId, body: Body) -> ua.Variant | None:
    """A structure as raw bytes, members that `body` lacks as zero; None when the address space does not define it."""
    references = await server.get_node(data_type).get_references(ua.ObjectIds.HasEncoding, ua.BrowseDirection.Forward)
    encoding = next((found.NodeId for found in references if found.BrowseName.Name == "Default Binary"), None)
    if encoding is None:
        return None
    try:
        encoded = await _encode(server, data_type, body)
    except (ValueError, ua.UaError):
        return None
    identifier = ua.NodeId(encoding.Identifier, encoding.NamespaceIndex)
    return ua.Variant(ua.ExtensionObject(TypeId=identifier, Body=encoded), ua.VariantType.ExtensionObject)


async def _encode(server: Server, data_type: ua.NodeId, value: Any) -> bytes:
    if not data_type.NamespaceIndex and 1 <= data_type.Identifier <= 15:
        return _primitive(ua.VariantType(data_type.Identifier), value)
    definition = await server.get_node(data_type).read_data_type_definition()
    if isinstance(definition, ua.EnumDefinition):
        return Primitives.Int32.pack(_number(definition, value))
    if not isinstance(definition, ua.StructureDefinition) or int(definition.StructureType):
        raise ValueError("only plain structures are encoded")
    members = value if isinstance(value, dict) else {}
    out = b""
    for member in definition.Fields:
        name = str(member.Name).rpartition(":")[2]
        found = members.get(name)
        if member.ValueRank >= 1:
            items = found if isinstance(found, list) else [] if found is None else [found]
            out += Primitives.Int32.pack(len(items))
            for item in items:
                out += await _encode(server, member.DataType, item)
        else:
            out += await _encode(server, member.DataType, found)
    return out


def _primitive(kind: ua.VariantType, value: Any) -> bytes:
    if kind is ua.VariantType.Boolean:
        return pack_uatype(kind, value in (True, "true", "1"))
    if kind.value < ua.VariantType.Float.value:
        return pack_uatype(kind, int(value or 0))
    if kind in (ua.VariantType.Float, ua.VariantType.Double):
        return pack_uatype(kind, float(value or 0))
    if kind is ua.VariantType.String:
        return pack_uatype(kind, value)
    if kind is ua.VariantType.DateTime:
        return pack_uatype(kind, datetime.fromisoformat(value) if value else datetime(1601, 1, 1, tzinfo=UTC))
    raise ValueError(f"{kind.name} is not encoded")


def _number(definition: ua.EnumDefinition, value: Any) -> int:
    """`On`, `On_1` and `1` are one: XML may write name and number."""
    text = str(value or "")
    for member in definition.Fields:
        if text in (member.Name, f"{member.Name}_{member.Value}"):
            return int(member.Value)
    return int(text) if text.removeprefix("-").isdecimal() else 0
