"""The reported points of one device. The link's publish requests are in `publisher`.

Source: OPC 10000-4 §5.13 (monitored items).

See docs/decisions/0038.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Fault, Point, Promise, Request, Scope, Sink
from nexus_cli.drivers.chunked import chunks
from nexus_cli.drivers.opcua import monitor
from nexus_cli.drivers.opcua.groups import ReadPlan, node_of
from nexus_cli.drivers.opcua.nodes import node_id
from nexus_cli.drivers.opcua.publisher import Item, Publisher, Reports
from nexus_cli.drivers.opcua.reads import Reader
from nexus_cli.drivers.opcua.status import TOO_MANY_ITEMS, fault_of, name_of
from nexus_cli.drivers.opcua.stream import Stream
from nexus_cli.wire.sample import Reason

NO_NAMESPACE = Fault(Reason.ILLEGAL_ADDRESS, 0x80340000)
SILENT = Fault(Reason.DEVICE_ERROR, 0)
"""Of what changed without a report."""
UNREPORTED = "changed without a report"


class OpcuaSubscription:
    """See `drivers.base.Subscription`: the reported points of one device."""

    def __init__(self, reader: Reader, publisher: Publisher, *, device: str, sink: Sink) -> None:
        self.device = device
        self.sink = sink
        self.faults: dict[str, Fault] = {}
        self._reader, self._connection = reader, reader.connection
        self._publisher = publisher
        self._handles: dict[int, list[int]] = {}
        self._wanted: dict[str, tuple[Point, int]] = {}

    def notes(self) -> Sequence[str]:
        """See `Subscription.notes`."""
        counted = Counter(UNREPORTED if fault == SILENT else name_of(fault.code) for fault in self.faults.values())
        found = [f"{count} tag{'s' if count > 1 else ''}: {name}" for name, count in sorted(counted.items())]
        streams = self._publisher.streams
        shared = {streams[interval].shared for interval in self._handles if interval in streams} - {""}
        return found + [f"different intervals share one subscription ({name})" for name in sorted(shared)]

    async def start(self, points: Sequence[Point], interval_ms: Sequence[int]) -> None:
        """Have every point reported; what the server refuses is in `faults`. Raises DriverError."""
        self._wanted = {
            point.name: (point, max(1, int(interval))) for point, interval in zip(points, interval_ms, strict=True)
        }
        await self._ask(list(self._wanted.values()))

    async def retry(self) -> None:
        """See `Subscription.retry`."""
        if any(fault == NO_NAMESPACE for fault in self.faults.values()):
            await self._connection.look_for_namespaces()
        await self._ask([self._wanted[name] for name in self.faults])

    def promise(self, name: str) -> Promise:
        """See `Subscription.promise`. Source: OPC 10000-4 §7.22.2 (DataChangeFilter, deadband), §5.13.1 (sampling)."""
        point, interval = self._wanted[name]
        options = point.options
        within_s = (interval + float(options.get("sampling", interval))) / 1000
        if options.get("device_deadband_percent") is not None or options.get("trigger") == "Status":
            return Promise(within_s, math.inf)
        return Promise(within_s, float(options.get("device_deadband") or 0.0))

    async def distrust(self, names: Sequence[str]) -> None:
        """See `Subscription.distrust`. A node that was deleted and made again leaves its item behind, bound to nothing."""
        publisher, wanted = self._publisher, set(names)
        for interval, handles in self._handles.items():
            items = publisher.items
            ends = {one for one in handles if one in items and items[one].point.name in wanted}
            self._handles[interval] = [one for one in handles if one not in ends]
            stream = publisher.streams.get(interval)
            numbers = [] if stream is None else [stream.items.pop(one) for one in ends if one in stream.items]
            for handle in ends:
                del items[handle]
            if stream is not None:
                await self._delete(stream, numbers)
        self.faults.update(dict.fromkeys(names, SILENT))

    async def _delete(self, stream: Stream[Reports], numbers: Sequence[int]) -> None:
        for piece in chunks(numbers, self._connection.limits.monitor):
            try:
                await monitor.delete_items(self._publisher.channel, stream.id, piece)
            except DriverError as error:  # the server may have forgotten the item itself
                if error.scope is Scope.SESSION:
                    raise

    async def close(self) -> None:
        """See `Subscription.close`."""
        publisher = self._publisher
        for interval, handles in self._handles.items():
            stream = publisher.streams.get(interval)
            numbers = []
            for handle in handles:
                publisher.items.pop(handle, None)
                if stream is not None and handle in stream.items:
                    numbers.append(stream.items.pop(handle))
            if stream is None or publisher.channel.lost is not None:
                continue
            try:
                if stream.items:
                    for piece in chunks(numbers, self._connection.limits.monitor):
                        await monitor.delete_items(publisher.channel, stream.id, piece)
                else:
                    await publisher.drop(stream)
            except DriverError:
                continue  # the session is gone, and its items with it
        self._handles.clear()

    async def _ask(self, wanted: Sequence[tuple[Point, int]]) -> None:
        await self._learn_structures([point for point, _ in wanted if point.type.startswith("json")])
        by_interval: dict[int, list[Point]] = {}
        for point, interval in wanted:
            by_interval.setdefault(interval, []).append(point)
        for interval, points in by_interval.items():
            try:
                stream = await self._publisher.stream(interval)
            except DriverError as error:
                if error.scope in (Scope.SESSION, Scope.DEVICE):
                    raise
                self.faults.update({point.name: Fault(error.reason, error.code) for point in points})
                continue
            await self._add(stream, interval, points)
            if not stream.items:  # a server that allows few subscriptions should not spend one on nothing
                await self._drop(stream)

    async def _drop(self, stream: Stream[Reports]) -> None:
        try:
            await self._publisher.drop(stream)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise

    async def _add(self, stream: Stream[Reports], interval_ms: int, points: Sequence[Point]) -> None:
        connection, publisher = self._connection, self._publisher
        wanted: list[tuple[int, ua.NodeId, Point]] = []
        most = connection.limits.items
        for point in points:
            address = node_of(point)
            node = node_id(address, connection.namespaces)
            if node is None:
                self.faults[point.name] = NO_NAMESPACE
            elif most and len(publisher.items) >= most:
                self.faults[point.name] = Fault(Reason.DEVICE_ERROR, TOO_MANY_ITEMS)
            else:
                wanted.append((publisher.new_handle(Item(self, point, connection.converter(point))), node, point))
        handles = self._handles.setdefault(interval_ms, [])
        pace = monitor.Pace(interval_ms, stream.interval_ms)
        results = await monitor.create_items(publisher.channel, stream.id, wanted, pace=pace, limits=connection.limits)
        for (handle, _, point), found in zip(wanted, results, strict=True):
            if found >> 31:
                publisher.items.pop(handle, None)
                self.faults[point.name] = fault_of(found) or Fault(Reason.DEVICE_ERROR, found)
            else:
                handles.append(handle)
                stream.items[handle] = found
                self.faults.pop(point.name, None)

    async def _learn_structures(self, points: Sequence[Point]) -> None:
        for piece in chunks(points, self._connection.limits.read):
            plan = ReadPlan(tuple(node_of(point) for point in piece))
            try:
                await self._reader.read(Request(self.device, tuple(piece), plan, "Read structures"))
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
