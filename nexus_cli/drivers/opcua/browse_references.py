"""The references of nodes, whatever the server's limits: nodes a call, references an answer, continuation points.

Source: OPC 10000-4 §5.8.2 (Browse), §5.8.3 (BrowseNext), §7.38 (status codes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua import status
from nexus_cli.drivers.opcua.browse_types import description
from nexus_cli.drivers.opcua.connection import ServerConnection

NO_POINTS = 0x804B0000
"""Bad_NoContinuationPoints: the server has more to say, and nothing left to remember where it was."""
LOST_POINT = 0x804A0000
"""Bad_ContinuationPointInvalid: the server dropped the continuation point for another client."""
REFERENCES_A_CALL = 500
"""Asked for when the answer about a single node is too large for the server's messages."""


class Children(NamedTuple):
    """What a node refers to.

    Attributes:
        references: As the server gave them.
        refused: Why there are none, or not all: the status' name; "" when it answered.
        scarce: The server ran out of continuation points; asked alone, it may answer.
    """

    references: list[Any]
    refused: str = ""
    scarce: bool = False


async def children(
    connection: ServerConnection,
    nodes: Sequence[ua.NodeId],
    *,
    describe: Callable[[ua.NodeId], ua.BrowseDescription] = description,
) -> list[Children]:
    """The references of each node, same order. A limit that the server keeps to itself is learnt.

    Args:
        connection: An open one.
        nodes: Whose references.
        describe: Which of them; what is below a node when nothing else is said.

    Raises:
        DriverError: The session is lost, or the server refuses even a single node.
    """
    found: list[Children] = []
    most = 0
    while len(found) < len(nodes):
        piece = nodes[len(found) : len(found) + max(1, connection.limits.browse)]
        try:
            found += await _piece(connection, piece, most, describe)
        except DriverError as error:
            if error.scope is not Scope.REQUEST or (len(piece) <= 1 and most):
                raise
            if len(piece) > 1:
                connection.limits = replace(connection.limits, browse=len(piece) // 2)
            else:
                most = REFERENCES_A_CALL
    return found


async def _piece(
    connection: ServerConnection,
    nodes: Sequence[ua.NodeId],
    most: int,
    describe: Callable[[ua.NodeId], ua.BrowseDescription],
) -> list[Children]:
    parameters = ua.BrowseParameters()
    parameters.View.Timestamp = ua.get_win_epoch()
    parameters.RequestedMaxReferencesPerNode = most
    parameters.NodesToBrowse.extend(describe(node) for node in nodes)
    services = connection.channel.services
    results = await connection.channel.call("browse", lambda: services.browse(parameters))
    found = [list(result.References or []) for result in results]
    codes = [_code(result) for result in results]
    points = {place: result.ContinuationPoint for place, result in enumerate(results) if result.ContinuationPoint}
    while points:
        following = ua.BrowseNextParameters()
        following.ReleaseContinuationPoints = False
        following.ContinuationPoints = list(points.values())
        places = list(points)
        more = await connection.channel.call("browse", partial(services.browse_next, following))
        points = {}
        for place, result in zip(places, more, strict=True):
            found[place] += result.References or []
            codes[place] = _code(result)
            if result.ContinuationPoint:
                points[place] = result.ContinuationPoint
    return [
        Children(references, status.name_of(code) if code else "", code & 0xFFFF0000 in (NO_POINTS, LOST_POINT))
        for references, code in zip(found, codes, strict=True)
    ]


def _code(result: Any) -> int:
    """The status of one answer, 0 unless it is bad."""
    code = int(result.StatusCode.value) if result.StatusCode is not None else 0
    return code if code >> 31 else 0
