"""OPC UA devices that are a real server: all devices of one link, values from signals, faults on demand.

A value is computed when it is read and does not change between two beats of its tag's interval, so that what the
server held can be compared with what was stored. Only nodes that someone monitors are pushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from asyncua import Server, ua
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from nexus_cli.drivers.base import DriverError, points_of
from nexus_cli.drivers.opcua.address import NodeAddress
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.drivers.opcua.security import self_signed
from nexus_cli.drivers.opcua.simulator.faulty_server import FaultyServer, address_space
from nexus_cli.drivers.opcua.simulator.node import SimulatedNode
from nexus_cli.drivers.secrets import resolve
from nexus_cli.drivers.simulation.signals import signal_of
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

SECURED = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
URI = "urn:nexus:simulator"
SHORTEST_BEAT_MS = 20


class Identity(NamedTuple):
    """A server's certificate and key; hand it over to keep them over a restart."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


def new_identity() -> Identity:
    """Make a certificate for a simulator."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
    return Identity(self_signed(key, uri=URI, host=host, name="NEXUS simulator"), key)


class SimulatorServer:
    """A running simulator of one link.

    Attributes:
        host: Address it listens on.
        port: Port it listens on.
        endpoint: `opc.tcp://host:port`.
        identity: Its certificate; None without security.
    """

    def __init__(self, server: FaultyServer, *, host: str, identity: Identity | None) -> None:
        self.server = server
        self.host, self.port = host, 0
        self.identity = identity
        self._nodes: dict[str, SimulatedNode] = {}
        self._tags: dict[str, dict[str, tuple[SimulatedNode, str]]] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._started_s = time.monotonic()
        self._started = datetime.now(UTC)

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"opc.tcp://{self.host}:{self.port}"

    def connection(self) -> JsonObject:
        """Keys of `connection:` that lead here, in the place of the device's own."""
        return {"endpoint": self.endpoint}

    def values(self, device_path: str) -> dict[str, Value]:
        """What a reader would get right now, raw, by tag."""
        t_s = self._t_s()
        return {tag: node.value(tag_path, t_s=t_s) for tag, (node, tag_path) in self._tags[device_path].items()}

    def set(self, device_path: str, tag: str, value: Value) -> None:
        """Hold a tag at a raw value from now on; its signal stops."""
        node, tag_path = self._tags[device_path][tag]
        node.hold(tag_path, value, now=self._now())

    def set_status(self, device_path: str, tag: str, status: int) -> None:
        """Let the tag's node answer with this status code; 0 is good again."""
        node, _ = self._tags[device_path][tag]
        node.status = status
        node.pushed = -2

    def stall(self, seconds: float | None) -> None:
        """Answer nothing for so long; requests of that time are answered late. None ends it."""
        self.server.stall(seconds)

    def drop_connections(self) -> None:
        """Reset every connection."""
        self.server.drop_connections()

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return self.server.connected

    @property
    def requests(self) -> int:
        """Reads that were asked since the start."""
        return self.server.faults.reads

    def limit(self, *, read: int = 0, items: int = 0, subscriptions: int = 0, items_in_all: int = 0) -> None:
        """Refuse larger calls, and more subscriptions or items than these, from now on, without announcing it; 0 is no
        limit."""
        faults = self.server.faults
        faults.max_nodes_per_read, faults.max_items_per_call = read, items
        faults.max_subscriptions, faults.max_items = subscriptions, items_in_all

    async def close(self) -> None:
        """Stop listening and drop every client."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        await self.server.stop()

    async def start(self, devices: Sequence[DeviceConfig], *, port: int, seed: int) -> None:
        """Make the nodes and listen. Raises OSError when the address can't be had."""
        await self._build(devices, seed)
        self.server.set_endpoint(f"opc.tcp://{self.host}:{port}/")
        self.server.socket_address = (self.host, port)
        await self.server.start()
        self.port = self.server.bserver.port
        beat_ms = min((node.interval_ms for node in self._nodes.values()), default=1000)
        self._ticker = asyncio.get_running_loop().create_task(
            self._tick(max(beat_ms, SHORTEST_BEAT_MS) / 1000), name=f"opcua simulator {self.port}"
        )

    async def _build(self, devices: Sequence[DeviceConfig], seed: int) -> None:
        addresses = [(device, point, node_of(point)) for device in devices for point in points_of(device)]
        await _namespaces(self.server, [address for _, _, address in addresses])
        names = await self.server.get_namespace_array()
        folders: dict[str, list[tuple[str, SimulatedNode]]] = {}
        for device, point, address in addresses:
            identifier = node_id(address, names)
            if identifier is None:
                continue
            tag = device.tags[point.name]
            path = f"{device.path}/{point.name}"
            node = self._nodes.get(address.text)
            if node is None:
                if identifier in address_space(self.server)._nodes:
                    continue  # the standard's own, such as the server's time
                node = self._nodes[address.text] = SimulatedNode(identifier, tag)
            node.add(path, tag, signal_of(tag, path=path, seed=seed), str(point.options.get("index", "")))
            self._tags.setdefault(device.path, {})[point.name] = (node, path)
            folders.setdefault(device.path, []).append((point.name, node))
        for path, nodes in folders.items():
            folder = await self.server.nodes.objects.add_folder(1, path)
            for name, node in nodes:
                await node.publish(self.server, folder, name, self._now)

    async def _tick(self, beat_s: float) -> None:
        """Push what is monitored at the beat of the quickest tag."""
        while True:
            now = self._now()
            for node in self._nodes.values():
                await node.push(now)
            await asyncio.sleep(beat_s - (self._t_s() % beat_s))

    def _t_s(self) -> float:
        return time.monotonic() - self._started_s

    def _now(self) -> tuple[float, datetime]:
        t_s = self._t_s()
        return t_s, self._started + timedelta(seconds=t_s)


