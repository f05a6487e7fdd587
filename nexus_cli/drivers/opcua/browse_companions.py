"""What an object is by a companion specification: DI device, Machinery identification, PackML base object, …

Vendors derive their own types from those of a specification, so the type tree is followed upwards to the first type
that one defines. Objects that are built from interfaces instead are known by these.
Source: OPC 10000-3 §6.2 (subtyping), §7.7 (HasSubtype); OPC 10001-7 §4.3 (HasInterface), §4.4 (HasAddIn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua.browse_references import children
from nexus_cli.drivers.opcua.browse_types import description, read
from nexus_cli.drivers.opcua.connection import ServerConnection

FOUNDATION = "http://opcfoundation.org/UA/"
"""Every companion specification's namespace is this and its short name. Source: OPC 11030 §3.7.4."""
MOST_LEVELS = 12
MOST_TYPES = 5_000
HAS_INTERFACE, HAS_ADD_IN = 17603, 17604
_ABOVE = partial(
    description,
    kind=ua.ObjectIds.HasSubtype,
    direction=ua.BrowseDirection.Inverse,
    classes=int(ua.NodeClass.ObjectType),
)
_INTERFACES = partial(description, kind=HAS_INTERFACE, classes=int(ua.NodeClass.ObjectType))


class Seen(NamedTuple):
    """An object that a walk met, and the reference that led there."""

    path: tuple[str, ...]
    node: ua.NodeId
    reference: Any


class _Type(NamedTuple):
    """One object type.

    Attributes:
        node: The type itself.
        above: Key of its supertype, "" when there is none.
        interfaces: Keys of the interfaces that it has.
    """

    node: ua.NodeId
    above: str = ""
    interfaces: tuple[str, ...] = ()


class Companions:
    """The object types of one server, looked up when first met, all that are new at once."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._types: dict[str, _Type] = {}
        self._names: dict[str, str] = {}

    async def recognise(self, objects: Sequence[Seen]) -> list[str]:
        """What each object is, same order: `PackML PackMLBaseObject (FillerType)`, "" for most.

        A server that does not describe its types is walked all the same.

        Raises:
            DriverError: The session is lost.
        """
        if not any(map(self.family, range(1, len(self._connection.namespaces)))):
            return [""] * len(objects)
        try:
            return await self._recognise(objects)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            return [""] * len(objects)

    async def _recognise(self, objects: Sequence[Seen]) -> list[str]:
        await self.look([plain(seen.reference.TypeDefinition) for seen in objects])
        names = [self._by_type(plain(seen.reference.TypeDefinition).to_string()) for seen in objects]
        bare = [place for place, what in enumerate(names) if not what]
        found = await children(self._connection, [objects[place].node for place in bare], describe=_INTERFACES)
        own = [[plain(reference.NodeId) for reference in one.references] for one in found]
        await self.look([node for nodes in own for node in nodes])
        for place, nodes in zip(bare, own, strict=True):
            named = [self._by_type(node.to_string()) for node in nodes]
            names[place] = next(filter(None, named), "") or self._add_in(objects[place].reference)
        return names

    def family(self, index: int) -> str:
        """Short name of the specification behind a namespace index, "" when none is."""
        spaces = self._connection.namespaces
        uri = spaces[index] if 0 < index < len(spaces) else ""
        name = uri.removeprefix(FOUNDATION).strip("/") if uri.startswith(FOUNDATION) else ""
        return "" if name.lower().rstrip("s").endswith("example") else name

    async def look(self, types: Sequence[ua.NodeId]) -> None:
        """Know these types and all that they are derived from. Raises DriverError when the session is lost."""
        new = {node.to_string(): node for node in types if node.NamespaceIndex}
        new = {key: node for key, node in new.items() if key not in self._types}
        unnamed = {key: node for key, node in new.items() if key not in self._names}
        names = await read(self._connection, [(node, ua.AttributeIds.BrowseName) for node in unnamed.values()])
        for key, name in zip(unnamed, names, strict=True):
            self._names[key] = str(getattr(name, "Name", "") or key)
        for _ in range(MOST_LEVELS):
            new = {key: node for key, node in new.items() if key not in self._types and node.NamespaceIndex}
            if not new or len(self._types) > MOST_TYPES:
                return
            nodes = list(new.values())
            above = await children(self._connection, nodes, describe=_ABOVE)
            interfaces = await children(self._connection, nodes, describe=_INTERFACES)
            following: dict[str, ua.NodeId] = {}
            for key, node, up, has in zip(new, nodes, above, interfaces, strict=True):
                for reference in (*up.references, *has.references):
                    other = plain(reference.NodeId)
                    following[other.to_string()] = other
                    self._names.setdefault(other.to_string(), str(reference.BrowseName.Name or other.to_string()))
                ups = [plain(reference.NodeId).to_string() for reference in up.references]
                had = tuple(plain(reference.NodeId).to_string() for reference in has.references)
                self._types[key] = _Type(node, ups[0] if ups else "", had)
            new = following

    def chain(self, key: str) -> list[ua.NodeId]:
        """A known type and what it is derived from, itself first."""
        found: list[ua.NodeId] = []
        while (held := self._types.get(key)) is not None and len(found) < MOST_LEVELS:
            found.append(held.node)
            key = held.above
        return found

    def _by_type(self, key: str) -> str:
        chain = self.chain(key)
        for node in chain:
            if family := self.family(node.NamespaceIndex):
                return self._labelled(family, node.to_string(), key)
        for node in chain:
            for interface in self._types[node.to_string()].interfaces:
                for one in self.chain(interface):
                    if family := self.family(one.NamespaceIndex):
                        return self._labelled(family, one.to_string(), key)
        return ""

    def _labelled(self, family: str, declared: str, own: str) -> str:
        name = short(self._names[declared])
        return f"{family} {name}" if declared == own else f"{family} {name} ({self._names[own]})"

    def _add_in(self, reference: Any) -> str:
        """A building block whose type says nothing, but whose name a specification defines."""
        family = self.family(reference.BrowseName.NamespaceIndex)
        is_add_in = reference.ReferenceTypeId == ua.NodeId(HAS_ADD_IN)
        return f"{family} {reference.BrowseName.Name}" if family and is_add_in else ""


def short(name: str) -> str:
    """A type's name without the word that says that it is one."""
    return name.removesuffix("Type") or name


