"""Load: can a link carry the requests that its devices' intervals ask for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexus_cli.checks.tags import SHORTEST_POLL_MS
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.registry import plugin, protocols
from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.resolve import DEFAULT_POLL_MS, device_config
from nexus_cli.model.site import Tag


def busy_share(devices: Sequence[BoundDevice]) -> float:
    """The share of time that polling keeps a link busy, 1.0 is all of it; estimated at `DriverKind.answer_ms` a request."""
    return sum(_busy_ms_per_s(device) for device in devices) / 1000


def link_overloaded(view: View) -> Iterator[Diagnostic]:
    """NX3004."""
    for link, devices in view.links.items():
        if devices[0].kind is None or _least_trouble(devices) <= 1000:
            continue
        share = busy_share(devices)
        if share > 1:
            first = devices[0]
            message = f"the link {link} would be busy for about {share:.1f} s of every second"
            hint = "poll less often, place tags side by side, or spread devices over links"
            yield finding("NX3004", message, where=first.where, on_key=True, hint=hint)


def _cost_ms(device: BoundDevice) -> float:
    pause = getattr(device.connection, "pause", None) or 0
    return (device.kind.answer_ms if device.kind is not None else 0.0) + float(pause)


def _polled(device: BoundDevice) -> dict[int, list[str]]:
    """Names of the polled tags by interval in ms."""
    polled: dict[int, list[str]] = {}
    for name, bound in device.tags.items():
        tag = bound.tag
        default = device.kind.modes[0] if device.kind else "poll"
        if isinstance(tag, Tag) and bound.address and tag.enabled is not False and (tag.mode or default) == "poll":
            polled.setdefault(max(tag.poll or DEFAULT_POLL_MS, SHORTEST_POLL_MS), []).append(name)
    return polled


def _least_trouble(devices: Sequence[BoundDevice]) -> float:
    """Busy ms a second if every tag were a request of its own: when that fits, nothing needs to be grouped."""
    return sum(
        len(names) * _cost_ms(device) * 1000 / interval_ms
        for device in devices
        for interval_ms, names in _polled(device).items()
    )


def _busy_ms_per_s(device: BoundDevice) -> float:
    if device.kind is None or device.kind.name not in protocols() or device.device.enabled is False:
        return 0.0
    group = plugin(device.kind.name).group
    config: DeviceConfig = device_config(device)
    return sum(
        len(group(config, points_of(config, names))) * _cost_ms(device) * 1000 / interval_ms
        for interval_ms, names in _polled(device).items()
    )


CHECKS = (link_overloaded,)
