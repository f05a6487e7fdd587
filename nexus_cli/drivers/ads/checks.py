"""Checks of the devices behind one ADS link. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.bound import BoundDevice, BoundTag
from nexus_cli.model.site import Tag

ADS_NOTIFICATIONS = 550
"""Source: Beckhoff's advice for one connection."""
ADS_WATCHES = 2
"""Notifications per runtime that watch its symbol version and state."""


def check_link(link: str, devices: Sequence[BoundDevice]) -> Iterator[Diagnostic]:
    """NX3404: what the gateway would refuse to have reported over one link."""
    limit = getattr(devices[0].connection, "max_subscribe", None) or ADS_NOTIFICATIONS
    room = limit - ADS_WATCHES * len({_runtime(device.connection) for device in devices})
    reported = [device for device in devices for bound in device.tags.values() if _is_reported(device, bound)]
    if len(reported) > room:
        yield finding(
            "NX3404",
            f"{len(reported)} tags are reported over the link {link}, which has room for {room}",
            where=reported[room].where,
            on_key=True,
            hint="write `mode: poll` for the device; one sum read carries 500 values",
        )


def _runtime(connection: object) -> tuple[object, object]:
    return getattr(connection, "ams_net_id", None), getattr(connection, "port", None)


def _is_reported(device: BoundDevice, bound: BoundTag) -> bool:
    tag = bound.tag
    if not isinstance(tag, Tag) or bound.address is None or tag.enabled is False or device.device.enabled is False:
        return False
    default = device.kind.modes[0] if device.kind is not None else "poll"
    return (tag.mode or default) != "poll"
