"""The verb of `nexus sim`: every device of a site as a real server on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.ads.kind import TCP_PORT
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.registry import SIMULATORS, simulator
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.snapshot import Snapshot

HERE = "127.0.0.1"
MARK = "# written by `nexus sim --overlay`; it is replaced the next time\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One link that is being served.

    Attributes:
        link: Its id in the site.
        protocol: Its protocol.
        endpoint: Where it is reached now.
        moved: True when that is not where the site says; the overlay leads there.
        devices: Paths of the devices behind it.
        tags: How many tags they have together.
        server: The running simulator.
    """

    link: str
    protocol: str
    endpoint: str
    moved: bool
    devices: tuple[str, ...]
    tags: int
    server: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Everything that is being served.

    Attributes:
        links: In the order of their ids.
        skipped: Devices without a server, by the reason.
    """

    links: tuple[Served, ...]
    skipped: dict[str, tuple[str, ...]]


def devices_of(snapshot: Snapshot, *, folder: Path) -> list[DeviceConfig]:
    """The devices of a site, with the CSV files of their signals found from the site's folder."""
    devices = []
    for _, attributes in snapshot.of_kind("device"):
        device = device_from_json(attributes)
        replayed = {
            name: msgspec.structs.replace(
                tag, simulate={**tag.simulate, "file": str(folder / str(tag.simulate["file"]))}
            )
            for name, tag in device.tags.items()
            if tag.simulate.get("file")
        }
        devices.append(msgspec.structs.replace(device, tags={**device.tags, **replayed}) if replayed else device)
    return devices


@asynccontextmanager
async def serving(devices: Sequence[DeviceConfig], *, seed: int = 0) -> AsyncIterator[Simulation]:
    """Serve every link until the block ends: where the site says when that is this machine, else on a free port.

    Raises:
        NexusError: A signal's CSV file can't be read, or no port can be had.
    """
    skipped: dict[str, list[str]] = {}
    links: dict[str, list[DeviceConfig]] = {}
    for device in devices:
        reason = _reason_to_skip(device)
        if reason:
            skipped.setdefault(reason, []).append(device.path)
        else:
            links.setdefault(device.link, []).append(device)
    served: list[Served] = []
    try:
        for link in sorted(links):
            served.append(await _serve(link, links[link], seed))  # noqa: PERF401 - those that stand are closed when the next fails
        yield Simulation(links=tuple(served), skipped={reason: tuple(paths) for reason, paths in skipped.items()})
    finally:
        async with Group() as closing:  # one after the other, a plant would take a minute
            for one in served:
                closing.create_task(one.server.close(), name=f"close {one.link}")


def _reason_to_skip(device: DeviceConfig) -> str:
    if device.protocol == "external":
        return "others publish them"
    if not device.enabled:
        return "not enabled"
    return "" if device.protocol in SIMULATORS else f"no simulator for {device.protocol}"


async def _serve(link: str, devices: Sequence[DeviceConfig], seed: int) -> Served:
    """Start one server."""
    serve = simulator(devices[0].protocol)
    host, port = _declared(devices[0].connection)
    here = _loopback(host)
    try:
        server = None
        if here and port:
            try:
                server = await serve(devices, host=host, port=port, seed=seed)
            except OSError:
                server = None
        moved = server is None
        if server is None:
            server = await serve(devices, host=HERE, port=0, seed=seed)
    except ValueError as error:
        raise NexusError(f"The devices of {link} can't be simulated: {error}.", exit_code=1) from None
    except OSError as error:
        raise NexusError(f"No port can be had for {link}.", cause=str(error)) from None
    return Served(
        link=link,
        protocol=devices[0].protocol,
        endpoint=str(server.endpoint),
        moved=moved,
        devices=tuple(device.path for device in devices),
        tags=sum(len(device.tags) for device in devices),
        server=server,
    )


def _declared(connection: dict[str, Any]) -> tuple[str, int]:
    """Host and port that the site says; "" and 0 when it does not, or when a secret is not at hand."""
    try:
        if endpoint := connection.get("endpoint"):
            parts = urlsplit(resolve(str(endpoint)))
            return parts.hostname or "", parts.port or 4840
        # `port` of an ADS device is the AMS port of its runtime; the TCP port has a key of its own.
        port = connection.get("tcp_port") or TCP_PORT if "ams_net_id" in connection else connection.get("port")
        return resolve(str(connection.get("host") or "")), int(port or 0)
    except (ValueError, DriverError):
        return "", 0


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def overlay_of(simulation: Simulation) -> dict[str, Any]:
    """The overlay that leads every moved device to its simulator, as the site language's tree."""
    areas: dict[str, Any] = {}
    for served in simulation.links:
        if not served.moved:
            continue
        if served.protocol == "opcua":
            connection: dict[str, Any] = {"endpoint": served.endpoint}
        elif served.protocol == "ads":
            connection = {"host": HERE, "tcp_port": served.server.port}
        elif served.endpoint.startswith("serial:"):
            # a pseudo-terminal has no parity
            connection = {"serial": served.server.device, "parity": "none"}
        else:
            connection = {"host": HERE, "port": served.server.port}
        for path in served.devices:
            area, line, device = path.split("/", 2)
            lines = areas.setdefault(area, {"lines": {}})["lines"]
            lines.setdefault(line, {"devices": {}})["devices"][device] = {"connection": connection}
    return {"areas": areas} if areas else {}


def write_overlay(simulation: Simulation, path: Path) -> None:
    """Write the overlay; a file that was not written by this verb is left alone.

    Raises:
        NexusError: The file is somebody's own, or can't be written.
    """
    import yaml

    class Plain(yaml.SafeDumper):
        """Without anchors: each device says its own connection."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(MARK):
            raise NexusError(
                f"The file {path.as_posix()} exists and was not written by `nexus sim`.",
                hint="name another file, such as env/sim.yaml, or remove this one",
                exit_code=1,
            )
        text = yaml.dump(overlay_of(simulation), Dumper=Plain, sort_keys=False, width=120)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MARK + text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NexusError(f"The overlay {path.as_posix()} can't be written.", cause=str(error), exit_code=1) from None


async def until_stopped(stop: asyncio.Event, *, duration_s: float | None) -> None:
    """Wait for the stop, or for the time to be over."""
    try:
        async with asyncio.timeout(duration_s):
            await stop.wait()
    except TimeoutError:
        return
