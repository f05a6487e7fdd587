"""asyncua's server with what a simulator needs: quick start, limits that are enforced, stalls, array ranges.

Source: asyncua 2.1.0, server/server.py, server/binary_server_asyncio.py, server/internal_server.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Mapping
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_server import InternalServer

_template: dict[Any, Any] = {}
"""The standard address space, built once a process: 1 s and 40 MB for each server would be too much for a plant."""

MUTATED = (2254, 2255, 2256, 2260)
"""ServerArray, NamespaceArray, ServerStatus, BuildInfo: asyncua changes their values in place."""


class Users:
    """Accepts exactly these names and passwords; without any, everyone."""

    def __init__(self, users: Mapping[str, str] | None) -> None:
        self._users = users

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """asyncua's hook: None refuses."""
        if self._users is None:
            return User(role=UserRole.User)
        if username is None or self._users.get(username) != password:
            return None
        return User(role=UserRole.User, name=username)


class QuickServer(InternalServer):  # type: ignore[misc, unused-ignore]
    """Shares the standard's type nodes among the servers of a process and copies only what a server changes."""

    time_task: asyncio.Task[None] | None
    shared = True
    """False for a server that adds types of its own: their references would show on every other server."""

    async def load_standard_address_space(self, shelf_file: Any = None) -> None:
        """Take the standard address space from the template."""
        if not self.shared:
            await super().load_standard_address_space(None)
            return
        if not _template:
            await super().load_standard_address_space(None)
            _template.update(self.aspace._nodes)
        own = {key: _own(node) for key, node in _instances(_template).items()}
        for number in MUTATED:
            own[ua.NodeId(number)] = copy.deepcopy(own[ua.NodeId(number)])
        self.aspace._nodes = {**_template, **own}

    async def stop(self) -> None:
        """Stop at once: asyncua waits for its clock's next second, which is a minute for a plant's servers."""
        if self.time_task is not None:
            self.time_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.time_task
            self.time_task = None
        await super().stop()


def _own(node: NodeData) -> NodeData:
    """A node whose attributes and references can change without the template's; values are replaced, not changed."""
    found = NodeData(node.nodeid)
    found.attributes = {number: AttributeValue(attribute.value) for number, attribute in node.attributes.items()}
    found.references = list(node.references)
    found.call = node.call
    return found


def _instances(nodes: Mapping[Any, Any]) -> dict[Any, Any]:
    """Root, Objects and all below: what differs between two servers."""
    found: dict[Any, Any] = {}
    waiting = [ua.NodeId(ua.ObjectIds.RootFolder), ua.NodeId(ua.ObjectIds.ObjectsFolder)]
    hierarchical = {
        ua.ObjectIds.Organizes,
        ua.ObjectIds.HasComponent,
        ua.ObjectIds.HasProperty,
        ua.ObjectIds.HasOrderedComponent,
    }
    types = ua.NodeId(ua.ObjectIds.TypesFolder)
    while waiting:
        node = waiting.pop()
        if node in found or node not in nodes or node == types:
            continue
        found[node] = nodes[node]
        waiting += [
            reference.NodeId
            for reference in nodes[node].references
            if reference.IsForward and reference.ReferenceTypeId.Identifier in hierarchical
        ]
    return found


class _Gate:
    """A transport that holds what is written while the server is stalled."""

    def __init__(self, transport: Any, faults: Faults) -> None:
        self._transport = transport
        self._faults = faults
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if self._faults.stalled:
            self._held.append(data)
        else:
            self._transport.write(data)

    def release(self) -> None:
        held, self._held = self._held, []
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Faults:
    """What goes wrong on demand, and how many Reads were asked; shared by all connections of a server."""

    def __init__(self) -> None:
        self.stalled = False
        self.reads = 0
        self.max_nodes_per_read = 0
        self.max_items_per_call = 0
        self.max_subscriptions = 0
        self.max_items = 0


class _Connection(OPCUAProtocol):  # type: ignore[misc, unused-ignore]
    def __init__(self, faults: Faults, **options: Any) -> None:
        super().__init__(**options)
        self._faults = faults
        self._gate: _Gate | None = None
        self._waiting = b""

    def connection_made(self, transport: Any) -> None:
        self._gate = _Gate(transport, self._faults)
        super().connection_made(self._gate)

    def data_received(self, data: bytes) -> None:
        if self._faults.stalled:
            self._waiting += data
        else:
            super().data_received(data)

    def release(self) -> None:
        """Continue after a stall, with late answers to the requests of that time."""
        waiting, self._waiting = self._waiting, b""
        if self._gate is not None:
            self._gate.release()
        if waiting:
            super().data_received(waiting)


