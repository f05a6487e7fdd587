"""What polling costs a link: requests, their time, and the share of time that they keep it busy. Pure.

One model for `nexus validate` (NX3004), for the load in a plan and for its hazard `over-budget`: each counts what the
gateway would send, by the drivers' own grouping. A request takes `DriverKind.answer_ms`, or as long as it took where a
runtime measured it; time on a slow line and the pause of the connection come on top.

See docs/decisions/0100.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.registry import plugin, protocols
from nexus_cli.model.config import DeviceConfig

SHORTEST_POLL_MS = 10
"""No gateway polls more often, whatever is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingLoad:
    """What the polling of one or several devices of a link costs.

    Attributes:
        requests: Of one read of every polled tag.
        cycle_ms: How long these take one after the other.
        busy_ms: Time of every second that polling keeps the link busy, each interval counted on its own.
        interval_ms: The shortest interval; 0 where nothing is polled.
        reported: Tags that the device reports by itself: they cost no polls.
    """

    requests: int = 0
    cycle_ms: float = 0.0
    busy_ms: float = 0.0
    interval_ms: int = 0
    reported: int = 0

    @property
    def share(self) -> float:
        """The share of time that polling keeps the link busy: above 1.0 it can't keep its intervals."""
        return self.busy_ms / 1000


def polling_load(device: DeviceConfig, *, request_ms: float | None = None) -> PollingLoad | None:
    """What a device's polling costs its link; None when no driver here reads it.

    Args:
        device: In normal form.
        request_ms: Measured time of one request from sending it to its answer, in ms, without the pause; None takes
            the protocol's typical one.
    """
    if device.protocol not in protocols():
        return None
    if not device.enabled:
        return PollingLoad()
    found = plugin(device.protocol)
    pause_ms = float(device.connection.get("pause") or 0)
    answer_ms = found.kind.answer_ms if request_ms is None else request_ms
    requests, cycle_ms, busy_ms = 0, 0.0, 0.0
    polled = _polled(device)
    for interval_ms, names in polled.items():
        count, line_ms = 0, 0.0
        for request in found.group(device, points_of(device, names)):
            exchange = found.exchange(device, request)
            count += exchange.requests
            line_ms += exchange.line_ms
        took_ms = count * (answer_ms + pause_ms) + (line_ms if request_ms is None else 0.0)
        requests, cycle_ms, busy_ms = requests + count, cycle_ms + took_ms, busy_ms + took_ms * 1000 / interval_ms
    reported = sum(tag.enabled and bool(tag.address) and tag.mode != "poll" for tag in device.tags.values())
    return PollingLoad(
        requests=requests, cycle_ms=cycle_ms, busy_ms=busy_ms, interval_ms=min(polled, default=0), reported=reported
    )


def together(loads: Iterable[PollingLoad]) -> PollingLoad:
    """The load of several devices that share a link."""
    each = list(loads)
    return PollingLoad(
        requests=sum(one.requests for one in each),
        cycle_ms=sum(one.cycle_ms for one in each),
        busy_ms=sum(one.busy_ms for one in each),
        interval_ms=min((one.interval_ms for one in each if one.interval_ms), default=0),
        reported=sum(one.reported for one in each),
    )


def _polled(device: DeviceConfig) -> Mapping[int, list[str]]:
    """Names of the polled tags by interval in ms."""
    polled: dict[int, list[str]] = {}
    for name, tag in device.tags.items():
        if tag.address and tag.enabled and tag.mode == "poll":
            polled.setdefault(max(tag.poll_ms, SHORTEST_POLL_MS), []).append(name)
    return polled
