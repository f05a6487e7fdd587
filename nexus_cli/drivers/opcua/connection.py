"""What a session, its subscriptions and a browse share: the channel, and what is known of the server behind it.

Source: OPC 10000-4 §5.11.2 (Read), OPC 10000-5 §6.3.11 (OperationLimits).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.codec import DataValue, DecodeError, Structure, read_data_value
from nexus_cli.drivers.opcua.limits import Limits
from nexus_cli.drivers.opcua.nodes import READ_REQUEST, read_body, read_value_id
from nexus_cli.drivers.opcua.status import name_of, service_error
from nexus_cli.drivers.opcua.structures import StructureCodec
from nexus_cli.drivers.opcua.values import Convert, converter
from nexus_cli.wire.sample import Reason

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
ACCESS_DENIED = 0x801F0000
NAMESPACE_LOOK_S = 10.0
"""How often an unknown namespace URI is looked up again: servers load their projects after they answer."""


class ServerConnection:
    """An open channel to a server, with the server's limits, namespaces and structures.

    Attributes:
        channel: Where requests go.
        limits: Largest numbers per call; lowered where the server refuses more.
        namespaces: The server's namespace URIs, in its order.
        structures: Definitions of its structures, loaded when they are needed.
        generation: Changes with limits and namespaces: what was encoded for another one is out of date.
        look_again_s: When an unknown namespace may be looked up again, on the monotonic clock.
    """

    def __init__(self, channel: Channel, *, limits: Limits) -> None:
        self.channel = channel
        self.limits = limits
        self.namespaces: list[str] = []
        self.structures = StructureCodec(channel)
        self.generation = 0
        self.look_again_s = 0.0

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
                    raise self.channel.lose(
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

    def converter(self, point: Point) -> Convert:
        """A point's compiled conversion with this connection's structures."""
        options = point.options
        return converter(
            point.type, str(options.get("index", "")), self.structures.decode, varying=bool(options.get("varying"))
        )

    async def learn(self, found: DataValue) -> None:
        """Load the definitions that the structures in a value need."""
        for value in found.value if isinstance(found.value, list) else (found.value,):
            if isinstance(value, Structure) and not self.structures.knows(value.type_id):
                await self.structures.prepare(value.type_id)

    async def state(self) -> DataValue:
        """The server's state. Raises DriverError."""
        body = read_body([read_value_id(_numeric(STATE))])
        data, at = await self.channel.request("read the server's state", READ_REQUEST, body)
        return self.values(data, at, 1)[0]

    def lower_reads(self, size: int) -> None:
        """Ask for at most `size` nodes a read from now on."""
        self.limits = replace(self.limits, read=min(size, self.limits.read))
        self.generation += 1

    async def look_for_namespaces(self) -> bool:
        """Read the server's namespaces again, at most every `NAMESPACE_LOOK_S`; True when they changed.

        Raises:
            DriverError: The server refuses it, or the session is lost.
        """
        if time.monotonic() < self.look_again_s:
            return False
        self.look_again_s = time.monotonic() + NAMESPACE_LOOK_S
        answer = (await self._read_nodes([NAMESPACE_ARRAY]))[0]
        found = [str(name) for name in answer.value or []]
        if not found or found == self.namespaces:
            return False
        self.namespaces = found
        self.generation += 1
        return True

    async def _read_nodes(self, nodes: Sequence[str]) -> list[DataValue]:
        items = [read_value_id(_numeric(int(node.removeprefix("i=")))) for node in nodes]
        data, at = await self.channel.request("read the server's limits", READ_REQUEST, read_body(items))
        return self.values(data, at, len(nodes))

    def values(self, data: bytes, at: int, expected: int) -> list[DataValue]:
        """The values of a Read's answer. Raises DriverError, REQUEST, when there are not `expected` of them."""
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
        # The values can't be separated any more; reading in pieces finds the node that causes it.
        error = service_error(0x80B90000, "read")
        raise DriverError(
            f"{self.channel.endpoint}: an answer can't be read ({why})",
            scope=Scope.REQUEST,
            reason=Reason.DECODE_ERROR,
            code=error.code,
        )


def _numeric(number: int) -> ua.NodeId:
    return ua.NodeId(number)