class _Binary(BinaryServer):  # type: ignore[misc, unused-ignore]
    def __init__(self, faults: Faults, *options: Any) -> None:
        super().__init__(*options)
        self.faults = faults

    def _make_protocol(self) -> OPCUAProtocol:
        return _Connection(
            self.faults,
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )


class FaultyServer(Server):  # type: ignore[misc, unused-ignore]
    """A server whose faults can be switched."""

    def __init__(self, *, users: Mapping[str, str] | None, shared: bool = True) -> None:
        internal = QuickServer(user_manager=Users(users))
        internal.shared = shared
        super().__init__(iserver=internal)
        self.faults = Faults()
        self._released: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen, with our own connections and the limits in force."""
        await self._setup_server_nodes()
        await self.iserver.start()
        self._enforce()
        host, port = self._get_bind_socket_info()
        self.bserver = _Binary(self.faults, self.iserver, host, port, self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            await self.iserver.stop()
            raise

    def stall(self, seconds: float | None) -> None:
        """Answer nothing for so long, and late after it; None ends it at once."""
        if self._released is not None:
            self._released.cancel()
            self._released = None
        if seconds is None:
            self._release()
            return
        self.faults.stalled = True
        self._released = asyncio.get_running_loop().call_later(seconds, self._release)

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return len(self.bserver.clients) if self.bserver is not None else 0

    def drop_connections(self) -> None:
        """Reset every connection."""
        for client in list(self.bserver.clients if self.bserver is not None else ()):
            if client.transport is not None:
                client.transport.abort()

    async def stop(self) -> None:
        """Stop listening; frees the port."""
        self.stall(None)
        self.drop_connections()
        await super().stop()
        # asyncua leaves sessions with subscriptions, and their tasks, to wait for a client that comes back
        for session in list(self.iserver._external_sessions.values()):
            await session.close_session(True)

    def _release(self) -> None:
        self.faults.stalled = False
        for client in list(self.bserver.clients if self.bserver is not None else ()):
            client.release()

    def _enforce(self) -> None:
        service, faults = self.iserver.attribute_service, self.faults
        plain_read = service.read
        subscriptions = self.iserver.subscription_service
        plain_create = subscriptions.create_monitored_items

        def read(parameters: ua.ReadParameters) -> list[ua.DataValue]:
            faults.reads += 1
            most = faults.max_nodes_per_read
            if most and len(parameters.NodesToRead) > most:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            answers = plain_read(parameters)
            for position, wanted in enumerate(parameters.NodesToRead):
                if wanted.IndexRange:
                    answers[position] = cut(answers[position], wanted.IndexRange)
            return list(answers)

        async def create(parameters: ua.CreateMonitoredItemsParameters, *rest: Any, **named: Any) -> Any:
            most = faults.max_items_per_call
            if most and len(parameters.ItemsToCreate) > most:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            room = len(parameters.ItemsToCreate)
            if faults.max_items:
                held = sum(len(one.monitored_item_srv._monitored_items) for one in subscriptions.subscriptions.values())
                room = max(0, faults.max_items - held)
            parameters.ItemsToCreate, refused = parameters.ItemsToCreate[:room], parameters.ItemsToCreate[room:]
            full = ua.MonitoredItemCreateResult()
            full.StatusCode = ua.StatusCode(ua.StatusCodes.BadTooManyMonitoredItems)
            return [*(await plain_create(parameters, *rest, **named)), *(full for _ in refused)]

        plain_subscribe = subscriptions.create_subscription

        async def subscribe(*rest: Any, **named: Any) -> Any:
            if faults.max_subscriptions and len(subscriptions.subscriptions) >= faults.max_subscriptions:
                raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
            return await plain_subscribe(*rest, **named)

        service.read = read
        subscriptions.create_subscription = subscribe
        subscriptions.create_monitored_items = create


def cut(found: ua.DataValue, text: str) -> ua.DataValue:
    """Apply a NumericRange of one dimension, which asyncua's server leaves out. Source: OPC 10000-4 §7.27."""
    value = found.Value.Value if found.Value is not None else None
    if "," in text or not isinstance(value, list):
        return found
    first, _, last = text.partition(":")
    chosen = value[int(first) : int(last or first) + 1]
    if not chosen:
        return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadIndexRangeNoData))
    return ua.DataValue(
        ua.Variant(chosen, found.Value.VariantType, is_array=True),
        StatusCode=found.StatusCode,
        SourceTimestamp=found.SourceTimestamp,
    )


def address_space(server: Server) -> AddressSpace:
    """The server's nodes."""
    return server.iserver.aspace
