"""Whether the record takes a published value: the historian's own rule, by the tag's applied type.

What a gateway publishes always fits its tag. Other systems publish any value: a text where a number is declared is a
dead letter, and people have to see that too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.live_value import Live
from nexus_cli.runtime.historian.rows import BadValueError, column_of, full_row
from nexus_cli.settings import Settings

PATIENCE_S = 3.0
"""How long control may take to name a type; without one the value is shown as it was published."""


def as_recorded(live: Live, type_name: str) -> Live:
    """The value with its quality, or, when the record would refuse it, without one and with the reason.

    Args:
        live: As it was published.
        type_name: Type of the tag; "" when it is not known.
    """
    if not type_name or live.value is None or not live.quality:
        return live
    try:
        full_row(column_of(type_name), live.value, series_id=0, time_us=0)
    except BadValueError as error:
        return replace(live, quality="", reason=f"not stored: {error} (the tag is {type_name})")
    return live


class RecordedTypes:
    """Types of tags as control recorded them; each device is asked for once."""

    def __init__(self, settings: Settings) -> None:
        """Ask the control of these settings."""
        self._settings = settings
        self._devices: dict[str, Mapping[str, Any]] = {}
        self._away = False

    async def of(self, path: str) -> str:
        """Type of `area/line/device/tag`; "" when nothing declares it, or control does not answer."""
        device, _, tag = path.rpartition("/")
        if device not in self._devices and not self._away:
            self._devices[device] = await self._tags(device)
        return str(self._devices.get(device, {}).get(tag, {}).get("type", ""))

    async def _tags(self, device: str) -> Mapping[str, Any]:
        from nexus_cli.wire.http import ControlClient  # noqa: PLC0415 - HTTP client: only beside a runtime

        if not self._settings.control_url:
            self._away = True
            return {}
        address = f"device.{device}"
        try:
            async with asyncio.timeout(PATIENCE_S), ControlClient(self._settings) as control:
                found: Mapping[str, Any] = (await control.resources([address])).get(address, {}).get("tags", {})
                return found
        except (NexusError, TimeoutError):
            self._away = True  # asked once: a view of what is published does not wait for it again
            return {}
