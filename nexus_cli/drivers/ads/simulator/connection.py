"""One client of the simulator: frames in, frames out, and what it wants reported."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from dataclasses import dataclass

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.plc import CONFIG, SYSTEM_PORT
from nexus_cli.drivers.ads.simulator import responder
from nexus_cli.drivers.ads.simulator.memory import Image
from nexus_cli.drivers.ads.simulator.station import Station
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.simulation.memory import Refused
from nexus_cli.drivers.simulation.server import Client

TICK_S = 0.01
CYCLIC = 3
TARGET_PORT_NOT_FOUND, TARGET_NOT_FOUND, UNKNOWN_COMMAND = 6, 7, 8


@dataclass(slots=True)
class Reported:
    """One notification as the PLC keeps it: bound to an address, not to a symbol."""

    image: Image
    source: bytes
    target: bytes
    group: int
    offset: int
    size: int
    mode: int
    cycle_s: float
    delay_s: float
    due_s: float = 0.0
    last: bytes | None = None
    waiting_since_s: float | None = None


class Connection(Client):
    """One client: its frames, handles and notifications."""

    def __init__(self, server: Station) -> None:
        super().__init__(server)
        self._server = server
        self._parser = frame.FrameParser()
        self._frames: deque[frame.Frame] = deque()
        self._reported: dict[int, Reported] = {}
        self._handles: list[tuple[Image, int]] = []
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        super().connection_lost(exc)
        self._reported.clear()
        for image, handle in self._handles:
            image.handles.pop(handle, None)
        if self._timer is not None:
            self._timer.cancel()

    def forget(self, image: Image) -> None:
        """Report nothing of this runtime any more."""
        self._reported = {handle: one for handle, one in self._reported.items() if one.image is not image}

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        try:
            self._frames.extend(self._parser.feed(data))
        except DriverError:
            self.drop()
            return
        self.pump()

    def pump(self) -> None:
        """Answer every whole frame, in order, unless the server stalls."""
        while self._frames and not self._server.stalled:
            one = self._frames.popleft()
            if not self._server.welcome(one.source):
                if not self._server.mute:
                    self.drop()
                continue
            self._server.requests += 1
            error, data = self._answer(one)
            self._send(one.source, one.target, one.command, frame.RESPONSE_FLAGS, data, one.invoke_id, error)

    def _send(
        self, target: bytes, source: bytes, command: int, flags: int, data: bytes, invoke_id: int = 0, error: int = 0
    ) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                frame.pack(
                    target=target,
                    source=source,
                    command=command,
                    flags=flags,
                    invoke_id=invoke_id,
                    data=data,
                    error=error,
                )
            )

    def _answer(self, one: frame.Frame) -> tuple[int, bytes]:
        server = self._server
        image = server.images.get(one.target)
        if image is None or image.state == CONFIG:
            if not any(address[:6] == one.target[:6] for address in server.images):
                return TARGET_NOT_FOUND, b""
            if int.from_bytes(one.target[6:8], "little") != SYSTEM_PORT:
                return TARGET_PORT_NOT_FOUND, b""
            state = server.system_state(one.target[:6])
            return (0, struct.pack("<IHH", 0, state, 0)) if one.command == frame.READ_STATE else (UNKNOWN_COMMAND, b"")
        image.refresh(server.t_s())
        try:
            return self._carry(image, one)
        except Refused as refused:
            return 0, struct.pack("<II", refused.code, 0)
        except (struct.error, IndexError):
            return 0, struct.pack("<II", 1797, 0)

    def _carry(self, image: Image, one: frame.Frame) -> tuple[int, bytes]:
        body = one.data
        if one.command == frame.DEVICE_INFO:
            return 0, struct.pack("<IBBH16s", 0, 3, 1, 4024, b"NEXUS simulator")
        if one.command == frame.READ:
            return 0, _with_length(responder.read(image, *struct.unpack("<III", body)))
        if one.command == frame.WRITE:
            group, offset, size = struct.unpack_from("<III", body)
            responder.write(image, group, offset, body[12 : 12 + size])
            return 0, bytes(4)
        if one.command == frame.READ_STATE:
            return 0, struct.pack("<IHH", 0, image.state, 0)
        if one.command == frame.READ_WRITE:
            group, offset, size, given = struct.unpack_from("<IIII", body)
            data = responder.read_write(image, group, offset, size, body[16 : 16 + given], sums=self._server.sums)
            if group == 0xF003:
                self._handles = [one for one in self._handles if one[1] in one[0].handles]
                self._handles.append((image, int.from_bytes(data, "little")))
            return 0, _with_length(data)
        if one.command == frame.ADD_NOTIFICATION:
            return 0, struct.pack("<II", 0, self._add(image, one))
        if one.command == frame.DELETE_NOTIFICATION:
            if self._reported.pop(int.from_bytes(body[:4], "little"), None) is None:
                raise Refused(1812)
            return 0, bytes(4)
        return UNKNOWN_COMMAND, b""

    def _add(self, image: Image, one: frame.Frame) -> int:
        group, offset, size, mode, delay, cycle = struct.unpack_from("<6I", one.data)
        if len(self._reported) >= self._server.most_notifications:
            raise Refused(self._server.notification_error)
        responder.read(image, group, offset, size)
        self._next += 1
        cycle_s, delay_s = max(cycle / 1e7, 0.001), delay / 1e7
        self._reported[self._next] = Reported(
            image, one.source, one.target, group, offset, size, mode, cycle_s, delay_s
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        return self._next

    def _tick(self) -> None:
        self._timer = None
        if not self._reported:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        if self._server.stalled:
            return
        now_s = time.monotonic()
        for image in {id(one.image): one.image for one in self._reported.values()}.values():
            image.refresh(self._server.t_s())
        by_client: dict[tuple[bytes, bytes], list[bytes]] = {}
        for handle, one in self._reported.items():
            data = _due(one, now_s)
            if data is not None:
                samples = by_client.setdefault((one.source, one.target), [])
                samples.append(struct.pack("<II", handle, len(data)) + data)
        ticks = frame.ticks_of(time.time_ns() // 1000)
        for (source, target), samples in by_client.items():
            stamp = struct.pack("<QI", ticks, len(samples)) + b"".join(samples)
            data = struct.pack("<II", 4 + len(stamp), 1) + stamp
            self._send(source, target, frame.NOTIFICATION, frame.REQUEST_FLAGS, data)


def _due(one: Reported, now_s: float) -> bytes | None:
    """What is to be reported of this notification now."""
    if now_s >= one.due_s:
        one.due_s = max(one.due_s + one.cycle_s, now_s)
        try:
            data = responder.read(one.image, one.group, one.offset, one.size)
        except Refused:
            data = b""
        if one.mode == CYCLIC:
            return data
        if data == one.last:
            one.waiting_since_s = None
        elif one.last is None or not one.delay_s:
            one.last = data
            return data
        elif one.waiting_since_s is None:
            one.waiting_since_s = now_s
    if one.waiting_since_s is not None and now_s - one.waiting_since_s >= one.delay_s:
        one.waiting_since_s = None
        try:
            one.last = responder.read(one.image, one.group, one.offset, one.size)
        except Refused:
            one.last = b""
        return one.last
    return None


def _with_length(data: bytes) -> bytes:
    return struct.pack("<II", 0, len(data)) + data
