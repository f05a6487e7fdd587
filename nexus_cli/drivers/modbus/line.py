"""A serial line as a channel: RTU frames with rests between them, and late answers waited out.

What a serial line lacks is a connection: closing and opening it leaves nothing behind, so an answer that comes after its
time-out would be taken for the next one to the same unit. It is waited for instead, as long again as the time-out.
Source: Modbus over Serial Line V1.02 §2.4.1 (time-out, turnaround delay), §2.5.1 (characters, silence of 3.5 of them).
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymodbus.transport.serialtransport import create_serial_connection

from nexus_cli.drivers.modbus.channel import STRICT, Lenience, RtuChannel
from nexus_cli.drivers.modbus.connection import SERIAL_LINE
from nexus_cli.drivers.modbus.line_time import character_bits, silence_s
from nexus_cli.drivers.transport import ConnectionLost, RequestTimeout

TURNAROUND_S = 0.1
"""Pause after a broadcast, which is not answered. Source: §2.4.1: typically 100 to 200 ms."""
_PARITY = {"even": "E", "odd": "O", "none": "N"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A serial line and its settings.

    Attributes:
        device: Path of the device file.
        baudrate: Bits per second.
        parity: even, odd or none.
        stopbits: 1 or 2.
        bytesize: Data bits.
    """

    device: str
    baudrate: int
    parity: str
    stopbits: int
    bytesize: int

    @property
    def silence_s(self) -> float:
        """Silence that separates two frames."""
        bits = character_bits(bytesize=self.bytesize, parity=self.parity, stopbits=self.stopbits)
        return silence_s(bits=bits, baudrate=self.baudrate)


def line_of(connection: Mapping[str, Any], *, device: str) -> Line:
    """The line of a connection in normal form."""
    settings = {key: connection.get(key) or value for key, value in SERIAL_LINE.items()}
    return Line(
        device=device,
        baudrate=int(settings["baudrate"]),
        parity=str(settings["parity"]),
        stopbits=int(settings["stopbits"]),
        bytesize=int(settings["bytesize"]),
    )


def installed() -> bool:
    """Whether pyserial is there."""
    try:
        import serial  # noqa: F401, PLC0415 - optional library
    except ImportError:
        return False
    return True


class SerialChannel(RtuChannel):
    """One serial line. `host` and `port` are empty."""

    leaves = False

    def __init__(self, line: Line, *, timeout_s: float, connect_timeout_s: float, lenience: Lenience = STRICT) -> None:
        """Prepare a line.

        Args:
            line: The line and its settings.
            timeout_s: Longest wait for an answer, its way over the line included.
            connect_timeout_s: Longest wait for the line to open.
            lenience: Which answers count that are under other ids.
        """
        super().__init__("", 0, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s, lenience=lenience)
        self.line = line
        self.traceable = True  # late answers are waited out here
        self._opened = asyncio.Event()
        self._late_until_s: dict[int, float] = {}
        # who had the line before us may still be answered
        self._free_at_s = self._loop.time() + timeout_s

    async def _create(self) -> None:
        line = self.line
        try:
            transport, _ = await create_serial_connection(
                self._loop,
                lambda: self,
                line.device,
                baudrate=line.baudrate,
                bytesize=line.bytesize,
                parity=_PARITY[line.parity],
                stopbits=line.stopbits,
                timeout=self._timeout_s,
            )
        except termios.error as error:
            raise OSError(f"the line settings are refused ({error.args[-1]})") from None
        except OSError as error:
            raise _plain(error) from None
        try:
            await self._opened.wait()
        except BaseException:
            transport.close()
            raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport."""
        super().connection_made(transport)
        self._opened.set()

    async def ask(self, request: bytes, *, broadcast: bool = False) -> bytes:
        """As `Channel.ask`, on a line that is silent and carries no late answer of this unit."""
        unit = request[0]
        free_at_s = max(self._free_at_s, self._late_until_s.get(unit, 0.0))
        if (wait_s := free_at_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._flush()
        silence_s = self.line.silence_s
        try:
            return await super().ask(request, broadcast=broadcast)
        except RequestTimeout:
            self._late_until_s[unit] = self._loop.time() + self._timeout_s
            raise
        except asyncio.CancelledError:
            silence_s = self._timeout_s
            raise
        finally:
            self._free_at_s = self._loop.time() + (TURNAROUND_S if broadcast else silence_s)

    def _flush(self) -> None:
        """Drop bytes that were received without a request. Raises ConnectionLost."""
        port = getattr(self._transport, "sync_serial", None)
        if port is None:
            raise ConnectionLost("the line is closed")
        try:
            port.reset_input_buffer()
        except (OSError, termios.error) as error:
            raise ConnectionLost(f"the line is gone ({error.args[-1]})") from None


def _plain(error: OSError) -> OSError:
    """pyserial's error in plain words."""
    if error.errno is None:
        return OSError(str(error))
    if error.errno in (errno.EAGAIN, errno.EBUSY):
        return OSError("another program has it open")
    cause = os.strerror(error.errno)
    if error.errno in (errno.EACCES, errno.EPERM):
        cause += "; who may use it is said by its group, often dialout"
    return OSError(error.errno, cause)
