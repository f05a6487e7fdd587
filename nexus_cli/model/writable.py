"""Why a tag can never be written, whatever the site file says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.model.external import EXTERNAL

EXTERNAL_DEVICE = "another system publishes it"
CALCULATED = "a calculated value has no address on a device"


def why_unwritable(device: DeviceConfig, tag: TagConfig, kinds: Mapping[str, DriverKind]) -> str:
    """Why a tag can't be written, as the end of a sentence; "" where `writable: true` lets commands write it."""
    if device.protocol == EXTERNAL:
        return EXTERNAL_DEVICE
    if not tag.address:
        return CALCULATED
    return why_unwritable_address(kinds.get(device.protocol), tag.address, tag.options)


def why_unwritable_address(kind: DriverKind | None, address: str, options: Mapping[str, Any]) -> str:
    """As `why_unwritable`, of an address in normal form with its options."""
    return kind.unwritable(address, options) if kind is not None else ""
