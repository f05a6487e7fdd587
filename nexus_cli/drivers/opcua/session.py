"""An open link to one OPC UA server: read, write, subscribe, browse within the server's limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from nexus_cli.drivers.base import (
    EVERYTHING,
    Browsed,
    BrowseOptions,
    DriverError,
    Point,
    ReadResult,
    Request,
    Scope,
    Sink,
)
from nexus_cli.drivers.opcua import browse, write
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.connection import ServerConnection
from nexus_cli.drivers.opcua.limits import Limits
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.drivers.opcua.publisher import Publisher
from nexus_cli.drivers.opcua.reads import Reader
from nexus_cli.drivers.opcua.subscription import OpcuaSubscription
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

SHUTTING_DOWN = 4
"""ServerState Shutdown. Source: OPC 10000-5 §12.6. In any other state a server may well have values."""
CHECK_S = 5.0


class OpcuaSession:
    """See `drivers.base.Session`."""

    def __init__(self, channel: Channel, *, limits: Limits, session_timeout_ms: int) -> None:
        self.channel = channel
        self.connection = ServerConnection(channel, limits=limits)
        self._reader = Reader(self.connection)
        self._types = write.VariantTypes(channel)
        self.doubts: Sequence[str] = ()
        # Tokens and sessions may live for seconds: each check renews what is near its end.
        self.check_s = min(CHECK_S, session_timeout_ms / 1000 / 3, channel.lifetime_s / 8)
        self.want_check: Callable[[], None] = lambda: None
        self._publisher = Publisher(channel, session_timeout_ms=session_timeout_ms, ended=lambda: self.want_check())

    @property
    def limits(self) -> Limits:
        """Largest numbers per call, as far as they are known by now."""
        return self.connection.limits

    async def start(self) -> None:
        """Read the server's namespaces and limits. Raises DriverError."""
        await self.connection.start()

    async def read(self, request: Request) -> ReadResult:
        """See `Session.read`. A server that takes fewer nodes than asked is asked again in smaller pieces."""
        return await self._reader.read(request)

    async def write(self, device: str, point: Point, value: Value) -> None:
        """See `Session.write`; the value goes out with exactly the node's own type."""
        connection, address = self.connection, write.target(point)
        node = node_id(address, connection.namespaces)
        if node is None and await connection.look_for_namespaces():
            node = node_id(address, connection.namespaces)
        if node is None:
            raise DriverError(
                f"{point.address}: the server has no such namespace",
                scope=Scope.ITEM,
                retriable=False,
                reason=Reason.ILLEGAL_ADDRESS,
            )
        await write.write(self.channel, self._types, node, address.range, point, value)

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> OpcuaSubscription:
        """See `Session.subscribe`. One server-side subscription per distinct publishing interval of the link."""
        subscription = OpcuaSubscription(self._reader, self._publisher, device=device, sink=sink)
        try:
            await subscription.start(points, interval_ms)
        except DriverError:
            await subscription.close()
            raise
        return subscription

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """Nothing to do: nodes are resolved per request, and a request that is gone takes its bytes with it."""

    async def check(self) -> None:
        """Read the server's state, and see that the publish requests still come back."""
        found = await self.connection.state()
        await self._publisher.check()
        await self._publisher.prepare_structures(self.connection.structures)
        if found.value == SHUTTING_DOWN:
            raise DriverError(f"{self.channel.endpoint} is shutting down", scope=Scope.SESSION)

    def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """See `Session.browse`: every variable below `start` (Objects when empty), or on from where a walk ended."""
        return browse.browse(self.connection, options)

    async def close(self) -> None:
        """See `Session.close`."""
        self._publisher.close()
        await self.channel.close()

    def counters(self) -> Mapping[str, int]:
        """What was lost or unusual on this link: queue overflows, answers that needed the library's decoder."""
        return self._publisher.counters()
