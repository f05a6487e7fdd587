"""Joins reads: the points of one device, in order, in pieces of the configured limit. Pure.

The server's own limit is known only to a session, which cuts a request further when that is lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.drivers.base import Point, Request
from nexus_cli.drivers.chunked import group_in_order
from nexus_cli.drivers.opcua.address import NodeAddress, parse_node
from nexus_cli.drivers.opcua.limits import configured
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
    return group_in_order(
        device.path, points, size=configured(device.connection).read, plan=_plan, text="Read", noun="node"
    )


def _plan(points: Sequence[Point]) -> ReadPlan:
    return ReadPlan(tuple(node_of(point) for point in points))
