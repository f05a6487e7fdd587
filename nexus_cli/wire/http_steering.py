"""The door to control's API for devices out of service and retained topics."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from nexus_cli.wire import control_steering as wire
from nexus_cli.wire.http import ControlClient


class SteeringClient(ControlClient):
    """`ControlClient` with the calls that take devices out of service and clear retained topics; errors as there."""

    async def out_of_service(self) -> list[wire.OutOfService]:
        """The devices that are out of service, by path."""
        return (await self.call("GET", "/out-of-service", wire.OutOfServiceList)).devices

    async def take_out(self, device: str, *, for_s: int, reason: str) -> wire.OutOfService:
        """Take a device out of service, or replace the end of its time."""
        asked = wire.OutOfServiceRequest(for_s=for_s, reason=reason)
        return await self.call("POST", _service(device), wire.OutOfService, body=asked)

    async def take_in(self, device: str) -> bool:
        """Take a device into service again; False when it was."""
        return (await self.call("DELETE", _service(device), wire.InService)).ended

    async def clear_retained(self, topics: Sequence[str], *, preview: bool) -> wire.Cleared:
        """Clear what the broker keeps on these topics, or say what would be cleared."""
        asked = wire.ClearRequest(topics=list(topics), preview=preview)
        return await self.call("POST", "/retained/clear", wire.Cleared, body=asked, timeout_s=120.0)


def _service(device: str) -> str:
    return f"/devices/{quote(device)}/out-of-service"
