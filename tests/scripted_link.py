"""One link over a scripted driver, on simulated time: what its supervisor asks, records and says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from nexus_cli.model.config import DeviceConfig, digest, to_json
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from tests.field import FakeDriver
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into
from tests.simulated_time import LoopClock

LINK = "tcp:plc:1"


class ScriptedLink:
    """A supervisor, its driver, and what it recorded.

    Attributes:
        states: State and detail after each change, with its time (seconds).
    """

    def __init__(self, *devices: DeviceConfig, driver: Any = None, link_keys: frozenset[str] = frozenset()) -> None:
        self.clock, self.recorded = LoopClock(), Recorded()
        self.driver: FakeDriver = driver or FakeDriver()
        self.pipeline = pipeline_into(self.recorded, self.clock)
        self.latencies = latencies(self.clock)
        self.states: list[tuple[float, str, str]] = []
        self.supervisor = Supervisor(
            LINK,
            driver=self.driver,
            link_keys=link_keys,
            home=".",
            clock=self.clock,
            pipeline=self.pipeline,
            latencies=self.latencies,
            changed=self._note,
        )
        self.failed = self.apply(*devices)

    def _note(self) -> None:
        state = self.supervisor.state
        self.states.append((self.clock.monotonic_s(), state.state, state.detail))

    def apply(self, *devices: DeviceConfig) -> dict[str, str]:
        """Deploy these, as `Links` does; gives what can't be run."""
        failed = self.supervisor.apply([(one, digest(to_json(one))) for one in devices])
        self.pipeline.configure(self.supervisor.devices.values())
        self.supervisor.announce()
        return failed

    def device(self, path: str) -> DeviceRuntime:
        """A device that runs."""
        return self.supervisor.devices[path]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedLink]:
        """Run the link; it is stopped at the end."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.supervisor.run(stop))
            try:
                yield self
            finally:
                stop.set()

    async def run_for(self, seconds: float) -> ScriptedLink:
        """Run the link for so long."""
        async with self.running():
            await asyncio.sleep(seconds)
        return self
