"""The simulator of a mock: serves every link that its gateways ask for, each on a port of its own that it keeps.

See docs/decisions/0086.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.plugin import Serve, Simulator
from nexus_cli.drivers.registry import protocols, simulator
from nexus_cli.drivers.simulation.holding import Holder
from nexus_cli.drivers.simulation.mock_links import MockFolder, ServedLink, WantedLink, read_wanted, without_own
from nexus_cli.local.layout import Home
from nexus_cli.model.config import DeviceConfig

LOOK_S = 0.1
HOST = "127.0.0.1"

_log = logging.getLogger("nexus.simulator")


class LinkServers:
    """One server for each link that is asked for."""

    def __init__(self, folder: MockFolder, *, signals: Path) -> None:
        """`signals` is where CSV files of signals are looked for."""
        self._folder, self._signals = folder, signals
        self._servers: dict[str, Simulator] = {}
        self._digests: dict[str, str] = {}
        self._seen: dict[Path, int] = {}
        self._holder = Holder(folder.path)
        self._of_device: dict[str, Simulator] = {}

    async def look(self) -> None:
        """Serve what was asked for since the last look."""
        for file, written in self._folder.wanted():
            if self._seen.get(file) == written:
                continue
            self._seen[file] = written
            wanted = await asyncio.to_thread(read_wanted, file)
            if wanted is not None and wanted.devices:
                await self._serve(wanted)
        self._holder.look(self._of_device)

    async def _serve(self, wanted: WantedLink) -> None:
        before, digest = self._folder.served(wanted.link), wanted.digest
        if self._digests.get(wanted.link) == digest and before is not None and before.digest == digest:
            return  # asked for twice
        self._digests.pop(wanted.link, None)
        old = self._servers.pop(wanted.link, None)
        if old is not None:
            self._of_device = {path: server for path, server in self._of_device.items() if server is not old}
            await old.close()
        protocol = wanted.devices[0].protocol
        try:
            serve = simulator(protocol)
        except KeyError:
            serve = None
        problem, server = f"there is no simulator for {protocol}", None
        if serve is not None:
            devices = [self._with_files(device) for device in without_own(wanted.devices)]
            try:
                server = await self._start(serve, devices, before.port if before is not None else 0)
            except (OSError, ValueError) as error:
                problem = str(error)
        if server is None:
            _log.error("%s is not served: %s", wanted.link, problem)
            self._folder.serve(ServedLink(link=wanted.link, digest=digest, problem=problem))
            return
        self._servers[wanted.link], self._digests[wanted.link] = server, digest
        served = {device.path: server for device in wanted.devices}
        self._of_device |= served
        self._holder.served(served)
        _log.info("%s is served at %s", wanted.link, server.endpoint)
        self._folder.serve(
            ServedLink(
                link=wanted.link,
                digest=digest,
                connection=server.connection(),
                port=int(getattr(server, "port", 0) or 0),
            )
        )

    async def _start(self, serve: Serve, devices: list[DeviceConfig], port: int) -> Simulator:
        """On the port that it had, else on a free one. Raises OSError, ValueError."""
        if port:
            try:
                return await serve(devices, host=HOST, port=port)
            except OSError:
                pass
        return await serve(devices, host=HOST, port=0)

    def _with_files(self, device: DeviceConfig) -> DeviceConfig:
        files = {name: tag for name, tag in device.tags.items() if tag.simulate.get("file")}
        tags = {
            name: msgspec.structs.replace(
                tag, simulate={**tag.simulate, "file": str(self._signals / str(tag.simulate["file"]))}
            )
            for name, tag in files.items()
        }
        return msgspec.structs.replace(device, tags={**device.tags, **tags}) if tags else device

    async def close(self) -> None:
        """Close every server."""
        async with Group() as closing:
            for link, server in self._servers.items():
                closing.create_task(server.close(), name=f"close {link}")
        self._servers.clear()


def load_simulators() -> None:
    """Load every protocol's library before a gateway waits for one."""
    for name in protocols():
        with contextlib.suppress(ImportError):
            simulator(name)


async def run_simulator(home: Home, *, stop: asyncio.Event) -> None:
    """Serve until stopped."""
    folder = MockFolder(home.path)
    servers = LinkServers(folder, signals=Path(home.read_runtime().mock_folder or home.path.parent))
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        await asyncio.to_thread(load_simulators)
        await servers.look()  # what was served before is served again before it counts as up
        folder.ready_file.write_text(str(os.getpid()), encoding="ascii")
        while not stop.is_set():
            await servers.look()
            try:
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
            except TimeoutError:
                pass
    finally:
        folder.ready_file.unlink(missing_ok=True)
        await servers.close()
