"""Walk a server's address space: continuation points followed, its limits kept, several calls side by side.

A variable is reported when its own children are known, because unit, range and the names of codes are in properties
below it. Source: OPC 10000-8 §5.3 (AnalogItemType: EURange, EngineeringUnits), §5.6.3 (EUInformation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from asyncua import ua

from nexus_cli.diagnostics.groups import Group, first_of_group
from nexus_cli.drivers.base import Browsed, BrowseOptions, DriverError, Scope
from nexus_cli.drivers.browse_shapes import BrowseDetail
from nexus_cli.drivers.opcua import unece
from nexus_cli.drivers.opcua.address import escape_uri, parse_node
from nexus_cli.drivers.opcua.browse_companions import Companions, Seen, States
from nexus_cli.drivers.opcua.browse_references import children
from nexus_cli.drivers.opcua.browse_types import DataTypes, labels, read
from nexus_cli.drivers.opcua.connection import ServerConnection
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.wire.sample import Reason

OBJECTS = "i=85"
SERVER = "i=2253"
MAX_NODES = 500_000
MAX_LEVELS = 64
READ_BIT, WRITE_BIT = 1, 2
"""AccessLevel CurrentRead, CurrentWrite. Source: OPC 10000-3 §8.57."""
ATTRIBUTES = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.ArrayDimensions,
    ua.AttributeIds.UserAccessLevel,
    ua.AttributeIds.Description,
)
READS_PER_NODE = len(ATTRIBUTES) + 1
DESCRIBING = frozenset(
    (
        *("EngineeringUnits", "EURange", "InstrumentRange", "EnumStrings", "EnumValues", "ValuePrecision"),
        *("Definition", "TrueState", "FalseState", "ValueAsText", "EnumDictionary"),
    )
)
"""Properties that say something about their variable and are no values of the plant."""
NUMBER = "Number"
STATE_NUMBER = frozenset(("Id", NUMBER))
"""Properties of a state variable; the second one is the value of the plant. Source: OPC 10000-16 §4.4.7."""
LAST_TRANSITION = "LastTransition"
NODE_IDS = (17, 18)
"""NodeId, ExpandedNodeId."""


class Entry(NamedTuple):
    """One node that waits to be looked at; by its namespace's URI, because an index may change until it is its turn."""

    node: str
    path: tuple[str, ...]
    variable: bool = False
    property: bool = False


