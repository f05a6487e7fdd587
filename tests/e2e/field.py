"""Simulated devices of a site in a thread of the test's process, so that a test can look into them and bend them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from nexus_cli.model.config import DeviceConfig
from nexus_cli.project.simulate import serving

T = TypeVar("T")


class Field:
    """Servers of every device, with a loop of their own.

    Attributes:
        servers: The simulator by device path.
    """

    def __init__(self, devices: Sequence[DeviceConfig]) -> None:
        self.devices = {device.path: device for device in devices}
        self.servers: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="field", daemon=True)

    def start(self) -> Field:
        """Serve; returns when every server listens."""
        self._thread.start()
        assert self._ready.wait(60), "the simulators did not start"
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """Close every server."""
        if self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a plain function in the loop of the servers."""

        async def run() -> T:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def wait(self, awaitable: Awaitable[T]) -> T:
        """Run a coroutine in the loop of the servers."""

        async def run() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def set(self, device: str, tag: str, value: object) -> None:
        """Hold a raw value."""
        self.call(self.servers[device].set, device, tag, value)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        async with serving(list(self.devices.values())) as simulation:
            for link in simulation.links:
                assert not link.moved, f"{link.link} is taken"
                self.servers.update(dict.fromkeys(link.devices, link.server))
            self._ready.set()
            await self._end.wait()
