"""A server that loads NodeSet2 files, in place of the real machine they describe.

Source: OPC 10000-6 annex F (UANodeSet).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from asyncua import ua

from nexus_cli.drivers.opcua.address import escape_uri, parse_node
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.drivers.opcua.simulator.faulty_server import FaultyServer
from tests.opcua_nodeset_values import Body, plain_value, structure, take_structures

NAMESPACE = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
STANDARD = "http://opcfoundation.org/UA/"
PERIOD_S = 20.0


class NodesetServer:
    """A running server with the nodes of its files.

    Attributes:
        host: Address it listens on.
        port: Port it listens on.
        endpoint: `opc.tcp://host:port`.
        nodes: Text of every variable that it loaded, `nsu=…;i=…`.
    """

    def __init__(self, server: FaultyServer, *, host: str) -> None:
        self.server = server
        self.host, self.port = host, 0
        self.nodes: tuple[str, ...] = ()
        self._names: list[str] = []
        self._moving: dict[str, tuple[ua.NodeId, ua.VariantType, float, float]] = {}
        self._ticker: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"opc.tcp://{self.host}:{self.port}"

    async def value(self, node: str) -> Any:
        """What the server holds for a node right now, as asyncua's value."""
        return await self.server.get_node(self._node(node)).read_value()

    async def set(self, node: str, value: object) -> None:
        """Hold a value in the node's own type from now on; a structure is a dict by member names.

        Raises:
            KeyError: The server has no such namespace.
            ValueError: The node's structure has optional members or is a union.
        """
        self._moving.pop(node, None)
        target = self._node(node)
        if isinstance(value, dict):
            data_type = await self.server.get_node(target).read_data_type()
            held = await structure(self.server, data_type, value)
            if held is None:
                raise ValueError(f"{node} holds no plain structure")
            await self._hold(target, held)
            return
        await self._write(target, await self._variant_type(target), value)

    async def move(self, node: str, *, low: float, high: float) -> None:
        """Let a number go up and down between two ends, changing ten times a second."""
        target = self._node(node)
        self._moving[node] = (target, await self._variant_type(target), low, high)
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick(), name=f"opcua nodeset {self.port}")

    def stall(self, seconds: float | None) -> None:
        """Answer nothing for so long. None ends it."""
        self.server.stall(seconds)

    def drop_connections(self) -> None:
        """Reset every connection."""
        self.server.drop_connections()

    async def close(self) -> None:
        """Stop listening and drop every client."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await self.server.stop()

    async def start(self, files: Sequence[Path], *, port: int, fill: bool) -> None:
        """Load the files and listen.

        Raises:
            OSError: A file can't be read, or the address can't be had.
            ValueError: A file is not a NodeSet, or one that it requires is missing.
        """
        loaded: list[ua.NodeId] = []
        bodies: list[tuple[list[str], dict[str, Body]]] = []
        for path in in_order(files):
            root = _loadable(path)
            bodies.append(([uri.text or "" for uri in root.iter(f"{NAMESPACE}Uri")], take_structures(root)))
            # Not strict: two files of one namespace may both bring its top folder, as those of OPC PLC do.
            loaded += await self.server.import_xml(
                xmlstring=ElementTree.tostring(root, encoding="unicode"), strict_mode=False, auto_load_definitions=False
            )
        self._names = await self.server.get_namespace_array()
        self.nodes = tuple(await self._variables(loaded))
        for uris, structures in bodies:
            for text, body in structures.items():
                await self.set(_with_uri(text, uris), body)
        if fill:
            await self._fill()
        self.server.set_endpoint(f"opc.tcp://{self.host}:{port}/")
        self.server.socket_address = (self.host, port)
        await self.server.start()
        self.port = self.server.bserver.port

    async def _variables(self, loaded: Sequence[ua.NodeId]) -> list[str]:
        found = []
        for identifier in loaded:
            node = self.server.get_node(identifier)
            if await node.read_node_class() == ua.NodeClass.Variable:
                rest = identifier.to_string().partition(";")[2]
                found.append(f"nsu={self._names[identifier.NamespaceIndex]};{rest}")
        return found

    def _node(self, text: str) -> ua.NodeId:
        found = node_id(parse_node(text), self._names)
        if found is None:
            raise KeyError(text)
        return found

    async def _variant_type(self, target: ua.NodeId) -> ua.VariantType:
        """The built-in type of a node; by its data type's ancestors when it has no value yet."""
        node = self.server.get_node(target)
        found = (await node.read_data_value(raise_on_bad_status=False)).Value
        if found is not None and found.VariantType not in (None, ua.VariantType.Null):
            return found.VariantType
        return await node.read_data_type_as_variant_type()

    async def _write(self, target: ua.NodeId, kind: ua.VariantType, value: object) -> None:
        await self._hold(target, ua.Variant(value, kind))

    async def _fill(self) -> None:
        """Give a value to every variable that the files leave without one."""
        for text in self.nodes:
            node = self.server.get_node(self._node(text))
            held = (await node.read_data_value(raise_on_bad_status=False)).Value
            if held is not None and held.Value is not None:
                continue
            found = await plain_value(self.server, node)
            if found is not None:
                await self._hold(node.nodeid, found)

    async def _hold(self, target: ua.NodeId, value: ua.Variant) -> None:
        stamped = ua.DataValue(value, SourceTimestamp=datetime.now(UTC))
        status = await self.server.iserver.aspace.write_attribute_value(target, ua.AttributeIds.Value, stamped)
        status.check()

    async def _tick(self) -> None:
        while True:
            share = 0.5 + 0.5 * math.sin(2 * math.pi * time.monotonic() / PERIOD_S)
            for target, kind, low, high in list(self._moving.values()):
                number = low + (high - low) * share
                await self._write(target, kind, number if kind.value in (10, 11) else round(number))
            await asyncio.sleep(0.1)