def plain(node: ua.NodeId) -> ua.NodeId:
    """An expanded node id of this server as a node id; null when there is none."""
    if node is None:
        return ua.NodeId()
    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


class States:
    """The names of a state machine's numbered states, by its type.

    Source: OPC 10000-16 §4.4.5 (StateMachineType), §4.4.8 (StateType, StateNumber), §4.4.7 (FiniteStateVariableType).
    """

    STATE_TYPES = (2307, 2309, 15109)
    """StateType, InitialStateType, ChoiceStateType."""

    def __init__(self, connection: ServerConnection, companions: Companions) -> None:
        self._connection = connection
        self._companions = companions
        self._known: dict[str, Mapping[int, str]] = {}

    async def names(self, number: ua.NodeId) -> Mapping[int, str]:
        """Name by number of the states that a `Number` below a state variable counts; empty when it is none.

        Raises:
            DriverError: The session is lost.
        """
        try:
            return await self._names(number)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            return {}

    async def _names(self, number: ua.NodeId) -> Mapping[int, str]:
        back = partial(description, kind=ua.ObjectIds.Aggregates, direction=ua.BrowseDirection.Inverse, classes=0)
        node, machine = number, None
        for _ in range(2):  # the state variable, then the machine that has it
            above = (await children(self._connection, [node], describe=back))[0].references
            if not above:
                return {}
            machine = above[0]
            node = plain(machine.NodeId)
        definition = plain(machine.TypeDefinition) if machine is not None else ua.NodeId()
        key = definition.to_string()
        if key not in self._known:
            self._known[key] = await self._states(definition)
        return self._known[key]

    async def _states(self, definition: ua.NodeId) -> dict[int, str]:
        await self._companions.look([definition])
        chain = self._companions.chain(definition.to_string())
        has = partial(description, kind=ua.ObjectIds.HasComponent, classes=int(ua.NodeClass.Object))
        found = await children(self._connection, chain, describe=has)
        states = [one for each in reversed(found) for one in each.references if _is_state(one)]
        owns = partial(description, kind=ua.ObjectIds.HasProperty, classes=int(ua.NodeClass.Variable))
        properties = await children(self._connection, [plain(one.NodeId) for one in states], describe=owns)
        wanted = [
            (str(state.DisplayName.Text or state.BrowseName.Name), plain(reference.NodeId))
            for state, each in zip(states, properties, strict=True)
            for reference in each.references
            if reference.BrowseName.Name == "StateNumber"
        ]
        values = await read(self._connection, [(node, ua.AttributeIds.Value) for _, node in wanted])
        named = {int(value): name for (name, _), value in zip(wanted, values, strict=True) if isinstance(value, int)}
        return dict(sorted(named.items()))


def _is_state(reference: Any) -> bool:
    definition = reference.TypeDefinition
    return not definition.NamespaceIndex and definition.Identifier in States.STATE_TYPES
