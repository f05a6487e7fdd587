"""Load: can a link carry the requests that its devices' intervals ask for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.drivers.link_load import SHORTEST_POLL_MS, polling_load, together
from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.resolve import DEFAULT_POLL_MS, device_config
from nexus_cli.model.site import Tag


def busy_share(devices: Sequence[BoundDevice]) -> float:
    """The share of time that polling keeps a link busy, 1.0 is all of it; estimated as a plan does it (`drivers/link_load.py`)."""
    return together(load for device in devices if (load := polling_load(device_config(device)))).share


def link_overloaded(view: View) -> Iterator[Diagnostic]:
    """NX3004."""
    for (_, link), devices in view.links.items():
        if devices[0].kind is None or _least_trouble(devices) <= 1000:
            continue
        share = busy_share(devices)
        if share > 1:
            first = devices[0]
            message = f"the link {link} would be busy for about {share:.1f} s of every second"
            hint = "poll less often, place tags side by side, or spread devices over links"
            yield finding("NX3004", message, where=first.where, on_key=True, hint=hint)


def _least_trouble(devices: Sequence[BoundDevice]) -> float:
    """Busy ms a second if every tag were a request of its own: when that fits, nothing needs to be grouped.

    Infinite on a slow line, where the bytes of a request count, too: what lies between two tags is read along.
    """
    if any(getattr(device.connection, "serial", None) is not None for device in devices):
        return float("inf")
    return sum(_cost_ms(device) * 1000 / interval_ms for device in devices for interval_ms in _intervals(device))


def _cost_ms(device: BoundDevice) -> float:
    pause = getattr(device.connection, "pause", None) or 0
    return (device.kind.answer_ms if device.kind is not None else 0.0) + float(pause)


def _intervals(device: BoundDevice) -> Iterator[int]:
    """The interval of each polled tag, in ms."""
    default = device.kind.modes[0] if device.kind else "poll"
    for bound in device.tags.values():
        tag = bound.tag
        if isinstance(tag, Tag) and bound.address and tag.enabled is not False and (tag.mode or default) == "poll":
            yield max(tag.poll or DEFAULT_POLL_MS, SHORTEST_POLL_MS)


CHECKS = (link_overloaded,)
