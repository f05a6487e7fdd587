"""The data types of MQTT: integers, variable byte integers, text and binary data with their length.

A writer is named after its type; a reader (`read_…`) takes the bytes and an offset and returns the value and the offset
behind it, and raises `MalformedError` where the bytes end too early.

Source: MQTT 3.1.1, 1.5 and 2.2.3; MQTT 5.0, 1.5.
"""

from __future__ import annotations

from typing import Final

LARGEST_VARIABLE: Final = 268_435_455
"""Four bytes of seven bits."""
LONGEST: Final = 65_535
"""Bytes of a text or of binary data: their length has two bytes."""
MALFORMED: Final = 0x81
PROTOCOL_ERROR: Final = 0x82


class MalformedError(ValueError):
    """The received bytes break the standard; the message names the place.

    Attributes:
        code: Reason code for the DISCONNECT of MQTT 5: malformed packet, protocol error or another (MQTT 5.0, 4.13).
    """

    def __init__(self, message: str, *, code: int = MALFORMED) -> None:
        super().__init__(message)
        self.code = code


def write_variable(value: int) -> bytes:
    """A variable byte integer: seven bits a byte, the lowest first.

    Raises:
        ValueError: It is negative or larger than `LARGEST_VARIABLE`.
    """
    if not 0 <= value <= LARGEST_VARIABLE:
        raise ValueError(f"{value} does not fit into a variable byte integer")
    if value < 128:
        return bytes((value,))
    if value < 16_384:
        return bytes((value & 127 | 128, value >> 7))
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def read_variable(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer."""
    found = partial_variable(data, at, len(data))
    if found is None:
        raise MalformedError("a length is cut short (1.5.5)")
    return found


def partial_variable(data: bytes, at: int, size: int) -> tuple[int, int] | None:
    """The same of bytes that may continue behind `size`; None while its last byte is missing."""
    value = shift = 0
    for index in range(at, min(at + 4, size)):
        one = data[index]
        value |= (one & 127) << shift
        if one < 128:
            return value, index + 1
        shift += 7
    if size >= at + 4:
        raise MalformedError("a length has more than four bytes (1.5.5)")
    return None


def integer(value: int, size: int) -> bytes:
    """An unsigned integer of `size` bytes, the highest first.

    Raises:
        ValueError: It does not fit.
    """
    if not 0 <= value < 1 << 8 * size:
        raise ValueError(f"{value} does not fit into {size} bytes")
    return value.to_bytes(size, "big")


def text(value: str) -> bytes:
    """Text with its length.

    Raises:
        ValueError: It is longer than 65,535 bytes, has a null character (1.5.4) or half of a surrogate pair.
    """
    data = value.encode()
    if b"\x00" in data:
        raise ValueError("a text has a null character")
    return binary(data)


def binary(data: bytes) -> bytes:
    """Bytes with their length.

    Raises:
        ValueError: There are more than 65,535.
    """
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes are more than the {LONGEST} that MQTT allows")
    return len(data).to_bytes(2, "big") + data


def read_one(data: bytes, at: int) -> tuple[int, int]:
    """A byte."""
    if at >= len(data):
        raise MalformedError("the packet is cut short")
    return data[at], at + 1


def read_two(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer of two bytes, the high one first."""
    end = at + 2
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return data[at] << 8 | data[at + 1], end


def read_four(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer of four bytes, the highest first."""
    end = at + 4
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return int.from_bytes(data[at:end], "big"), end


def read_binary(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length."""
    size, at = read_two(data, at)
    end = at + size
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return data[at:end], end


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Text with its length."""
    found, end = read_binary(data, at)
    try:
        return found.decode(), end
    except UnicodeDecodeError:
        raise MalformedError("a text is not UTF-8 (1.5.4)") from None
