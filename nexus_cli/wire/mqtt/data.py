"""The data types of MQTT: integers, variable byte integers, text and binary data with their length.

Source: MQTT 3.1.1, 1.5 and 2.2.3; MQTT 5.0, 1.5.
"""

from __future__ import annotations

from typing import Final

LARGEST_VARIABLE: Final = 268_435_455
"""Four bytes of seven bits."""
LONGEST_TEXT: Final = 65_535


class MalformedError(ValueError):
    """What was received is no MQTT; the message says where it breaks the standard."""


def write_variable(value: int) -> bytes:
    """A variable byte integer: seven bits a byte, the lowest first.

    Raises:
        ValueError: It is negative or larger than `LARGEST_VARIABLE`.
    """
    if value < 128:
        if value < 0:
            raise ValueError("a length can't be negative")
        return bytes((value,))
    if value < 16_384:
        return bytes((value & 127 | 128, value >> 7))
    if value > LARGEST_VARIABLE:
        raise ValueError(f"{value} does not fit into a variable byte integer")
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def variable(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer at `at`, and where it ends."""
    value = shift = 0
    for index in range(at, min(at + 4, len(data))):
        one = data[index]
        value |= (one & 127) << shift
        if one < 128:
            return value, index + 1
        shift += 7
    raise MalformedError("a length is cut short" if len(data) < at + 4 else "a length has more than four bytes")


def text(value: str) -> bytes:
    """Text with its length.

    Raises:
        ValueError: It is longer than 65,535 bytes, or holds what UTF-8 can't say (UnicodeEncodeError) or a null (1.5.4).
    """
    data = value.encode()
    if len(data) > LONGEST_TEXT:
        raise ValueError(f"text of {len(data)} bytes is longer than MQTT allows")
    if b"\x00" in data:
        raise ValueError("text holds a null character")
    return len(data).to_bytes(2, "big") + data


def byte(data: bytes, at: int) -> tuple[int, int]:
    """One byte."""
    if at >= len(data):
        raise MalformedError("the packet is cut short")
    return data[at], at + 1


def two(data: bytes, at: int) -> tuple[int, int]:
    """Two bytes, the high one first."""
    end = at + 2
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return data[at] << 8 | data[at + 1], end


def four(data: bytes, at: int) -> tuple[int, int]:
    """Four bytes, the highest first."""
    end = at + 4
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return int.from_bytes(data[at:end], "big"), end


def binary(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length."""
    size, at = two(data, at)
    end = at + size
    if end > len(data):
        raise MalformedError("the packet is cut short")
    return data[at:end], end


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """Text with its length."""
    found, end = binary(data, at)
    try:
        return found.decode(), end
    except UnicodeDecodeError:
        raise MalformedError("text is no UTF-8") from None
