"""`nexus keep`: series that are never dropped, through control."""

from __future__ import annotations

from nexus_cli.project.write import site_topics
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_kept import KeptSeries
from nexus_cli.wire.http_kept import KeptClient


async def listing(*, settings: Settings | None = None) -> list[KeptSeries]:
    """The protected series, by path. Raises NexusError NX6400, NX6401."""
    async with KeptClient(settings or load_settings()) as control:
        return await control.kept()


async def end(path: str, *, settings: Settings | None = None) -> str:
    """End the protection of the series at a path, or its topic; gives the path.

    Raises:
        NexusError: NX4115 it is declared, NX4116 nothing is protected there, NX6411 not allowed; NX6400, NX6401.
    """
    settings = settings or load_settings()
    async with KeptClient(settings) as control:
        return (await control.end_keep((site_topics(settings).path(path) or path).strip("/"))).path
