"""Discoveries that the worker does: asked for, looked at, removed, and what they found, over control's API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.ask import Ask
from nexus_cli.discover.filters import wanted_of
from nexus_cli.discover.journal import UNREADABLE, browsed_of
from nexus_cli.drivers.base import Browsed
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_discoveries import (
    DeviceDiscoveries,
    DeviceDiscovery,
    DiscoveredItems,
    DiscoveryQuestion,
)
from nexus_cli.wire.http import ControlClient

WAITS = "NX6614"


async def discover_later(ask: Ask, *, settings: Settings | None = None) -> DeviceDiscovery:
    """Let the worker browse the device at `ask.at` through its gateway, or `ask.via`.

    Raises:
        NexusError: NX6400 control is away, NX6403 the right is missing, NX6612 one of the device runs, NX6614 no gateway has it.
    """
    wanted = ask.wanted
    question = DiscoveryQuestion(
        device=ask.at,
        via=ask.via,
        include=list(wanted.include),
        exclude=list(wanted.exclude),
        start=wanted.start,
        depth=wanted.depth,
        max_nodes=wanted.max_nodes,
        rate_per_s=wanted.rate_per_s,
        properties=wanted.properties,
    )
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("POST", "/discoveries", DeviceDiscovery, body=question)


async def list_discoveries(*, limit: int = 50, settings: Settings | None = None) -> DeviceDiscoveries:
    """The newest first. Raises NexusError NX6400, NX6403."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("GET", "/discoveries", DeviceDiscoveries, params={"limit": str(limit)})


async def find_discovery(discovery: str, *, settings: Settings | None = None) -> DeviceDiscovery:
    """One discovery. Raises as `list_discoveries`, and NX6921 there is none."""
    async with ControlClient(settings or load_settings()) as control:
        return await control.call("GET", f"/discoveries/{_id(discovery)}", DeviceDiscovery)


async def delete_discovery(discovery: str, *, settings: Settings | None = None) -> None:
    """Remove a discovery. Raises as `find_discovery`."""
    async with ControlClient(settings or load_settings()) as control:
        await control.call("DELETE", f"/discoveries/{_id(discovery)}", DeviceDiscovery)


async def of_stored(ask: Ask, settings: Settings) -> tuple[Ask, str]:
    """The question that a stored discovery answers, and its protocol: its device unless `ask.at` says one, and its filters.

    Raises:
        NexusError: As `find_discovery`; NX6614 it is not done.
    """
    found = await find_discovery(ask.stored, settings=settings)
    if found.state != "done":
        raise NexusError(
            f"The discovery is not done: {found.state}, {found.found} found.", code=WAITS, cause=found.reason
        )
    wanted = replace(wanted_of(found.wanted), rate_per_s=0.0)
    return replace(ask, at=ask.at or found.device, wanted=wanted), found.protocol


async def stored_items(discovery: str, settings: Settings) -> AsyncGenerator[Browsed, None]:
    """What a stored discovery found, in order. Raises NexusError as `find_discovery`; NX6614 it can't be read."""
    after: int | None = 0
    async with ControlClient(settings) as control:
        while after is not None:
            page = await control.call(
                "GET", f"/discoveries/{_id(discovery)}/items", DiscoveredItems, params={"after": str(after)}
            )
            try:
                found = [browsed_of(each) for each in page.items]
            except UNREADABLE as error:
                raise NexusError("What the discovery found can't be read.", code=WAITS, cause=str(error)) from None
            for each in found:
                yield each
            after = page.after


def _id(discovery: str) -> str:
    if not (discovery.isascii() and discovery.isalnum()):
        raise NexusError(f"There is no discovery '{discovery[:100]}'.", code="NX6921")
    return discovery
