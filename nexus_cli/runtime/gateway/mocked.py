"""Drivers of a mock: they connect to the simulator of a link and never to the address in the site.

What a gateway is configured with stays as control recorded it; the address is exchanged here, at each connect, and only
for one that the simulator answers with. A link that is not served is not connected at all.

See docs/decisions/0086.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import Driver, DriverError, Point, Request, Scope, Session
from nexus_cli.drivers.door import guarded
from nexus_cli.drivers.simulation.mock_links import MockFolder, ServedLink, WantedLink, without_own
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason

ANSWER_S = 25.0
"""How long a connect waits for the simulator's answer, in seconds: the first server of a protocol loads its library. The
supervisor of the link tries again."""
LOOK_S = 0.05


def mocked_drivers(home: Path) -> Callable[[str], Driver]:
    """Gives the driver of a protocol, which reaches simulators alone. Raises KeyError when there is none."""
    made: dict[str, Driver] = {}

    def of(name: str) -> Driver:
        if name not in made:
            made[name] = guarded(MockedDriver(registry.plugin(name).driver(), MockFolder(home)))
        return made[name]

    return of


class MockedDriver:
    """A driver whose links lead to the simulator. See `drivers.base.Driver`."""

    def __init__(self, inner: Driver, folder: MockFolder) -> None:
        self.name, self.concurrency = inner.name, inner.concurrency
        self._inner, self._folder = inner, folder
        self._asked: dict[str, dict[str, DeviceConfig]] = {}

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """See `Driver.group`. A device that is new on an open link is asked for at once: nothing connects for it."""
        asked = self._asked.get(device.link)
        if asked is not None and asked.get(device.path) != device:
            asked[device.path] = device
            self._ask(device.link)
        return self._inner.group(device, points, fill_gaps=fill_gaps)

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> Session:
        """See `Driver.connect`.

        Raises:
            DriverError: With scope SESSION, also when the simulator does not serve the link.
        """
        link = devices[0].link
        self._asked[link] = {device.path: device for device in devices}
        served = await self._answer(link, self._ask(link))
        there = [
            msgspec.structs.replace(device, connection={**device.connection, **served.connection})
            for device in without_own(devices)
        ]
        return await self._inner.connect(there, home=home)

    def _ask(self, link: str) -> str:
        wanted = WantedLink(link=link, devices=list(self._asked[link].values()))
        served = self._folder.served(link)
        if served is None or served.digest != wanted.digest or served.problem:
            try:
                self._folder.want(wanted)
            except OSError as error:
                raise _not_served(link, str(error)) from None
        return wanted.digest

    async def _answer(self, link: str, digest: str) -> ServedLink:
        served: ServedLink | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                while served is None or served.digest != digest:
                    served = self._folder.served(link)
                    if served is None or served.digest != digest:
                        await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise _not_served(link, "the simulator does not answer") from None
        if served.problem or not served.connection:
            raise _not_served(link, served.problem or "the simulator has no address for it")
        return served


def _not_served(link: str, why: str) -> DriverError:
    return DriverError(f"{link} is not simulated (NX6966): {why}", scope=Scope.SESSION, reason=Reason.LINK_LOST)
