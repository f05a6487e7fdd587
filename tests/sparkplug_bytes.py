"""Sparkplug B payloads as an edge node would send them, written field by field: nothing of this is ours that reads them.

Source: Eclipse Sparkplug 3.0.0, `sparkplug_b.proto`; Protocol Buffers encoding guide.
"""

from __future__ import annotations

import struct

TYPES = {"Int8": 1, "Int16": 2, "Int32": 3, "Int64": 4, "UInt64": 8, "Float": 9, "Double": 10, "Boolean": 11}
TYPES |= {"String": 12, "DateTime": 13, "DataSet": 16, "Bytes": 17, "Template": 19, "Int16Array": 23}
TYPES |= {"BooleanArray": 32, "StringArray": 33}


def varint(value: int) -> bytes:
    """A base-128 varint; negative numbers as 64 bits."""
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def block(field: int, value: bytes | str) -> bytes:
    """A field of bytes or text."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def float32(field: int, value: float) -> bytes:
    """A fixed field of four bytes."""
    return varint(field << 3 | 5) + struct.pack("<f", value)


def float64(field: int, value: float) -> bytes:
    """A fixed field of eight bytes."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


def metric(value: bytes = b"", *, name: str = "", alias: int | None = None, kind: str = "", more: bytes = b"") -> bytes:
    """A metric of a payload; `value` and `more` are fields of it."""
    parts = block(1, name) if name else b""
    parts += b"" if alias is None else number(2, alias)
    parts += number(4, TYPES[kind]) if kind else b""
    return block(2, parts + more + value)


def payload(*metrics: bytes, time_ms: int = 1_767_225_600_000, sequence: int = 0) -> bytes:
    """A whole payload."""
    return number(1, time_ms) + b"".join(metrics) + number(3, sequence)
