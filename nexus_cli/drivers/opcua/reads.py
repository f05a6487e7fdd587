"""Reading values: a request is encoded once for a connection, and cut into pieces where the server takes no more.

Source: OPC 10000-4 §5.11.2 (Read).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from weakref import WeakKeyDictionary

from nexus_cli.drivers.base import DriverError, Fault, ReadResult, Request, Scope
from nexus_cli.drivers.opcua.codec import DataValue, DecodeError
from nexus_cli.drivers.opcua.connection import ServerConnection
from nexus_cli.drivers.opcua.groups import ReadPlan
from nexus_cli.drivers.opcua.layout import Layout, layout_of
from nexus_cli.drivers.opcua.nodes import READ_REQUEST, node_id, read_body, read_value_id
from nexus_cli.drivers.opcua.status import TOO_MUCH, fault_of
from nexus_cli.drivers.opcua.values import Convert, kinds_of
from nexus_cli.drivers.read_result import NO_FAULTS, LazyValues
from nexus_cli.wire.sample import Reason, Value

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
        kinds: For each point the types that are its own as they are; None where some point is no single number.
        layout: Of the last answer; None until one can be taken as a column.
    """

    pieces: list[tuple[bytes, Sequence[int]]]
    converters: list[Convert]
    faults: dict[int, Fault] = field(default_factory=dict)
    generation: int = 0
    kinds: Sequence[frozenset[int]] | None = None
    layout: Layout | None = None


class Reader:
    """Reads on one connection.

    Attributes:
        connection: Where they go.
    """

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self._prepared: WeakKeyDictionary[ReadPlan, Prepared] = WeakKeyDictionary()

    async def read(self, request: Request) -> ReadResult:
        """See `Session.read`. A server that takes fewer nodes than asked is asked again in smaller pieces."""
        prepared = self._prepare(request)
        if prepared.faults and time.monotonic() >= self.connection.look_again_s:
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
                self.connection.lower_reads(size // 2)
                prepared = self._prepare(request)

    async def _prove(self, refused: DriverError) -> None:
        """After a refusal of a whole service that may be of what was asked, or of the session: a session that does not
        even read the server's state is over. Raises DriverError with scope SESSION."""
        try:
            await self.connection.state()
        except DriverError as again:
            if refused.transient and again.transient:
                return  # a session that has to wait stays open
            raise self.connection.channel.lose(
                DriverError(refused.message, scope=Scope.SESSION, reason=Reason.LINK_LOST, code=refused.code)
            ) from None

    async def _read_pieces(self, request: Request, prepared: Prepared) -> ReadResult:
        count = len(request.points)
        values: list[Value] = [None] * count
        faults = dict(prepared.faults)
        times: list[int | None] = [None] * count
        timed = False
        for body, positions in prepared.pieces:
            data, at = await self.connection.channel.request("read", READ_REQUEST, body)
            if prepared.layout is not None and (column := prepared.layout.take(memoryview(data)[at:])) is not None:
                lazy = LazyValues(count, partial(self._values, prepared, at), data)
                return ReadResult(lazy, NO_FAULTS, column[1], column[0])
            answers = self.connection.values(data, at, len(positions))
            for found in answers:
                if found.kind == 22:
                    await self.connection.learn(found)
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
                value = _converted(prepared.converters[position], found)
                if isinstance(value, Fault):
                    faults[position] = value
                    continue
                values[position] = value
        if prepared.kinds is not None and not faults:
            prepared.layout = layout_of(memoryview(data)[at:], prepared.kinds)
        return ReadResult(values, faults, times if timed else None)

    def _values(self, prepared: Prepared, at: int, data: bytes) -> list[Value]:
        """The values of an answer that was taken as a column."""
        converters = prepared.converters
        answers = self.connection.values(data, at, len(converters))
        # none of them is a fault: their types are those of their points
        return [convert(found) for convert, found in zip(converters, answers, strict=True)]  # type: ignore[misc]

    def _prepare(self, request: Request) -> Prepared:
        plan: ReadPlan = request.detail
        prepared = self._prepared.get(plan)
        if prepared is None or prepared.generation != self.connection.generation:
            prepared = self._prepared[plan] = self._build(request, plan)
        return prepared

    def _build(self, request: Request, plan: ReadPlan) -> Prepared:
        faults: dict[int, Fault] = {}
        items, positions = [], []
        for position, address in enumerate(plan.nodes):
            node = node_id(address, self.connection.namespaces)
            if node is None:
                faults[position] = _NO_NAMESPACE
                continue
            items.append(read_value_id(node, index=address.range))
            positions.append(position)
        size = max(1, self.connection.limits.read)
        cuts = [*range(0, len(items), size), len(items)]
        pieces: list[tuple[bytes, Sequence[int]]] = [
            (read_body(items[start:end]), positions[start:end]) for start, end in pairwise(cuts)
        ]
        return Prepared(
            pieces,
            [self.connection.converter(point) for point in request.points],
            faults,
            self.connection.generation,
            kinds_of(request.points) if len(pieces) == 1 and not faults else None,
        )

    async def _look_again(self, request: Request, prepared: Prepared) -> Prepared:
        return self._prepare(request) if await self.connection.look_for_namespaces() else prepared


def _converted(convert: Convert, found: DataValue) -> Value | Fault:
    """A decoded value in its point's type; what can't be decoded is a fault of its own."""
    try:
        return convert(found)
    except (DecodeError, IndexError, TypeError, ValueError, struct.error):
        return _DECODE_FAULT
