"""Which reads to join: the points of one device, in order, in pieces of the configured limit. Pure.

The server's own limit is known only to a session, which cuts a request further when that is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.drivers.base import Point, Request
from nexus_cli.drivers.opcua.address import NodeAddress, parse_node
from nexus_cli.drivers.opcua.limits import chunks, configured
from nexus_cli.model.config import DeviceConfig


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ReadPlan:
    """Nodes of one Read, same order as the request's points; sessions keep its bytes as long as it lives."""

    nodes: tuple[NodeAddress, ...]


def node_of(point: Point) -> NodeAddress:
    """A point's node with its range. Raises AddressError when the normal form was not made by the kind."""
    node = parse_node(point.address)
    index = point.options.get("index", "")
    return NodeAddress(node.uri, node.index, node.kind, node.identifier, index) if index else node


def group(device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
    """Cut the points into requests of at most `max_read` nodes. `fill_gaps` has no meaning here: nodes have no gaps."""
    size = configured(device.connection).read
    return tuple(
        Request(
            device.path,
            tuple(piece),
            ReadPlan(tuple(node_of(point) for point in piece)),
            f"Read {len(piece)} node{'s' if len(piece) > 1 else ''}: {_span(piece)}",
        )
        for piece in chunks(points, size)
    )


def _span(points: Sequence[Point]) -> str:
    first = points[0].address
    return first if len(points) == 1 else f"{first} … {points[-1].address}"
