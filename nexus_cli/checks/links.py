"""Links and protocols: devices that share a link agree about it, and ask only what their protocol can do."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, Related
from nexus_cli.model.bound import BoundDevice, BoundTag
from nexus_cli.model.site import Tag

ADS_NOTIFICATIONS = 550
"""Beckhoff's advice for one connection."""
ADS_WATCHES = 2
"""Notifications per runtime that watch its symbol version and state."""


def mode_not_supported(view: View) -> Iterator[Diagnostic]:
    """NX3002."""
    for tag in view.read:
        kind, mode = tag.device.kind, tag.tag.mode
        if kind is None or mode is None or mode in kind.modes:
            continue
        if tag.device.device.mode != mode and view.inherited(tag, "mode"):
            continue  # a default for everything means: where it can be
        message = f"{kind.title} has no mode '{mode}'"
        yield finding("NX3002", message, where=(*tag.where, "mode"), hint="mode: " + " or ".join(kind.modes))


def link_settings_differ(view: View) -> Iterator[Diagnostic]:
    """NX3003."""
    for link, devices in view.model.links().items():
        first = devices[0]
        for other in devices[1:]:
            if first.kind is None or other.kind is not first.kind:
                continue
            for key in sorted(first.kind.link_keys):
                ours, theirs = getattr(first.connection, key, None), getattr(other.connection, key, None)
                if ours != theirs:
                    yield finding(
                        "NX3003",
                        f"'{key}' differs from that of '{first.path}', which shares the link {link}",
                        where=(*other.where, "connection", key),
                        hint="write the same for both",
                        related=(Related(message=first.path, where=(*first.where, "connection", key)),),
                    )


def driver_not_built(view: View) -> Iterator[Diagnostic]:
    """NX3007: once per protocol."""
    told: set[str] = set()
    for device in view.model.devices.values():
        kind = device.kind
        if kind is not None and not kind.built and kind.name not in told:
            told.add(kind.name)
            count = sum(1 for other in view.model.devices.values() if other.kind is kind)
            message = f"there is no driver for {kind.title} yet ({count} {'device' if count == 1 else 'devices'})"
            yield finding(
                "NX3007", message, where=(*device.where, "protocol"), hint="apply refuses it until there is one"
            )


def notifications_exceeded(view: View) -> Iterator[Diagnostic]:
    """NX3404: what the gateway would refuse to have reported over one ADS link."""
    for link, devices in view.model.links().items():
        if devices[0].device.protocol != "ads":
            continue
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


CHECKS = (mode_not_supported, link_settings_differ, driver_not_built, notifications_exceeded)
