"""An open link to one OPC UA server: read, write, subscribe, browse within the server's limits."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NoReturn
from weakref import WeakKeyDictionary

from asyncua import ua

from nexus_cli.drivers.base import (
    EVERYTHING,
    Browsed,
    BrowseOptions,
    DriverError,
    Fault,
    Point,
    ReadResult,
    Request,
    Scope,
    Sink,
)
from nexus_cli.drivers.opcua import browse, write
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.codec import DataValue, DecodeError, Structure, read_data_value
from nexus_cli.drivers.opcua.groups import ReadPlan
from nexus_cli.drivers.opcua.limits import Limits
from nexus_cli.drivers.opcua.nodes import READ_REQUEST, node_id, read_body, read_value_id
from nexus_cli.drivers.opcua.publisher import Publisher
from nexus_cli.drivers.opcua.status import TOO_MUCH, fault_of, name_of, service_error
from nexus_cli.drivers.opcua.structures import StructureCodec
from nexus_cli.drivers.opcua.subscription import OpcuaSubscription
from nexus_cli.drivers.opcua.values import Convert, converter
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

NAMESPACE_ARRAY = "i=2255"
OPERATION_LIMITS: dict[str, str] = {
    "read": "i=11705",
    "write": "i=11707",
    "browse": "i=11710",
    "monitor": "i=11714",
}
"""Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, …PerWrite, …PerBrowse, MaxMonitoredItemsPerCall."""
STATE = 2259
"""Server_ServerStatus_State. Source: OPC 10000-6 annex A.3 (NodeIds)."""
SHUTTING_DOWN = 4
"""ServerState Shutdown. Source: OPC 10000-5 §12.6. In any other state a server may well have values."""
CHECK_S = 5.0
ACCESS_DENIED = 0x801F0000
NAMESPACE_LOOK_S = 10.0
"""How often an unknown namespace URI is looked up again: servers load their projects after they answer."""

_DECODE_FAULT = Fault(Reason.DECODE_ERROR)
_NO_NAMESPACE = Fault(Reason.ILLEGAL_ADDRESS, 0x80340000)


@dataclass(slots=True)
class Prepared:
    """A request as this connection sends it.

    Attributes:
        pieces: Encoded parameters, and positions in the request that they answer.
        converters: One per point.
        faults: By position, what can't be asked at all (unknown namespace).
        generation: Limits and namespaces that it was made for.
    """

    pieces: list[tuple[bytes, Sequence[int]]]
    converters: list[Convert]
    faults: dict[int, Fault] = field(default_factory=dict)
    generation: int = 0


class OpcuaSession:
    """See `drivers.base.Session`."""

    def __init__(self, channel: Channel, *, limits: Limits, session_timeout_ms: int) -> None:
        self.channel = channel
        self.limits = limits
        self.structures = StructureCodec(channel.call, channel.client)
        self.namespaces: list[str] = []
        self._prepared: WeakKeyDictionary[ReadPlan, Prepared] = WeakKeyDictionary()
        self._generation = 0
        self._unknown_look_s = 0.0
        self._types = write.VariantTypes(channel)
        self.doubts: Sequence[str] = ()
        # Tokens and sessions may live for seconds: each check renews what is near its end.
        self.check_s = min(CHECK_S, session_timeout_ms / 1000 / 3, channel.lifetime_s / 8)
        self.want_check: Callable[[], None] = lambda: None
        self._publisher = Publisher(channel, session_timeout_ms=session_timeout_ms, ended=lambda: self.want_check())

    async def start(self) -> None:
        """Read the server's namespaces and limits."""
        names = list(OPERATION_LIMITS)
        nodes = [NAMESPACE_ARRAY, *OPERATION_LIMITS.values()]
        answers: list[DataValue] = []
        pieces = [nodes[:1], nodes[1:]]  # apart, so that a server that refuses the limits still gives names
        while pieces:
            piece = pieces.pop(0)
            try:
                answers += await self._read_nodes(piece)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    raise
                if error.code & 0xFFFF0000 == ACCESS_DENIED:
                    raise self.channel._lose(
                        DriverError(
                            f"{self.channel.endpoint} lets us read nothing ({name_of(error.code)}): it wants a user, or "
                            "ours has no rights",
                            scope=Scope.SESSION,
                            reason=Reason.ACCESS_DENIED,
                            code=error.code,
                        )
                    ) from None
                if len(piece) > 1:  # perhaps more nodes than the limit that is asked for
                    pieces = [[node] for node in piece]
                else:
                    answers.append(DataValue(0, None, error.code, None, False))
        self.namespaces = [str(name) for name in answers[0].value or []]
        found = {
            name: int(answer.value)
            for name, answer in zip(names, answers[1:], strict=False)
            if isinstance(answer.value, int) and not answer.status
        }
        self.limits = self.limits.within(found)

    async def read(self, request: Request) -> ReadResult:
        """See `Session.read`. A server that takes fewer nodes than asked is asked again in smaller pieces."""
        prepared = self._prepare(request)
        if prepared.faults and time.monotonic() >= self._unknown_look_s:
            prepared = await self._look_again(request, prepared)
        while True:
            try:
                return await self._read_pieces(request, prepared)
            except DriverError as error:
                size = max((len(positions) for _, positions in prepared.pieces), default=0)
                if error.scope is not Scope.REQUEST:
                    raise
                if error.reason is Reason.DECODE_ERROR:
                    raise  # one value that can't be read does not say that the server takes fewer
                if error.code & 0xFFFF0000 not in TOO_MUCH or size <= 1:
                    await self._prove(error)
                    raise
                self.lower_reads(size // 2)
                prepared = self._prepare(request)

    async def write(self, device: str, point: Point, value: Value) -> None:
        """See `Session.write`; the value goes out with exactly the node's own type."""
        address = write.target(point)
        node = node_id(address, self.namespaces)
        if node is None and await self.look_for_namespaces():
            node = node_id(address, self.namespaces)
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
        subscription = OpcuaSubscription(self, self._publisher, device=device, sink=sink)
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
        found = await self._state()
        await self._publisher.check()
        await self._publisher.prepare_structures(self.structures)
        if found.value == SHUTTING_DOWN:
            raise DriverError(f"{self.channel.endpoint} is shutting down", scope=Scope.SESSION)

    def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """See `Session.browse`: every variable below `start` (Objects when empty), or on from where a walk ended."""
        return browse.browse(self, options)

    async def close(self) -> None:
        """See `Session.close`."""
        self._publisher.close()
        await self.channel.close()

    def counters(self) -> Mapping[str, int]:
        """What was lost or unusual on this link: queue overflows, answers that needed the library's decoder."""
        return self._publisher.counters()

    async def _state(self) -> DataValue:
        body = read_body([read_value_id(_numeric(STATE))])
        data, at = await self.channel.request("read the server's state", READ_REQUEST, body)
        return self._values(data, at, 1)[0]

    async def _prove(self, refused: DriverError) -> None:
        """After a refusal of a whole service that may be of what was asked, or of the session: a session that does not
        even read the server's state is over. Raises DriverError with scope SESSION."""
        try:
            await self._state()
        except DriverError:
            raise self.channel._lose(
                DriverError(refused.message, scope=Scope.SESSION, reason=Reason.LINK_LOST, code=refused.code)
            ) from None

    async def _read_pieces(self, request: Request, prepared: Prepared) -> ReadResult:
        count = len(request.points)
        values: list[Value] = [None] * count
        faults = dict(prepared.faults)
        times: list[int | None] = [None] * count
        timed = False
        for body, positions in prepared.pieces:
            data, at = await self.channel.request("read", READ_REQUEST, body)
            answers = self._values(data, at, len(positions))
            for found in answers:
                if found.kind == 22:
                    await self.learn(found)
            for position, found in zip(positions, answers, strict=True):
                if found.source_us is not None:
                    times[position] = found.source_us
                    timed = True
                if found.status:
                    fault = fault_of(found.status)
                    if fault is not None:
                        faults[position] = fault
                        if not fault.uncertain:
                            continue
                value = self.convert(prepared.converters[position], found)
                if isinstance(value, Fault):
                    faults[position] = value
                    continue
                values[position] = value
        return ReadResult(values, faults, times if timed else None)

    def convert(self, convert: Convert, found: DataValue) -> Value | Fault:
        """A decoded value in its point's type; what can't be decoded is a fault of its own."""
        try:
            return convert(found)
        except (DecodeError, IndexError, TypeError, ValueError, struct.error):
            return _DECODE_FAULT

    async def learn(self, found: DataValue) -> None:
        """Load the definitions that the structures in a value need."""
        for value in found.value if isinstance(found.value, list) else (found.value,):
            if isinstance(value, Structure) and not self.structures.knows(value.type_id):
                await self.structures.prepare(value.type_id)

    def _prepare(self, request: Request) -> Prepared:
        plan: ReadPlan = request.detail
        prepared = self._prepared.get(plan)
        if prepared is None or prepared.generation != self._generation:
            prepared = self._prepared[plan] = self._build(request, plan)
        return prepared

    def _build(self, request: Request, plan: ReadPlan) -> Prepared:
        faults: dict[int, Fault] = {}
        items, positions = [], []
        for position, address in enumerate(plan.nodes):
            node = node_id(address, self.namespaces)
            if node is None:
                faults[position] = _NO_NAMESPACE
                continue
            items.append(read_value_id(node, index=address.range))
            positions.append(position)
        size = max(1, self.limits.read)
        cuts = [*range(0, len(items), size), len(items)]
        pieces: list[tuple[bytes, Sequence[int]]] = [
            (read_body(items[start:end]), positions[start:end]) for start, end in pairwise(cuts)
        ]
        return Prepared(pieces, [self.converter(point) for point in request.points], faults, self._generation)

    def converter(self, point: Point) -> Convert:
        """A point's compiled conversion with this connection's structures."""
        options = point.options
        return converter(
            point.type, str(options.get("index", "")), self.structures.decode, varying=bool(options.get("varying"))
        )

    def lower_reads(self, size: int) -> None:
        """Ask for at most `size` nodes a read from now on."""
        lowered = Limits(
            read=min(size, self.limits.read),
            write=self.limits.write,
            monitor=self.limits.monitor,
            browse=self.limits.browse,
            items=self.limits.items,
            filter=self.limits.filter,
        )
        self.limits = lowered
        self._generation += 1

    async def _look_again(self, request: Request, prepared: Prepared) -> Prepared:
        return self._prepare(request) if await self.look_for_namespaces() else prepared

    async def look_for_namespaces(self) -> bool:
        """Read the server's namespaces again, at most every `NAMESPACE_LOOK_S`; True when they are others now.

        Raises:
            DriverError: The server refuses it, or the session is lost.
        """
        if time.monotonic() < self._unknown_look_s:
            return False
        self._unknown_look_s = time.monotonic() + NAMESPACE_LOOK_S
        answer = (await self._read_nodes([NAMESPACE_ARRAY]))[0]
        found = [str(name) for name in answer.value or []]
        if not found or found == self.namespaces:
            return False
        self.namespaces = found
        self._generation += 1
        return True

    async def _read_nodes(self, nodes: Sequence[str]) -> list[DataValue]:
        items = [read_value_id(_numeric(int(node.removeprefix("i=")))) for node in nodes]
        data, at = await self.channel.request("read the server's limits", READ_REQUEST, read_body(items))
        return self._values(data, at, len(nodes))

    def _values(self, data: bytes, at: int, expected: int) -> list[DataValue]:
        try:
            (count,) = struct.unpack_from("<i", data, at)
            at += 4
            if count != expected:
                self._garbled(f"{count} values for {expected} nodes")
            answers = []
            for _ in range(count):
                found, at = read_data_value(data, at)
                answers.append(found)
            return answers
        except (DecodeError, IndexError, struct.error, RecursionError) as error:
            self._garbled(str(error))

    def _garbled(self, why: str) -> NoReturn:
        # Values can't be told apart any more; one piece after the other will find the node that does it.
        error = service_error(0x80B90000, "read")
        raise DriverError(
            f"{self.channel.endpoint}: an answer can't be read ({why})",
            scope=Scope.REQUEST,
            reason=Reason.DECODE_ERROR,
            code=error.code,
        )


def _numeric(number: int) -> ua.NodeId:
    return ua.NodeId(number)