class Walk:
    """One walk, breadth first. It can be continued by another session from what its beats said."""

    def __init__(self, connection: ServerConnection, options: BrowseOptions) -> None:
        start, resume = options.start, options.resume or {}
        self._connection = connection
        self._options = options
        self._types = DataTypes(connection)
        self._companions = Companions(connection)
        self._states = States(connection, self._companions)
        root = node_id(parse_node(start or OBJECTS), connection.namespaces)
        if root is None:
            raise DriverError(
                f"{start}: the server has no such namespace", scope=Scope.ITEM, reason=Reason.ILLEGAL_ADDRESS
            )
        self._nodes: dict[str, ua.NodeId] = {self._address(root): root}
        self._alone: list[Entry] = []
        self._scarce = False
        self._waiting: deque[Entry] = deque([Entry(self._address(root), ())])
        if resume:
            self._waiting = deque(Entry(str(one[0]), tuple(one[1]), *one[2:]) for one in resume["queue"])
        self._seen = {SERVER, self._address(root), *(entry.node for entry in self._waiting), *resume.get("seen", ())}

    async def run(self) -> AsyncIterator[Browsed]:
        """Every variable, what is skipped with its reason, and a beat after each round. Raises DriverError."""
        yield Browsed((), "", "", detail={"facts": {"namespaces": list(self._connection.namespaces)}})
        while self._waiting:
            limits = self._connection.limits
            each = max(1, min(limits.browse, limits.read // READS_PER_NODE))
            round_: list[list[Entry]] = []
            while self._waiting and len(round_) < (1 if self._scarce else max(1, self._options.parallel)):
                round_.append([self._waiting.popleft() for _ in range(min(each, len(self._waiting)))])
            queued: list[Entry] = []
            for browsed in await self._side_by_side(round_, queued):
                yield browsed
            while self._alone:  # its references did not fit into the answer with others: now it is browsed alone
                for browsed in await self._piece([self._alone.pop()], queued):
                    yield browsed
            if not self._options.only_resume:
                self._waiting.extend(queued)
            done = sum(len(piece) for piece in round_)
            yield Browsed((), "", "", detail={"beat": True, "done": done, "queued": [list(one) for one in queued]})

    async def _side_by_side(self, pieces: Sequence[Sequence[Entry]], queued: list[Entry]) -> list[Browsed]:
        if len(pieces) == 1:
            return await self._piece(pieces[0], queued)
        try:
            async with Group() as group:
                tasks = [group.create_task(self._piece(piece, queued), name="browse") for piece in pieces]
        except* DriverError as failed:
            raise first_of_group(failed) from None
        return [browsed for task in tasks for browsed in task.result()]

    async def _piece(self, piece: Sequence[Entry], queued: list[Entry]) -> list[Browsed]:
        out: list[Browsed] = []
        nodes, known = [], []
        for entry in piece:
            if (node := self._node(entry.node)) is None:
                out.append(_unseen(entry, "the server has no such namespace any more"))
            else:
                nodes.append(node)
                known.append(entry)
        below = await children(self._connection, nodes)
        if len(known) > 1 and any(one.scarce for one in below):
            self._scarce = True
            self._alone += [entry for entry, one in zip(known, below, strict=True) if one.scarce]
            self._nodes |= {entry.node: node for entry, node in zip(known, nodes, strict=True)}
            kept = [place for place, one in enumerate(below) if not one.scarce]
            known, nodes = [known[place] for place in kept], [nodes[place] for place in kept]
            below = [below[place] for place in kept]
        describing: list[dict[str, ua.NodeId]] = []
        objects: list[Seen] = []
        for entry, one in zip(known, below, strict=True):
            own: dict[str, ua.NodeId] = {}
            numbered = entry.variable and entry.path[-1] != LAST_TRANSITION and _names(one.references) >= STATE_NUMBER
            for reference in one.references:
                out += self._child(entry, reference, own, queued, objects, numbered=numbered)
            describing.append(own)
            if one.refused:
                why = "the server has no continuation point left" if one.scarce else f"the server says {one.refused}"
                out.append(_unseen(entry, f"its children were not returned:  {why}"))
        out += [
            Browsed(seen.path, self._address(seen.node), "", detail={"object": what})
            for seen, what in zip(objects, await self._companions.recognise(objects), strict=True)
            if what
        ]
        return out + await self._variables(known, nodes, describing)

    async def _variables(
        self, piece: Sequence[Entry], nodes: Sequence[ua.NodeId], describing: Sequence[Mapping[str, ua.NodeId]]
    ) -> list[Browsed]:
        """The variables among these, with what their attributes and properties say."""
        out: list[Browsed] = []
        variables = [place for place, entry in enumerate(piece) if entry.variable]
        wanted = [(nodes[place], attribute) for place in variables for attribute in ATTRIBUTES]
        properties = [(place, name, node) for place in variables for name, node in describing[place].items()]
        answers = await read(self._connection, [*wanted, *((node, ua.AttributeIds.Value) for _, _, node in properties)])
        values: dict[int, dict[str, object]] = {}
        for (place, name, _), value in zip(properties, answers[len(wanted) :], strict=True):
            values.setdefault(place, {})[name] = value
        for number, place in enumerate(variables):
            row = answers[number * len(ATTRIBUTES) : (number + 1) * len(ATTRIBUTES)]
            out.append(await self._variable(piece[place], nodes[place], row, values.get(place, {})))
        return out

    def _child(
        self,
        entry: Entry,
        reference: Any,
        own: dict[str, ua.NodeId],
        queued: list[Entry],
        objects: list[Seen],
        *,
        numbered: bool,
    ) -> list[Browsed]:
        """Queue one child, or say why not.

        Args:
            entry: Above it.
            reference: That leads to it.
            own: Takes properties that describe the entry.
            queued: Takes what is to be looked at.
            objects: Takes what may be recognised.
            numbered: The entry is a state variable, whose number is a value of the plant.
        """
        node = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex, reference.NodeId.NodeIdType)
        name = self._address(node)
        if name in self._seen:
            return []
        self._seen.add(name)
        browse_name = str(reference.BrowseName.Name or "")
        path = (*entry.path, reference.DisplayName.Text or browse_name or node.to_string())
        is_variable = reference.NodeClass == ua.NodeClass.Variable
        is_property = reference.ReferenceTypeId.Identifier == ua.ObjectIds.HasProperty
        is_property = is_property and not (numbered and browse_name == NUMBER)
        if is_property and entry.variable and browse_name in DESCRIBING:
            own[browse_name] = node
            return [self._skipped(path, node, f"describes {entry.path[-1]}")]
        if is_property and not self._options.properties:
            return [self._skipped(path, node, "a property (--properties takes it)")]
        if self._options.depth and len(path) > self._options.depth:
            return [self._skipped(path, node, f"deeper than {self._options.depth} levels (--depth)")]
        if len(self._seen) >= MAX_NODES or len(path) > MAX_LEVELS:
            return [self._skipped(path, node, f"beyond {MAX_NODES:,} nodes or {MAX_LEVELS} levels")]
        queued.append(Entry(name, path, is_variable, is_property))
        if not self._options.only_resume:
            self._nodes[name] = node
        if not is_variable:
            objects.append(Seen(path, node, reference))
        return []

    async def _variable(self, entry: Entry, node: ua.NodeId, row: Sequence[Any], values: Mapping[str, Any]) -> Browsed:
        data_type, rank, dimensions, access, text = row
        if access is not None and not access & READ_BIT:
            return self._skipped(entry.path, node, "this user may not read it")
        if data_type is not None and not data_type.NamespaceIndex and data_type.Identifier in NODE_IDS:
            return self._skipped(entry.path, node, "a node id, no value of the process")
        facts = await self._types.facts(data_type)
        kind = type_name(facts.type, rank, dimensions)
        detail: BrowseDetail = {"data_type": data_type.to_string() if data_type is not None else ""}
        if entry.property:
            detail["property"] = True
        if "[" in kind:
            detail["keys"] = {"varying": True}  # dimensions are the most. Source: OPC 10000-3 §5.6.2, ArrayDimensions
        unit, name = _unit(values.get("EngineeringUnits"))
        if name:
            detail["unit_name"] = name
        scale = values.get("EURange")
        low, high = getattr(scale, "Low", None), getattr(scale, "High", None)
        if low is not None and high is not None and low < high and kind != "json":
            detail["range"] = [low, high]
        codes = labels(values.get("EnumStrings")) or labels(values.get("EnumValues")) or dict(facts.values)
        if not codes and len(entry.path) > 1 and entry.path[-1] == NUMBER:
            codes = dict(await self._states.names(node))
        if codes and kind.startswith(("int", "uint")) and "[" not in kind:
            detail["values"] = codes
        if facts.structure:
            detail["structure"] = True
        description = (getattr(text, "Text", None) or "").strip()
        writable = bool((access or 0) & WRITE_BIT)
        return Browsed(entry.path, self._address(node), kind, unit, description, writable, detail)

    def _skipped(self, path: tuple[str, ...], node: ua.NodeId, reason: str) -> Browsed:
        return Browsed(path, self._address(node), "", detail={"skipped": reason})

    def _node(self, text: str) -> ua.NodeId | None:
        """The node id of an entry; None when the server knows its namespace no longer."""
        kept = self._nodes.pop(text, None)
        return kept if kept is not None else node_id(parse_node(text), self._connection.namespaces)

    def _address(self, node: ua.NodeId) -> str:
        text = str(node.to_string())
        index = node.NamespaceIndex
        if not index or index >= len(self._connection.namespaces):
            return text
        return f"nsu={escape_uri(self._connection.namespaces[index])};{text.partition(';')[2]}"


def browse(connection: ServerConnection, options: BrowseOptions) -> AsyncIterator[Browsed]:
    """Every variable below `start` (Objects when empty); the Server object itself is left out.

    Besides variables come, each with an empty type: what is skipped (`detail["skipped"]`, the reason), instances of
    companion specifications (`detail["object"]`), and beats (`detail["beat"]`, with what was `queued` and `done`
    since the last one, so that a walk can be continued).

    Args:
        connection: An open one.
        options: `start` is a node id; `resume` has `queue` (the entries that waited) and `seen` (every node id that was
            queued) of an earlier walk.

    Raises:
        DriverError: The session is lost, or `start` is not there.
    """
    return Walk(connection, options).run()


def _unseen(entry: Entry, reason: str) -> Browsed:
    """A part of the server that stays unknown: nothing may be removed for not having been found."""
    return Browsed(entry.path, entry.node, "", detail={"skipped": reason, "unseen": True})


def _unit(information: Any) -> tuple[str, str]:
    """Unit by the UNECE table, and the server's own name for it."""
    if information is None or not hasattr(information, "UnitId"):
        return "", ""
    name = getattr(information.DisplayName, "Text", None) or ""
    code, namespace = int(information.UnitId), information.NamespaceUri or ""
    unit = unece.unit_of(code, namespace=namespace)
    return unit, unece.name_of(code, str(name).strip(), namespace=namespace)


def _names(references: Sequence[Any]) -> frozenset[str]:
    """The standard's own names among what is referred to."""
    return frozenset(str(one.BrowseName.Name) for one in references if not one.BrowseName.NamespaceIndex)


def type_name(base: str, rank: Any, dimensions: Any) -> str:
    """The type of a value by its base, ValueRank and ArrayDimensions; `json` where the number of elements is not known."""
    if rank is None or rank < 0:
        return base  # Source: OPC 10000-3 §5.6.2: -1 scalar, -2 any, -3 scalar or one dimension
    known = isinstance(dimensions, list) and len(dimensions) == 1 and 0 < dimensions[0] < 100_000  # rank 0: one or more
    if rank in (0, 1) and known and base not in ("json", "string"):
        return f"{base}[{dimensions[0]}]"
    return "json"  # the number of elements is in the value, not in the type
