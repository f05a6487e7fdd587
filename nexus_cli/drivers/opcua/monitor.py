"""The services around monitored items, cut to the server's limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.chunked import chunks
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.limits import Limits
from nexus_cli.drivers.opcua.nodes import read_value_id
from nexus_cli.drivers.opcua.status import FULL

FILTER_REFUSED = frozenset({0x80430000, 0x80440000, 0x80450000, 0x808E0000})
"""Bad_MonitoredItemFilterInvalid, …FilterUnsupported, Bad_FilterNotAllowed, Bad_DeadbandFilterInvalid."""
ABSOLUTE, PERCENT = 1, 2
MANY_REFUSED = 8
"""So many items in a row, each refused alone by the whole service for the same reason: the rest is not tried."""
Wanted = tuple[int, ua.NodeId, Point]
"""Client handle, node, point."""


async def create_subscription(
    channel: Channel, parameters: ua.CreateSubscriptionParameters
) -> ua.CreateSubscriptionResult:
    """Make a subscription on the server, without the library's publish loop. Raises DriverError."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    answer = await channel.service("create a subscription", request, ua.CreateSubscriptionResponse)
    return answer.Parameters


async def modify_subscription(
    channel: Channel, parameters: ua.CreateSubscriptionParameters, number: int
) -> ua.ModifySubscriptionResult:
    """Give a subscription of the server another publishing interval. Raises DriverError."""
    request = ua.ModifySubscriptionRequest()
    wanted = request.Parameters
    wanted.SubscriptionId = number
    wanted.RequestedPublishingInterval = parameters.RequestedPublishingInterval
    wanted.RequestedLifetimeCount = parameters.RequestedLifetimeCount
    wanted.RequestedMaxKeepAliveCount = parameters.RequestedMaxKeepAliveCount
    wanted.MaxNotificationsPerPublish = parameters.MaxNotificationsPerPublish
    wanted.Priority = parameters.Priority
    answer = await channel.service("modify a subscription", request, ua.ModifySubscriptionResponse)
    return answer.Parameters


async def delete_subscription(channel: Channel, number: int) -> None:
    """Delete a subscription on the server. Raises DriverError."""
    request = ua.DeleteSubscriptionsRequest()
    request.Parameters.SubscriptionIds = [number]
    await channel.service("delete a subscription", request, ua.DeleteSubscriptionsResponse)


async def delete_items(channel: Channel, number: int, items: Sequence[int]) -> None:
    """Delete monitored items of a subscription. Raises DriverError."""
    request = ua.DeleteMonitoredItemsRequest()
    request.Parameters.SubscriptionId = number
    request.Parameters.MonitoredItemIds = list(items)
    await channel.service("delete monitored items", request, ua.DeleteMonitoredItemsResponse)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often items are sampled, and their subscription published, in ms."""

    sampling_ms: int
    publishing_ms: int

    @property
    def queue(self) -> int:
        """Values that an item has to hold so that none is lost between two reports."""
        return max(1, math.ceil(self.publishing_ms / self.sampling_ms))


async def create_items(
    channel: Channel, number: int, wanted: Sequence[Wanted], *, pace: Pace, limits: Limits
) -> list[int]:
    """Create monitored items in pieces of the server's limit.

    A server that takes no deadband or trigger is asked again without: our own deadband applies anyway. One that
    has no room for a whole piece is not asked for the pieces after it.

    Returns:
        One per item, same order: the server's id, or its refusal, a status code with its highest bit set.

    Raises:
        DriverError: The session is lost.
    """
    results: list[tuple[int, int]] = []
    for piece in chunks(wanted, limits.monitor):
        full = results[-1][0] if results and results[-1][0] & 0xFFFF0000 in FULL else 0
        results += [(full, 0)] * len(piece) if full else await _create(channel, number, piece, pace, limits.filter)
    again = [
        position for position, (code, _) in enumerate(results) if limits.filter and code & 0xFFFF0000 in FILTER_REFUSED
    ]
    for positions in chunks(again, limits.monitor):
        plain = [wanted[position] for position in positions]
        for position, result in zip(positions, await _create(channel, number, plain, pace, False), strict=True):
            results[position] = result
    return [code if code >> 31 else item for code, item in results]


async def _create(
    channel: Channel, number: int, wanted: Sequence[Wanted], pace: Pace, filtered: bool
) -> list[tuple[int, int]]:
    """Status code and id of each item. A piece that is refused as a whole is cut, down to the item that is the cause."""
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = number
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    request.Parameters.ItemsToCreate = [_item(handle, node, point, pace, filtered) for handle, node, point in wanted]
    try:
        answer = await channel.service("create monitored items", request, ua.CreateMonitoredItemsResponse)
    except DriverError as error:
        if error.scope in (Scope.SESSION, Scope.DEVICE):
            raise
        if len(wanted) < 2:
            return [(error.code | 0x80000000, 0)]
        half = len(wanted) // 2
        first = await _create(channel, number, wanted[:half], pace, filtered)
        code = first[0][0]
        many = code & 0xFFFF0000 in FULL or half >= MANY_REFUSED
        if many and code >> 31 and all(one == code for one, _ in first):  # it is no item's fault
            return first + [first[0]] * (len(wanted) - half)
        return first + await _create(channel, number, wanted[half:], pace, filtered)
    found = [(int(one.StatusCode.value), int(one.MonitoredItemId)) for one in answer.Results or []]
    if len(found) != len(wanted):
        raise DriverError(
            f"{channel.endpoint} answered {len(found)} of {len(wanted)} monitored items", scope=Scope.SESSION
        )
    return found


def _item(handle: int, node: ua.NodeId, point: Point, pace: Pace, filtered: bool) -> ua.MonitoredItemCreateRequest:
    options = point.options
    parameters = ua.MonitoringParameters()
    parameters.ClientHandle = handle
    parameters.SamplingInterval = float(options.get("sampling", pace.sampling_ms))
    parameters.QueueSize = int(options.get("queue", pace.queue))
    parameters.DiscardOldest = bool(options.get("discard_oldest", True))
    parameters.Filter = _filter(options) if filtered else None
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = read_value_id(node, index=str(options.get("index", "")))
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters = parameters
    return item


def _filter(options: Any) -> ua.DataChangeFilter | None:
    trigger = options.get("trigger", "StatusValue")
    percent = options.get("device_deadband_percent")
    absolute = options.get("device_deadband")
    if trigger == "StatusValue" and percent is None and absolute is None:
        return None
    found = ua.DataChangeFilter()
    found.Trigger = getattr(ua.DataChangeTrigger, trigger)
    found.DeadbandType = PERCENT if percent is not None else ABSOLUTE if absolute is not None else 0
    found.DeadbandValue = float(percent if percent is not None else absolute or 0.0)
    return found
