"""Starts the simulator of a link: on a TCP port, or at a pseudo-terminal where the devices share a serial line."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.drivers.modbus.simulator.serial import serve_serial
from nexus_cli.drivers.modbus.simulator.server import SimulatorServer
from nexus_cli.model.config import DeviceConfig


async def serve(
    devices: Sequence[DeviceConfig], *, host: str = "127.0.0.1", port: int = 0, seed: int = 0, holes: bool = False
) -> SimulatorServer:
    """Serve all devices of one link; those of a serial line at a pseudo-terminal.

    Args:
        devices: They share one host and port; each answers under its unit id.
        host: Address to listen on.
        port: 0 picks a free one.
        seed: Makes the signals repeatable.
        holes: Answer "illegal data address" to whatever no tag declares, also between two tags.

    Raises:
        OSError: The address can't be had.
        ValueError: A signal's CSV file can't be read.
    """
    if any(device.connection.get("serial") for device in devices):
        return await serve_serial(devices, seed=seed, holes=holes)
    server = SimulatorServer(devices, seed=seed, holes=holes)
    await server.start(host=host, port=port)
    return server
