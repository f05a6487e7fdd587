"""The nodes of a NodeSet2 file: identities with namespace URIs, the hierarchy, and data types down to the built-in ones.

Source: OPC 10000-6 annex F (UANodeSet), OPC 10000-5 annex A (numbers of namespace 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.discover.importers.reading import MalformedError
from nexus_cli.discover.importers.xml_tree import Node
from nexus_cli.drivers.opcua.address import escape_uri, parse_node
from nexus_cli.model.driver_kind import AddressError

STANDARD = "http://opcfoundation.org/UA/"
CLASSES = (
    "UAVariable",
    "UAObject",
    "UAMethod",
    "UAView",
    "UAObjectType",
    "UAVariableType",
    "UADataType",
    "UAReferenceType",
)
HIERARCHICAL = {
    "HasComponent": "i=47",
    "HasProperty": "i=46",
    "Organizes": "i=35",
    "HasOrderedComponent": "i=49",
    "HasAddIn": "i=17604",
    "HasEventSource": "i=36",
    "HasNotifier": "i=48",
    "HasDescription": "i=39",
}
"""References that make a parent; what others define on top of them is taken from `ParentNodeId`."""
TYPES: dict[str, str] = {
    "i=1": "bool",
    "i=2": "int8",
    "i=3": "uint8",
    "i=4": "int16",
    "i=5": "uint16",
    "i=6": "int32",
    "i=7": "uint32",
    "i=8": "int64",
    "i=9": "uint64",
    "i=10": "float32",
    "i=11": "float64",
    "i=12": "string",
    "i=13": "datetime",
    "i=14": "string",
    "i=15": "string",
    "i=16": "string",
    "i=17": "string",
    "i=20": "string",
    "i=21": "string",
    "i=26": "float64",
    "i=27": "int64",
    "i=28": "uint64",
    "i=29": "int32",
    "i=30": "string",
    "i=256": "int32",
    "i=288": "uint32",
    "i=289": "uint32",
    "i=290": "duration",
    "i=291": "string",
    "i=294": "datetime",
    "i=295": "string",
    "i=852": "int32",
    "i=12877": "string",
    "i=12879": "datetime",
}
"""Our type of a data type of namespace 0; what is not here is a structure or of any type: json."""
ENUMERATION = "i=29"
MAX_LEVELS = 64


@dataclass(slots=True)
class UaNode:
    """One node.

    Attributes:
        id: Normal form with the namespace URI.
        kind: One of `CLASSES`.
        name: Browse name without its namespace index.
        parent: Id of the node above, "" when none is given.
        element: The XML of it.
        references: (reference type, forward, target), ids in normal form.
        children: Ids of the nodes below that the file has.
    """

    id: str
    kind: str
    name: str
    parent: str
    element: Node
    references: list[tuple[str, bool, str]] = field(default_factory=list)
    children: list[str] = field(default_factory=list)

    def target(self, reference: str, *, forward: bool) -> str:
        """The first target of a kind of reference, "" without one."""
        return next((to for kind, ahead, to in self.references if kind == reference and ahead is forward), "")


class NodeSet:
    """A file.

    Attributes:
        nodes: By id, in the order of the file.
        unreadable: Node ids that are none, with the reason.
        models: URIs of the models it defines.
    """

    def __init__(self, root: Node) -> None:
        self._uris = [STANDARD, *(node.text for holder in root.all("NamespaceUris") for node in holder.all("Uri"))]
        self._aliases: dict[str, str] = {}
        for holder in root.all("Aliases"):
            for node in holder.all("Alias"):
                self._aliases.setdefault(node.attributes.get("Alias", ""), node.text)
        self.models = [
            node.attributes.get("ModelUri", "") for holder in root.all("Models") for node in holder.all("Model")
        ]
        self.nodes: dict[str, UaNode] = {}
        self.unreadable: list[tuple[str, str]] = []
        for element in root.children:
            if element.name in CLASSES:
                self._add(element)
        for child in self.nodes.values():
            if child.parent in self.nodes:
                self.nodes[child.parent].children.append(child.id)

    def identity(self, text: str) -> str:
        """Normal form of a node id or alias of this file, with the URI in place of the index.

        Raises:
            AddressError: Not a node id, or an index beyond the file's list.
        """
        node = parse_node(self._aliases.get(text.strip(), HIERARCHICAL.get(text.strip(), text)))
        if node.uri or not node.index:
            return node.text
        if node.index >= len(self._uris):
            raise AddressError(f"'{text}' has namespace index {node.index}, the file lists {len(self._uris) - 1}")
        uri = self._uris[node.index]
        if not uri:
            raise AddressError(f"'{text}' is in a namespace without a URI")
        return f"nsu={escape_uri(uri)};{node.kind}={node.identifier}"

    def _add(self, element: Node) -> None:
        written = element.attributes.get("NodeId", "")
        browse = element.attributes.get("BrowseName", "")
        prefix, colon, rest = browse.partition(":")
        name = rest if colon and prefix.isdecimal() else browse
        try:
            identity = self.identity(written)
        except AddressError as error:
            if element.name == "UAVariable":
                self.unreadable.append((name or written or "a variable", str(error)))
            return
        if identity in self.nodes:
            if element.name == "UAVariable":
                self.unreadable.append((name or written, f"{written} is in the file twice"))
            return
        node = UaNode(identity, element.name, name or element.value("DisplayName") or identity, "", element)
        references = element.first("References")
        for reference in references.all("Reference") if references else []:
            try:
                kind = self.identity(reference.attributes.get("ReferenceType", ""))
                target = self.identity(reference.text)
            except AddressError:
                continue
            node.references.append((kind, reference.attributes.get("IsForward", "true") != "false", target))
        node.parent = self._parent(node)
        self.nodes[identity] = node

    def _parent(self, node: UaNode) -> str:
        given = node.element.attributes.get("ParentNodeId", "")
        if given:
            try:
                return self.identity(given)
            except AddressError:
                pass
        hierarchical = set(HIERARCHICAL.values())
        return next((to for kind, ahead, to in node.references if not ahead and kind in hierarchical), "")

    def above(self, node: UaNode) -> list[UaNode]:
        """The nodes above it that the file has, nearest first."""
        found: list[UaNode] = []
        seen = {node.id}
        while node.parent in self.nodes and node.parent not in seen and len(found) < MAX_LEVELS:
            node = self.nodes[node.parent]
            seen.add(node.id)
            found.append(node)
        return found

    def identity_of_type(self, node: UaNode) -> str:
        """A variable's data type as a node id, "" when it is none."""
        try:
            return self.identity(node.element.attributes.get("DataType", "i=24"))
        except AddressError:
            return ""

    def data_type(self, node: UaNode) -> tuple[str, UaNode | None]:
        """Our type of a variable, and the declaration of its data type when the file has it."""
        identity = self.identity_of_type(node)
        if not identity:
            return "json", None
        declared = self.nodes.get(identity)
        for _ in range(MAX_LEVELS):
            if identity in TYPES:
                return TYPES[identity], declared
            current = self.nodes.get(identity)
            above = current.target("i=45", forward=False) if current else ""
            if not above:
                break
            identity = above
        return "json", declared

    def is_enumeration(self, declared: UaNode) -> bool:
        """True when a data type of the file descends from Enumeration."""
        node: UaNode | None = declared
        for _ in range(MAX_LEVELS):
            if node is None:
                return False
            above = node.target("i=45", forward=False)
            if above == ENUMERATION:
                return True
            node = self.nodes.get(above)
        return False


def checked_root(root: Node) -> Node:
    """The root, when it is a NodeSet.

    Raises:
        MalformedError: It is something else.
    """
    if root.name != "UANodeSet":
        hint = did_you_mean(root.name, ["UANodeSet"])
        raise MalformedError(f"the root element is <{root.name}>, not <UANodeSet>", line=root.line, hint=hint)
    return root