def _with_uri(text: str, uris: Sequence[str]) -> str:
    """A node id of a file, whose indexes count that file's NamespaceUris from 1, with the URI itself."""
    node = parse_node(text)
    return f"nsu={escape_uri(uris[node.index - 1])};{node.kind}={node.identifier}"


def in_order(files: Sequence[Path]) -> list[Path]:
    """The files so that each comes after the ones it requires.

    Raises:
        ValueError: A required model is in none of the files.
    """
    models: dict[str, list[Path]] = {}
    needs: dict[Path, set[str]] = {}
    for path in files:
        own, required = _models(path)
        for uri in own:
            models.setdefault(uri, []).append(path)
        needs[path] = required - own - {STANDARD}
    ordered: list[Path] = []

    def place(path: Path, above: tuple[Path, ...]) -> None:
        if path in ordered or path in above:
            return
        for uri in sorted(needs[path]):
            if uri not in models:
                raise ValueError(f"{path.name} requires the model {uri}, which is in none of the files")
            for required in models[uri]:
                place(required, (*above, path))
        ordered.append(path)

    for path in files:
        place(path, ())
    return ordered


def _loadable(path: Path) -> ElementTree.Element:
    """The file as asyncua takes it: without required models (`in_order` saw to them, and it fails on one without a
    date), and with publication dates of whole seconds."""
    root = ElementTree.fromstring(path.read_bytes())
    for model in root.iter(f"{NAMESPACE}Model"):
        published = model.get("PublicationDate")
        if published:
            model.set("PublicationDate", published[:19] + "Z")
        for required in model.findall(f"{NAMESPACE}RequiredModel"):
            model.remove(required)
    return root


def _models(path: Path) -> tuple[set[str], set[str]]:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path.name} is not XML ({error})") from None
    own = {str(model.get("ModelUri")) for model in root.iter(f"{NAMESPACE}Model")}
    return own, {str(model.get("ModelUri")) for model in root.iter(f"{NAMESPACE}RequiredModel")}


async def serve_nodeset(
    files: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    values: Mapping[str, object] | None = None,
    moving: Mapping[str, tuple[float, float]] | None = None,
    fill: bool = True,
) -> NodesetServer:
    """Serve the nodes of NodeSet2 files.

    Args:
        files: In any order; required models must be among them.
        host: Address to listen on.
        port: 0 takes a free one.
        values: Value by node text, held from the start.
        moving: Low and high by node text, for numbers that change.
        fill: Give zero, false or its own name to every variable that the files leave without a value.

    Raises:
        OSError, ValueError: As `NodesetServer.start`.
    """
    server = FaultyServer(users=None, shared=False)
    await server.init()
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    running = NodesetServer(server, host=host)
    await running.start(files, port=port, fill=fill)
    for node, value in (values or {}).items():
        await running.set(node, value)
    for node, (low, high) in (moving or {}).items():
        await running.move(node, low=low, high=high)
    return running
