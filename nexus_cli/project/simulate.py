"""The verb of `nexus sim`: every device of a site as a real server on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.registry import kinds, simulator
from nexus_cli.drivers.secrets import resolve
from nexus_cli.json_value import JsonObject
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
async def serving(
    devices: Sequence[DeviceConfig], *, seed: int = 0, free_ports: bool = False
) -> AsyncIterator[Simulation]:
    """Serve every link until the block ends: at the site's address when that is this machine, else on a free port.

    With `free_ports` always on a free one, so that no gateway takes the simulator for the device.

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
            served.append(await _serve(link, links[link], seed, free_port=free_ports))  # noqa: PERF401 - the started ones are closed when the next fails
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
    return "" if simulator(device.protocol) is not None else f"no simulator for {device.protocol}"


async def _serve(link: str, devices: Sequence[DeviceConfig], seed: int, *, free_port: bool) -> Served:
    """Start one server."""
    serve = simulator(devices[0].protocol)
    assert serve is not None
    host, port = _declared(devices[0])
    here = _loopback(host) and not free_port
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
        raise NexusError(f"The devices of {link} can't be simulated: {error}.", code="NX6524") from None
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


def _declared(device: DeviceConfig) -> tuple[str, int]:
    """Host and port of the site; "" and 0 when it has none, or when a secret can't be read."""
    try:
        host, port = kinds()[device.protocol].listens_at(
            {key: _known(value) for key, value in device.connection.items()}
        )
    except ValueError:
        return "", 0
    return ("", 0) if "${" in host else (host, port)


def _known(value: Any) -> Any:
    """A value with its references resolved, as it is where one is not at hand."""
    try:
        return resolve(value) if isinstance(value, str) else value
    except DriverError:
        return value


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def overlay_of(simulation: Simulation) -> JsonObject:
    """The overlay that leads every moved device to its simulator, as the site language's tree."""
    areas: JsonObject = {}
    for served in simulation.links:
        if not served.moved:
            continue
        connection = served.server.connection()
        for path in served.devices:
            area, line, device = path.split("/", 2)
            lines = areas.setdefault(area, {"lines": {}})["lines"]
            lines.setdefault(line, {"devices": {}})["devices"][device] = {"connection": connection}
    return {"areas": areas} if areas else {}


def write_overlay(simulation: Simulation, path: Path) -> None:
    """Write the overlay; a file that was not written by this verb is left alone.

    Raises:
        NexusError: The file was not written by `nexus sim`, or can't be written.
    """

    class Plain(yaml.SafeDumper):
        """Without anchors: each device has its own connection."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(MARK):
            raise NexusError(
                f"The file {path.as_posix()} exists and was not written by `nexus sim`.",
                code="NX6523",
                hint="name another file, such as env/sim.yaml, or remove this one",
            )
        text = yaml.dump(overlay_of(simulation), Dumper=Plain, sort_keys=False, width=120)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MARK + text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NexusError(f"The overlay {path.as_posix()} can't be written.", code="NX6523", cause=str(error)) from None


async def until_stopped(stop: asyncio.Event, *, duration_s: float | None) -> None:
    """Wait for the stop, or for the time to be over."""
    try:
        async with asyncio.timeout(duration_s):
            await stop.wait()
    except TimeoutError:
        return
