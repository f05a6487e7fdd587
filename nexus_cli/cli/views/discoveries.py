"""Discoveries that the worker does, as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.jobs import columns
from nexus_cli.wire.control_discoveries import DeviceDiscovery

_HEAD = ("id", "device", "gateway", "state", "found", "skipped", "waiting", "who", "created", "reason")


def discoveries_text(found: Sequence[DeviceDiscovery], *, zone: tzinfo | None) -> str:
    """One line a discovery, the newest first."""
    if not found:
        return "no discoveries"
    return columns(_HEAD, [_cells(each, zone) for each in found])


def discovery_text(found: DeviceDiscovery, *, zone: tzinfo | None) -> str:
    """One discovery, one fact a line."""
    filters = ", ".join(f"{name} {_plain(value)}" for name, value in found.wanted.items() if value)
    facts = {
        "id": found.id,
        "who": found.who,
        "device": found.device,
        "gateway": found.gateway,
        "filters": filters,
        "state": found.state,
        "reason": found.reason,
        "found": f"{found.found}, {found.skipped} skipped, {found.waiting} nodes waiting",
        "created": _clock(found.created, zone),
        "begun": _clock(found.begun, zone),
        "ended": _clock(found.ended, zone),
        "expires": _clock(found.expires, zone),
    }
    return "\n".join(f"{name:<8}  {value}" for name, value in facts.items() if value)


def _cells(found: DeviceDiscovery, zone: tzinfo | None) -> tuple[str, ...]:
    counts = (str(each) for each in (found.found, found.skipped, found.waiting))
    said = " ".join(found.reason.split())[:80]
    return (found.id, found.device, found.gateway, found.state, *counts, found.who, _clock(found.created, zone), said)


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _clock(time_us: int | None, zone: tzinfo | None) -> str:
    return "" if time_us is None else clock_text(time_us, zone=zone)
