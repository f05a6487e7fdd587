"""OPC UA NodeSet2 files: the variables of instances become tags; those of type definitions are named apart.

Units and ranges come from the properties `EngineeringUnits` and `EURange`, value names from `EnumStrings`,
`EnumValues` or the enumeration's own declaration.

Source: OPC 10000-8 §5.3 (analog items, multi-state items), OPC 10000-6 annex F.
"""

from __future__ import annotations

from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.nodeset.model import NodeSet, UaNode, checked_root
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import SourceBytes
from nexus_cli.discover.importers.settings import code_of
from nexus_cli.discover.importers.twincat.types import whole
from nexus_cli.discover.importers.xml_tree import Node, parse_xml
from nexus_cli.discover.site_keys import TagKeys

TAKEN_OVER = {
    "EURange": "range",
    "InstrumentRange": "",
    "EngineeringUnits": "unit",
    "EnumStrings": "values",
    "EnumValues": "values",
}
"""Properties that say something of their variable, and the key they become."""
TYPE_CLASSES = {
    "UAObjectType": "an object type",
    "UAVariableType": "a variable type",
    "UADataType": "a data type",
    "UAReferenceType": "a reference type",
}
DICTIONARIES = ("i=69", "i=72")
METADATA = "i=11715"
NODE_IDS = ("i=17", "i=18")
"""NodeId, ExpandedNodeId."""
READABLE = 1
"""AccessLevel CurrentRead. Source: OPC 10000-3 §8.57."""


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The variables of one NodeSet file."""
    nodeset = NodeSet(checked_root(parse_xml(source.data)))
    collector = Collector("opcua", source=source.name, options=options)
    variables = [node for node in nodeset.nodes.values() if node.kind == "UAVariable"]
    for what, reason in nodeset.unreadable:
        with collector.entry(what):
            collector.skip(what, reason)
    of_types = 0
    for node in variables:
        with collector.entry(node.name):
            of_types += _variable(collector, nodeset, node)
    collector.facts.update(
        {
            "variables": len(variables) + len(nodeset.unreadable),
            "of_type_definitions": of_types,
            "models": nodeset.models,
        }
    )
    return [collector.discovery()]


def _variable(collector: Collector, nodeset: NodeSet, node: UaNode) -> bool:
    """Take or skip one variable; True when it belongs to a type definition."""
    above = nodeset.above(node)
    path = [item.name for item in reversed(above)] + [node.name]
    what = "/".join(path)
    owner = next((item for item in above if item.kind in TYPE_CLASSES), None)
    reason = _reason(nodeset, node, above)
    if reason:
        collector.skip(what, reason)
    elif owner is not None and not collector.options.with_types:
        collector.skip(what, f"belongs to {TYPE_CLASSES[owner.kind]}, {owner.name}, not to a machine")
    else:
        collector.take(path, _tag(collector, nodeset, node, what))
    return owner is not None


def _reason(nodeset: NodeSet, node: UaNode, above: list[UaNode]) -> str:
    """Why a variable is no value of a machine, "" when it is."""
    if node.target("i=40", forward=True) in DICTIONARIES:
        return "describes the encoding of structures"
    if any(item.kind == "UAMethod" for item in above):
        return f"the arguments of the method {next(item.name for item in above if item.kind == 'UAMethod')}"
    if METADATA in (node.parent, *(item.parent for item in above)) or (above and above[-1].parent == METADATA):
        return "describes the namespace, not the machine"
    if above and above[0].target("i=40", forward=True) in DICTIONARIES:
        return "describes the encoding of structures"
    parent = nodeset.nodes.get(node.parent)
    if node.name in TAKEN_OVER and parent is not None and parent.kind == "UAVariable":
        return f"a property of {parent.name}" + (
            f", taken over as its {TAKEN_OVER[node.name]}" if TAKEN_OVER[node.name] else ""
        )
    if nodeset.identity_of_type(node) in NODE_IDS:
        return "a node id, no value of the process"
    if not node.parent:
        return "it is in no hierarchy"
    if not whole(node.element.attributes.get("AccessLevel", "1"), 1) & READABLE:
        return "its access level does not allow reading"
    return ""


def _tag(collector: Collector, nodeset: NodeSet, node: UaNode, what: str) -> TagKeys:
    kind, declared = nodeset.data_type(node)
    rank = whole(node.element.attributes.get("ValueRank", "-1"), -1)
    if rank >= 0 or rank == -3:
        kind = "json"  # only the value has the number of elements
    tag: TagKeys = {
        "node": node.id,
        "type": kind,
        "description": described(node.element.value("Description")),
    }
    if declared is not None and kind == "int32" and nodeset.is_enumeration(declared):
        tag["values"] = _declared_values(declared) or None
    for child in (nodeset.nodes[item] for item in node.children):
        value = child.element.first("Value")
        if child.name not in TAKEN_OVER or value is None or not value.children:
            continue
        if child.name == "EURange":
            tag["range"] = _range(collector, value, what)
        elif child.name == "EngineeringUnits":
            tag["unit"] = _unit(value) or None
        elif child.name in ("EnumStrings", "EnumValues"):
            tag["values"] = _names(value) or None
    return tag


def _range(collector: Collector, value: Node, what: str) -> list[float] | None:
    found = {node.name: node.text for node in value.walk() if node.name in ("Low", "High")}
    try:
        return [float(found["Low"]), float(found["High"])]
    except (KeyError, ValueError):
        collector.note(f"{what}: range", "its EURange holds no two numbers")
        return None


def _unit(value: Node) -> str:
    for node in value.walk():
        if node.name == "DisplayName":
            return node.value("Text") or node.text
    return ""


def _names(value: Node) -> dict[int, str]:
    """EnumStrings by position, EnumValues by their own codes."""
    found: dict[int, str] = {}
    for node in value.walk():
        if node.name == "EnumValueType":
            code = code_of(node.value("Value"))
            if code is not None:
                found[code] = node.value("DisplayName", "Text") or str(code)
    if found:
        return found
    holder = next((node for node in value.walk() if node.name == "ListOfLocalizedText"), None)
    texts = [node.value("Text") for node in holder.all("LocalizedText")] if holder else []
    return {position: text for position, text in enumerate(texts) if text}


def _declared_values(declared: UaNode) -> dict[int, str]:
    definition = declared.element.first("Definition")
    found: dict[int, str] = {}
    for item in definition.all("Field") if definition else []:
        code = code_of(item.attributes.get("Value", ""))
        if code is not None:
            found[code] = item.attributes.get("Name", str(code))
    return found
