"""`nexus device`: devices out of service for maintenance, through control."""

from __future__ import annotations

from nexus_cli.project.write import site_topics
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_steering import OutOfService
from nexus_cli.wire.http_steering import SteeringClient


async def take_out(device: str, *, for_s: int, reason: str, settings: Settings | None = None) -> OutOfService:
    """Take a device out of service, or replace the end of its time.

    Args:
        device: `area/line/device`, or its topic.
        for_s: How long, 60 s to 8 h.
        reason: Why.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6802 there is no such device, NX6403, NX6934; NX6400, NX6401 control is away or refuses.
    """
    settings = settings or load_settings()
    async with SteeringClient(settings) as control:
        return await control.take_out(_path(device, settings), for_s=for_s, reason=reason)


async def take_in(device: str, *, settings: Settings | None = None) -> bool:
    """Take a device into service again; False when it was. Raises NexusError as `take_out`."""
    settings = settings or load_settings()
    async with SteeringClient(settings) as control:
        return await control.take_in(_path(device, settings))


async def listing(*, settings: Settings | None = None) -> list[OutOfService]:
    """The devices that are out of service, by path. Raises NexusError NX6400, NX6401."""
    async with SteeringClient(settings or load_settings()) as control:
        return await control.out_of_service()


def _path(device: str, settings: Settings) -> str:
    return (site_topics(settings).path(device) or device).strip("/")
