"""Modbus devices at the other end of a serial line, which is a pseudo-terminal of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import tty
from collections.abc import Sequence
from pathlib import Path

from nexus_cli.drivers.modbus.simulator.server import SimulatorServer
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig


class Wire(asyncio.Transport):
    """Our end of a pseudo-terminal, as a transport.

    The other end is held open too: without a reader at it, the system would report a hang-up again and again.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.name = os.ttyname(self._theirs)
        self._loop.add_reader(self._ours, self._read)
        protocol.connection_made(self)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._protocol.data_received(os.read(self._ours, 4096))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send; what does not fit is lost, as on a line without a reader."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._ours, data)

    def is_closing(self) -> bool:
        """Whether the plug was pulled."""
        return self._ours < 0

    def abort(self) -> None:
        """Disconnect the adapter: the client of the line gets a hang-up."""
        if self._ours >= 0:
            self._loop.remove_reader(self._ours)
            os.close(self._ours)
            os.close(self._theirs)
            self._ours = self._theirs = -1
            self._protocol.connection_lost(None)


class SerialSimulator(SimulatorServer):
    """A simulator at the other end of a serial line.

    Attributes:
        device: Path to open as serial line; it stays the same when the line is pulled and plugged in again.
    """

    def __init__(self, devices: Sequence[DeviceConfig], *, seed: int, holes: bool) -> None:
        super().__init__(devices, seed=seed, holes=holes)
        self.rtu = True
        self.device = ""
        self._own_folder = ""

    def connection(self) -> JsonObject:
        """See `StreamServer.connection`; a pseudo-terminal has no parity."""
        return {"serial": self.device, "parity": "none"}

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"serial:{self.device}"

    @property
    def clients(self) -> int:
        """A line has no connections: its clients can't be distinguished."""
        return 0

    def plug(self, device: str = "") -> None:
        """Make the line; without a path in a folder of its own. Raises OSError."""
        if not device:
            self._own_folder = tempfile.mkdtemp(prefix="nexus-line-")
            device = f"{self._own_folder}/line"
        self.device = device
        self._connect()

    def _connect(self) -> None:
        wire = Wire(self.client())
        path = Path(self.device)
        try:
            path.unlink(missing_ok=True)
            path.symlink_to(wire.name)
        except OSError:
            wire.abort()
            raise

    def drop_connections(self) -> None:
        """Pull the line and plug it in again: its path leads to a new terminal."""
        self.reset()
        self._connect()

    def respond(self, unit_id: int, pdu: bytes) -> bytes | None:
        """The response PDU of a unit, None for silence: a missing unit does not answer."""
        return super().respond(unit_id, pdu) if unit_id in self.units else None

    async def close(self) -> None:
        """Pull the line for good."""
        await super().close()
        self._remove()

    def _remove(self) -> None:
        if self.device:
            Path(self.device).unlink(missing_ok=True)
        if self._own_folder:
            Path(self._own_folder).rmdir()
            self._own_folder = ""


async def serve_serial(
    devices: Sequence[DeviceConfig], *, device: str = "", seed: int = 0, holes: bool = False
) -> SerialSimulator:
    """Serve all devices of one serial line at a pseudo-terminal.

    Args:
        devices: They share the line; each answers under its unit id.
        device: Path to make for it; empty picks one.
        seed: Makes the signals repeatable.
        holes: As for `serve`.

    Raises:
        OSError: No pseudo-terminal, or the path can't be made.
        ValueError: A signal's CSV file can't be read.
    """
    server = SerialSimulator(devices, seed=seed, holes=holes)
    server.plug(device)
    return server
