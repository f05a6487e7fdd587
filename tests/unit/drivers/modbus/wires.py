"""A connection without a socket: what the device says is fed in piece by piece, what is sent is kept."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from nexus_cli.drivers.base import Request, points_of
from nexus_cli.drivers.modbus.channel import STRICT, Channel, Lenience, RtuChannel, TcpChannel
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.session import ModbusSession
from nexus_cli.model.config import DeviceConfig, TagConfig

Say = Callable[[bytes], Sequence[bytes]]
"""What comes back for a frame, in pieces."""
TIMEOUT_S = 0.002


class Wire(asyncio.Transport):
    """The far end of a channel."""

    def __init__(self, channel: Channel, say: Say) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.aborted = False
        self._channel, self._say = channel, say
        self._loop = asyncio.get_running_loop()

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))
        for piece in self._say(bytes(data)):
            self._loop.call_soon(self.feed, piece)

    def feed(self, piece: bytes) -> None:
        if not self.aborted and piece:
            self._channel.data_received(piece)

    def abort(self) -> None:
        self.aborted = True


class World:
    """A session over such connections; every one that it opens answers alike."""

    def __init__(
        self,
        framing: str,
        say: Say,
        *,
        device: DeviceConfig | None = None,
        timeout_s: float = TIMEOUT_S,
        lenience: Lenience = STRICT,
    ) -> None:
        self.framing, self.say, self.timeout_s = framing, say, timeout_s
        self.lenience = lenience
        self.wires: list[Wire] = []
        self.bugs: list[dict[str, Any]] = []
        self.device = device or device_of({"a": TagConfig(type="uint16", address="holding:0")})
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.bugs.append(context))

    def channel(self) -> Channel:
        """One that is not open yet."""
        world = self
        base = RtuChannel if self.framing == "rtu-over-tcp" else TcpChannel

        class Wired(base):  # type: ignore[misc, valid-type]
            async def _create(self) -> None:
                world.wires.append(Wire(self, world.say))
                self.connection_made(world.wires[-1])

        made: Channel = Wired("nowhere", 0, timeout_s=self.timeout_s, connect_timeout_s=1.0, lenience=self.lenience)
        return made

    async def session(self) -> ModbusSession:
        """An open one."""
        channel = self.channel()
        await channel.open()
        return ModbusSession(channel, [self.device], reopen=self.channel, pause_s=0.0)

    def request(self) -> Request:
        """The first read of the device."""
        return DRIVER.group(self.device, points_of(self.device))[0]


def device_of(tags: dict[str, TagConfig], unit: int = 1) -> DeviceConfig:
    return DeviceConfig(
        path="a/l/d", protocol="modbus", connection={"host": "nowhere", "port": 1, "unit_id": unit}, tags=tags
    )


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The same bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[low:high] for low, high in itertools.pairwise(places)]
