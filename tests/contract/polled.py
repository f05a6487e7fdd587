"""A supervisor that polls one device in a test, and what becomes of its tags."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nexus_cli.drivers import registry
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.sample import Quality
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into


@asynccontextmanager
async def polled(device: DeviceConfig, home: str) -> AsyncIterator[tuple[Supervisor, Recorded]]:
    """A supervisor that polls a device."""
    kept, clock = Recorded(), SystemClock()
    kind = registry.kinds()[device.protocol]
    pipeline = pipeline_into(kept, clock)
    link = Supervisor(
        "x",
        driver=registry.driver(device.protocol),
        link_keys=kind.link_keys,
        home=home,
        clock=clock,
        pipeline=pipeline,
        latencies=latencies(clock),
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


def bad_rows(kept: Recorded) -> dict[str, list[tuple[str, Any]]]:
    """Quality and value of what was not GOOD, by tag."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for path, marks in kept.marks.items():
        for value, quality, _ in marks:
            if quality != "GOOD":
                found.setdefault(path.rpartition("/")[2], []).append((quality, value))
    return found
