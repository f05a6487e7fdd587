"""Beckhoff PLCs that are real servers: symbols, types, handles, sum commands, notifications, faults on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.drivers.ads.plc import CONFIG
from nexus_cli.drivers.ads.session import address_of
from nexus_cli.drivers.ads.simulator.connection import Connection
from nexus_cli.drivers.ads.simulator.memory import Cell, Image
from nexus_cli.drivers.ads.simulator.station import Station
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.simulation.server import Client
from nexus_cli.drivers.simulation.signals import signal_of
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

TWINCAT2_PORTS = range(800, 850)


class SimulatorServer(Station):
    """A running simulator of one link."""

    def __init__(self, devices: Sequence[DeviceConfig], *, seed: int) -> None:
        super().__init__()
        self._image_of: dict[str, Image] = {}
        for device in devices:
            try:
                address = address_of(device)
            except DriverError as error:
                raise ValueError(error.message) from None
            twincat2 = int.from_bytes(address[6:8], "little") in TWINCAT2_PORTS
            image = self.images.setdefault(address, Image(twincat2=twincat2))
            self._image_of[device.path] = image
            for name, tag in device.tags.items():
                if tag.address:
                    fixed = tag.type == "json" and not tag.simulate
                    path = f"{device.path}/{name}"
                    image.add(device.path, name, tag, None if fixed else signal_of(tag, path=path, seed=seed))
        for image in self.images.values():
            image.lay_out()
            image.refresh(0.0, force=True)
            for cell in image.cells.values():
                if cell.tag.simulate.get("signal") == "constant":
                    image.freeze(cell)

    def connection(self) -> JsonObject:
        """See `StreamServer.connection`; `port` would be the AMS port."""
        return {"host": self.host, "tcp_port": self.port}

    def client(self) -> Client:
        """The handler of the next connection."""
        return Connection(self)

    def values(self, device_path: str) -> dict[str, Value]:
        """What a reader would get right now, raw, by tag."""
        image = self._image_of[device_path]
        image.refresh(self.t_s(), force=True)
        return {name: image.value(cell) for (path, name), cell in image.cells.items() if path == device_path}

    def set(self, device_path: str, tag: str, value: Value) -> None:
        """Hold a tag at a raw value from now on; its signal stops. Raises ValueError when it does not fit."""
        image, cell = self._cell(device_path, tag)
        image.store(cell, value)
        image.freeze(cell)

    def forbid(self, device_path: str, tag: str) -> None:
        """Remove a symbol without a report: its name is unknown and its memory illegal."""
        image, cell = self._cell(device_path, tag)
        image.forbidden.add(cell.tag.address.lower())

    def protect(self, device_path: str, tag: str) -> None:
        """Make a symbol read-only."""
        image, cell = self._cell(device_path, tag)
        image.protected.add(cell.tag.address.lower())

    def online_change(
        self, device_path: str, *, removed: Sequence[str] = (), retyped: Mapping[str, str] | None = None
    ) -> None:
        """Another program in the device's runtime: every symbol moves, some are gone, some have another type."""
        image = self._image_of[device_path]
        image.online_change(
            removed=[(device_path, name) for name in removed],
            retyped={(device_path, name): type_name for name, type_name in (retyped or {}).items()},
        )

    def set_state(self, device_path: str, state: int) -> None:
        """5 run, 6 stop, 15 config (the runtime's port is gone, and its notifications with it)."""
        image = self._image_of[device_path]
        image.state = state
        if state == CONFIG:
            for connection in self.connections:
                assert isinstance(connection, Connection)
                connection.forget(image)

    def _cell(self, device_path: str, tag: str) -> tuple[Image, Cell]:
        image = self._image_of[device_path]
        return image, image.cells[device_path, tag]


async def serve(
    devices: Sequence[DeviceConfig], *, host: str = "127.0.0.1", port: int = 0, seed: int = 0
) -> SimulatorServer:
    """Serve all devices of one link.

    Args:
        devices: They share one host; each answers under its AMS NetId and port.
        host: Address to listen on. Clients with a router of their own need 127.0.0.2 or higher.
        port: TCP port; 0 picks a free one. Clients with a router of their own need 48898.
        seed: Makes the signals repeatable.

    Raises:
        OSError: The address can't be had.
        ValueError: A signal's CSV file can't be read, or addresses contradict each other.
    """
    server = SimulatorServer(devices, seed=seed)
    await server.start(host=host, port=port)
    return server