async def _namespaces(server: Server, addresses: Sequence[NodeAddress]) -> None:
    """Register what the addresses name: first indexes (so that `ns=3` is index 3), then URIs."""
    for index in range(2, max((address.index for address in addresses), default=0) + 1):
        await server.register_namespace(f"urn:nexus:simulator:{index}")
    for uri in dict.fromkeys(address.uri for address in addresses if address.uri):
        await server.register_namespace(uri)


async def serve(
    devices: Sequence[DeviceConfig],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    users: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    max_nodes_per_read: int = 0,
    max_items_per_call: int = 0,
) -> SimulatorServer:
    """Serve the devices of one link.

    Args:
        devices: At least one.
        host: Address to listen on.
        port: 0 takes a free one.
        seed: Makes random signals repeatable.
        users: Accepted names and passwords; left out, those of the connection, and everyone when it has none.
        identity: Certificate to show; made when left out and the connection asks for security.
        max_nodes_per_read: Largest Read; announced and enforced. 0 is no limit.
        max_items_per_call: Largest CreateMonitoredItems; announced and enforced. 0 is no limit.

    Raises:
        OSError: The address can't be had.
    """
    connection = devices[0].connection if devices else {}
    server = FaultyServer(users=_users(connection) if users is None else users)
    await server.init()
    await server.set_application_uri(URI)
    secured = identity is not None or (connection.get("security") or "None") != "None"
    if secured:
        identity = identity or new_identity()
        server.iserver.certificate, server.iserver.private_key = identity.certificate, identity.key
    server.set_security_policy(SECURED if secured else SECURED[:1])
    if users is not None:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    for number, most in ((11705, max_nodes_per_read), (11714, max_items_per_call)):
        if most:
            await server.get_node(ua.NodeId(number)).write_value(ua.Variant(most, ua.VariantType.UInt32))
    simulator = SimulatorServer(server, host=host, identity=identity)
    simulator.limit(read=max_nodes_per_read, items=max_items_per_call)
    await simulator.start(devices, port=port, seed=seed)
    return simulator


def _users(connection: Mapping[str, Any]) -> dict[str, str] | None:
    if not connection.get("user"):
        return None
    try:
        return {resolve(str(connection["user"])): resolve(str(connection.get("password") or ""))}
    except DriverError:  # the secret is not here: then a simulator asks for none
        return None
