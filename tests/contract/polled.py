"""A supervisor that polls one device in a test, and what becomes of its tags."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nexus_cli.drivers import registry
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import RisingTime, SystemClock
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.topic import Topics


class Kept:
    """An outbox and live view that keep what becomes of each tag.

    Attributes:
        rows: Quality and value by tag, in order.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[str, Any]]] = {}

    def add_frame(self, topic: str, *, samples: dict[str, Any], quality: dict[str, Any], **_: Any) -> bool:
        """Take a frame."""
        for name, value in samples.items():
            marks = quality.get(name)
            self.rows.setdefault(name, []).append((marks[0] if marks else "GOOD", value))
        return True

    def put(self, *_: Any) -> None:
        """Show values."""


@asynccontextmanager
async def polled(device: DeviceConfig, home: str) -> AsyncIterator[tuple[Supervisor, Kept]]:
    """A supervisor that polls a device."""
    kept: Any = Kept()
    clock = SystemClock()
    kind = registry.kinds()[device.protocol]
    pipeline = Pipeline(
        topics=Topics("acme", "plant"),
        gateway="gw-1",
        outbox=kept,
        live=kept,
        time=RisingTime(clock),
        absence=Absence(clock=clock, add_gap=lambda **_: None),
    )
    link = Supervisor(
        "x",
        driver=registry.driver(device.protocol),
        link_keys=kind.link_keys,
        home=home,
        clock=clock,
        pipeline=pipeline,
        changed=lambda: None,
    )
    assert not link.apply([(device, "1")])
    pipeline.configure(link.devices.values())
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(link.run(stop))
        try:
            yield link, kept
        finally:
            stop.set()


def good(link: Supervisor) -> bool:
    """Whether every tag is GOOD."""
    return all(
        state.known and state.quality is Quality.GOOD
        for device in link.devices.values()
        for state in device.normaliser.states.values()
    )


def cycles(link: Supervisor) -> int:
    """How many cycles were begun."""
    return sum(device.counters.cycles for device in link.devices.values())


def bad_rows(kept: Kept) -> dict[str, list[tuple[str, Any]]]:
    """What was not GOOD, by tag."""
    found = {name: [row for row in rows if row[0] != "GOOD"] for name, rows in kept.rows.items()}
    return {name: rows for name, rows in found.items() if rows}
