"""Looking at a device or a broker for `nexus discover`: by a driver of our own, or through a gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from msgspec.structs import replace

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.ask import Ask
from nexus_cli.discover.connection_hints import unreachable
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.frontier import Frontier
from nexus_cli.discover.journal import Journal
from nexus_cli.discover.online import Collector, OnProgress, collect
from nexus_cli.discover.target import Target
from nexus_cli.discover.units import ask_units
from nexus_cli.drivers.base import Browsed, BrowseOptions, DriverError
from nexus_cli.drivers.registry import driver, kinds
from nexus_cli.project.text import Reading
from nexus_cli.settings import Settings

PATIENCE_MS = 15_000
"""Longest wait for an answer while walking on a link of our own, unless the connection says one."""
PARALLEL = 8
"""Calls under way at once on a link of our own; beside a gateway's polls it is one."""


async def online(
    target: Target, ask: Ask, reading: Reading | None, settings: Settings, stop: asyncio.Event, on_progress: OnProgress
) -> Discovery:
    """As `_look`; a run through a gateway is recorded where a database is known."""
    if not ask.via or not settings.database_url:
        return await _look(target, ask, reading, settings, stop, on_progress)
    from nexus_cli.project.discover_record import recorded  # noqa: PLC0415 - SQL: only through a gateway

    looking = _look(target, ask, reading, settings, stop, on_progress)
    return await recorded(looking, gateway=ask.via, target=target.text, settings=settings, stop=stop)


async def _look(
    target: Target, ask: Ask, reading: Reading | None, settings: Settings, stop: asyncio.Event, on_progress: OnProgress
) -> Discovery:
    """Look at a target: a bus, a broker, or a device with its journal.

    Raises:
        NexusError: NX6602 the device does not answer, NX6610/NX6611 of the gateway, NX6010 … of the broker.
    """
    if target.protocol == "mqtt":
        from nexus_cli.discover.mqtt import discover_topics  # noqa: PLC0415 - MQTT: only for a broker

        root = reading.tree.root if reading is not None and reading.tree is not None else {}
        enterprise, _, name = settings.site.partition("/")
        prefix = (str(root.get("enterprise") or enterprise), str(root.get("site") or name))
        devices = reading.model.devices if reading is not None and reading.model is not None else {}
        own = frozenset(path for path, device in devices.items() if not device.external)
        return await discover_topics(
            target, wanted=ask.wanted, settings=settings, prefix=prefix, own=own, stop=stop, on_progress=on_progress
        )
    if target.units:
        try:
            return await ask_units(target, home=str(settings.home), stop=stop, on_progress=on_progress)
        except DriverError as error:
            raise unreachable(error, target.protocol) from None
    collector = Collector(target, ask.wanted)
    if ask.stored:
        from nexus_cli.project.discover_later import stored_items  # noqa: PLC0415 - HTTP client: only for a stored one

        async with contextlib.aclosing(stored_items(ask.stored, settings)) as items:
            return await collect(items, collector, wanted=ask.wanted, stop=stop, on_progress=on_progress)
    journal = None

    if kinds()[target.protocol].browse_resumes:
        from nexus_cli.drivers.opcua.browse import OBJECTS  # noqa: PLC0415 - asyncua: only for OPC UA

        assert target.device is not None
        key = {
            "link": target.device.link,
            "start": ask.wanted.start,
            "depth": ask.wanted.depth,
            "properties": ask.wanted.properties,
        }
        journal = Journal(settings.home / "discover", key, root=ask.wanted.start or OBJECTS, fresh=ask.fresh)
        for browsed in journal.kept:
            collector.take(browsed)
    try:
        async with contextlib.aclosing(_source(target, ask, settings, journal)) as source:
            return await collect(
                source, collector, wanted=ask.wanted, stop=stop, on_progress=on_progress, journal=journal
            )
    except NexusError as error:
        if journal is not None and journal.noted:
            error.hint = "what was found so far is kept; the same command resumes from there"
        raise
    finally:
        if journal is not None:
            journal.close(complete=False)


async def _source(
    target: Target, ask: Ask, settings: Settings, journal: Journal | None
) -> AsyncGenerator[Browsed, None]:
    """What a driver, or a gateway, browses."""
    if ask.via:
        from nexus_cli.discover.via import browse_via  # noqa: PLC0415 - MQTT: only through a gateway

        frontier = Frontier(journal.root, resume=journal.resume, kept=journal.kept) if journal is not None else None
        async with contextlib.aclosing(
            browse_via(target, gateway=ask.via, wanted=ask.wanted, settings=settings, frontier=frontier)
        ) as remote:
            async for browsed in remote:
                yield browsed
        return
    driver = driver_of(target.protocol)
    assert target.device is not None
    device = target.device
    if kinds()[target.protocol].browse_resumes and "timeout" not in target.connection:
        # time-outs are made for polls; a server may think for seconds about eight calls of 500 nodes each
        device = replace(device, connection={**device.connection, "timeout": PATIENCE_MS})
    try:
        session = await driver.connect([device], home=str(settings.home))
        try:
            wanted = ask.wanted
            options = BrowseOptions(
                start=wanted.start,
                depth=wanted.depth,
                properties=wanted.properties,
                parallel=PARALLEL,
                resume=journal.resume if journal is not None else {},
            )
            async for browsed in session.browse(options):
                yield browsed
        finally:
            await session.close()
    except DriverError as error:
        raise unreachable(error, target.protocol) from None


def driver_of(protocol: str) -> Any:
    """The driver of a protocol. Raises NexusError when there is none."""
    try:
        return driver(protocol)
    except KeyError:
        raise NexusError(f"There is no driver for {protocol} yet.", code="NX6600") from None
