"""AMS/TCP on the wire: headers, a parser that survives anything, and the samples of a notification. Pure.

Source: Beckhoff, ADS/AMS specification (TE1000): AMS/TCP header (6 bytes), AMS header (32 bytes), little endian.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, NoReturn

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.wire.sample import Reason

HEADER = struct.Struct("<HI8s8sHHIII")
"""Reserved, length, target, source, command, state flags, data length, error, invoke id."""
AMS_HEADER_BYTES = 32
TCP_HEADER_BYTES = 6
RESPONSE, REQUEST_FLAGS, RESPONSE_FLAGS = 0x0001, 0x0004, 0x0005
DEVICE_INFO, READ, WRITE, READ_STATE, WRITE_CONTROL, ADD_NOTIFICATION, DELETE_NOTIFICATION, NOTIFICATION, READ_WRITE = (
    range(1, 10)
)
MAX_FRAME_BYTES = 64 << 20
"""No answer is larger: the symbol table of 100,000 symbols takes about 10 MB."""
ROUTER_COMMANDS = frozenset({1, 0x1000, 0x1001, 0x1002})
"""Router notes that may come between AMS frames; they are skipped. They are short."""
MAX_ROUTER_NOTE_BYTES = 4096
FILETIME_EPOCH_TICKS = 116_444_736_000_000_000
"""1970 in ticks of 100 ns since 1601. Source: Microsoft, FILETIME."""
_STAMP = struct.Struct("<QI")
_SAMPLE = struct.Struct("<II")


class Frame(NamedTuple):
    """One AMS frame; addresses are NetId and port as their eight bytes."""

    target: bytes
    source: bytes
    command: int
    flags: int
    error: int
    invoke_id: int
    data: bytes


class Sample(NamedTuple):
    """One reported value: FILETIME ticks, notification handle, bytes."""

    ticks: int
    handle: int
    data: bytes


def net_id_bytes(text: str) -> bytes:
    """`5.12.82.20.1.1` as six bytes. Raises ValueError."""
    parts = bytes(int(part) for part in text.split("."))
    if len(parts) != 6:
        raise ValueError(f"'{text}' is not an AMS NetId")
    return parts


def address_of(net_id: str, port: int) -> bytes:
    """NetId and port as the eight bytes of a header. Raises ValueError."""
    return net_id_bytes(net_id) + port.to_bytes(2, "little")


def address_text(address: bytes) -> str:
    """`5.12.82.20.1.1:851`."""
    return ".".join(str(part) for part in address[:6]) + f":{int.from_bytes(address[6:8], 'little')}"


def pack(
    *, target: bytes, source: bytes, command: int, flags: int, invoke_id: int, data: bytes, error: int = 0
) -> bytes:
    """One frame."""
    size = len(data)
    return HEADER.pack(0, AMS_HEADER_BYTES + size, target, source, command, flags, size, error, invoke_id) + data


class FrameParser:
    """Bytes in, frames out. After an error the stream can't be trusted any more."""

    def __init__(self, *, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._limit = limit_bytes
        self._wanted = HEADER.size

    def feed(self, data: bytes) -> list[Frame]:
        """Take in bytes; gives the frames that are complete, in order.

        Raises:
            DriverError: Scope SESSION: this is not AMS/TCP, or a frame is longer than any can be.
        """
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._wanted and self._wanted > HEADER.size:
            return []
        frames: list[Frame] = []
        at, end = 0, len(buffer)
        self._wanted = HEADER.size
        while end - at >= TCP_HEADER_BYTES:
            reserved, length = struct.unpack_from("<HI", buffer, at)
            if reserved in ROUTER_COMMANDS:
                if length > MAX_ROUTER_NOTE_BYTES:
                    _garbage(f"a router note of {length} bytes")
                if end - at < TCP_HEADER_BYTES + length:
                    break
                at += TCP_HEADER_BYTES + length
                continue
            if reserved:
                _garbage(f"a frame that begins with 0x{reserved:04x}")
            if not AMS_HEADER_BYTES <= length <= self._limit:
                _garbage(f"a frame of {length} bytes")
            whole = TCP_HEADER_BYTES + length
            if end - at < HEADER.size:
                break
            _, _, target, source, command, flags, size, error, invoke_id = HEADER.unpack_from(buffer, at)
            if size != length - AMS_HEADER_BYTES:
                _garbage(f"a frame of {length} bytes that says it holds {size}")
            if end - at < whole:
                self._wanted = whole
                break
            body = bytes(memoryview(buffer)[at + HEADER.size : at + whole])
            frames.append(Frame(target, source, command, flags, error, invoke_id, body))
            at += whole
        if at:
            del buffer[:at]
        return frames


def samples_of(body: bytes) -> list[Sample]:
    """The samples of a notification frame, in order.

    Raises:
        DriverError: Scope SESSION: lengths that do not add up.
    """
    out: list[Sample] = []
    try:
        (stamps,) = struct.unpack_from("<I", body, 4)
        at = 8
        for _ in range(stamps):
            ticks, count = _STAMP.unpack_from(body, at)
            at += 12
            for _ in range(count):
                handle, size = _SAMPLE.unpack_from(body, at)
                at += 8 + size
                if at > len(body):
                    _garbage("a notification that ends too early")
                out.append(Sample(ticks, handle, body[at - size : at]))
    except struct.error:
        _garbage("a notification that ends too early")
    return out


def time_us(ticks: int) -> int | None:
    """FILETIME as µs since 1970 UTC; None for a clock that was never set."""
    return (ticks - FILETIME_EPOCH_TICKS) // 10 if ticks > FILETIME_EPOCH_TICKS else None


def ticks_of(at_us: int) -> int:
    """µs since 1970 UTC as FILETIME."""
    return at_us * 10 + FILETIME_EPOCH_TICKS


def _garbage(what: str) -> NoReturn:
    raise DriverError(
        f"the received bytes are not AMS/TCP: {what}", scope=Scope.SESSION, reason=Reason.LINK_LOST, retriable=True
    ) from None
