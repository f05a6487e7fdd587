"""The services around monitored items, cut to the server's limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.opcua.channel import Channel
from nexus_cli.drivers.opcua.limits import Limits, chunks
from nexus_cli.drivers.opcua.nodes import read_value_id

FILTER_REFUSED = frozenset({0x80430000, 0x80440000, 0x80450000, 0x808E0000})
"""Bad_MonitoredItemFilterInvalid, …FilterUnsupported, Bad_FilterNotAllowed, Bad_DeadbandFilterInvalid."""
ABSOLUTE, PERCENT = 1, 2
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


async def create_items(
    channel: Channel, number: int, wanted: Sequence[Wanted], *, interval_ms: int, limits: Limits
) -> list[ua.MonitoredItemCreateResult]:
    """Create monitored items in pieces of the server's limit; one result per item, same order.

    A server that takes no deadband or trigger is asked again without: our own deadband stands behind it anyway.

    Raises:
        DriverError: The session is lost.
    """
    results: list[ua.MonitoredItemCreateResult] = []
    for piece in chunks(wanted, limits.monitor):
        results += await _create(channel, number, piece, interval_ms, filtered=limits.filter)
    again = [
        position
        for position, result in enumerate(results)
        if limits.filter and int(result.StatusCode.value) & 0xFFFF0000 in FILTER_REFUSED
    ]
    for positions in chunks(again, limits.monitor):
        plain = [wanted[position] for position in positions]
        for position, result in zip(
            positions, await _create(channel, number, plain, interval_ms, filtered=False), strict=True
        ):
            results[position] = result
    return results


async def _create(
    channel: Channel, number: int, wanted: Sequence[Wanted], interval_ms: int, *, filtered: bool
) -> list[ua.MonitoredItemCreateResult]:
    request = ua.CreateMonitoredItemsRequest()
    request.Parameters.SubscriptionId = number
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    request.Parameters.ItemsToCreate = [
        _item(handle, node, point, interval_ms, filtered=filtered) for handle, node, point in wanted
    ]
    try:
        answer = await channel.service("create monitored items", request, ua.CreateMonitoredItemsResponse)
    except DriverError as error:
        if error.scope is not Scope.REQUEST or len(wanted) < 2:
            raise
        half = len(wanted) // 2
        first = await _create(channel, number, wanted[:half], interval_ms, filtered=filtered)
        return first + await _create(channel, number, wanted[half:], interval_ms, filtered=filtered)
    found: list[ua.MonitoredItemCreateResult] = list(answer.Results or [])
    if len(found) != len(wanted):
        raise DriverError(
            f"{channel.endpoint} answered {len(found)} of {len(wanted)} monitored items", scope=Scope.SESSION
        )
    return found


def _item(
    handle: int, node: ua.NodeId, point: Point, interval_ms: int, *, filtered: bool
) -> ua.MonitoredItemCreateRequest:
    options = point.options
    parameters = ua.MonitoringParameters()
    parameters.ClientHandle = handle
    parameters.SamplingInterval = float(options.get("sampling", interval_ms))
    parameters.QueueSize = int(options.get("queue", 1))
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
