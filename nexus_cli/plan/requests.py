"""How many reads a device costs: asked of the drivers' pure grouping, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from nexus_cli.drivers.base import points_of
from nexus_cli.model.config import device_from_json

GROUPS: dict[str, str] = {
    "modbus": "nexus_cli.drivers.modbus.groups:group",
    "opcua": "nexus_cli.drivers.opcua.groups:group",
    "s7": "nexus_cli.drivers.s7.groups:group",
}
"""The pure function of each protocol: `group(device, points, *, fill_gaps) -> requests`; no protocol library behind it."""


def request_count(attributes: Mapping[str, Any]) -> int | None:
    """Requests of one full read of a device (every tag once); None when its driver can't tell without its library."""
    group = _group(str(attributes.get("protocol")))
    if group is None:
        return None
    device = device_from_json(attributes)
    return len(group(device, points_of(device)))


def _group(protocol: str) -> Callable[..., Any] | None:
    target = GROUPS.get(protocol)
    if target is None:
        return None
    module, _, name = target.partition(":")
    found: Callable[..., Any] | None = getattr(import_module(module), name, None)
    return found
