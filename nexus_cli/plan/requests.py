"""How many reads a device costs: asked of its driver's pure grouping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.registry import plugin, protocols
from nexus_cli.model.config import device_from_json


def request_count(attributes: Mapping[str, Any]) -> int | None:
    """Requests of one full read of a device (every tag once); None when no driver reads it."""
    protocol = str(attributes.get("protocol"))
    if protocol not in protocols():
        return None
    device = device_from_json(attributes)
    return len(plugin(protocol).group(device, points_of(device)))
