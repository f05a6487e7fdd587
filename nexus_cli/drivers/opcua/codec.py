"""OPC UA binary: bytes to plain values. Pure, no protocol library, and one pass without intermediate objects.

It reads what an answer to Read or Publish is made of: DataValue and Variant with every built-in type. A vendor's
structure stays a `Structure` (type id and body), for `structures` to decode with the definitions of its own
connection.

Source: OPC 10000-6 (1.05) §5.2.2 (built-in types), §5.2.2.16 (Variant), §5.2.2.17 (DataValue).
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from nexus_cli.drivers.opcua.address import escape_uri
from nexus_cli.json_value import JsonObject

EPOCH_TICKS = 116_444_736_000_000_000
"""100 ns ticks from 1601-01-01 to 1970-01-01. Source: OPC 10000-6 §5.2.2.5."""
MAX_DEPTH = 32
"""Nesting that a value may have; OPC 10000-6 §5.2.2.16 asks decoders to support at least 100 or to say so."""


class DecodeError(ValueError):
    """The bytes are not what the standard says, or nest deeper than `MAX_DEPTH`."""


class Structure(NamedTuple):
    """An ExtensionObject as it came.

    Attributes:
        type_id: Node id text of its encoding, `ns=2;i=5001`.
        body: Its bytes, b"" when there are none.
    """

    type_id: str
    body: bytes


class DateTime(int):
    """100 ns ticks since 1601; a class of its own so that it is not taken for a number."""


class Text(str):
    """A LocalizedText's text or a QualifiedName's name."""


class DataValue(NamedTuple):
    """One answered value.

    Attributes:
        kind: Built-in type id (11 is Double), 0 without a value.
        value: Plain Python value; arrays are lists, nested by their dimensions.
        status: 32-bit status code; 0 is good.
        source_us: Source time, µs since 1970 UTC, None without one.
        array: True for arrays.
    """

    kind: int
    value: Any
    status: int
    source_us: int | None
    array: bool


Reader = Callable[[bytes, int], tuple[Any, int]]

_I = struct.Struct("<I")
_i = struct.Struct("<i")
_q = struct.Struct("<q")
_H = struct.Struct("<H")
SCALARS: dict[int, struct.Struct] = {
    1: struct.Struct("<?"),
    2: struct.Struct("<b"),
    3: struct.Struct("<B"),
    4: struct.Struct("<h"),
    5: struct.Struct("<H"),
    6: struct.Struct("<i"),
    7: struct.Struct("<I"),
    8: struct.Struct("<q"),
    9: struct.Struct("<Q"),
    10: struct.Struct("<f"),
    11: struct.Struct("<d"),
    19: struct.Struct("<I"),
}
"""Fixed-size built-in types by their id: Boolean 1 … Double 11, StatusCode 19."""


def read_data_value(data: bytes, at: int, depth: int = 0) -> tuple[DataValue, int]:
    """Read one DataValue and say where the next one begins.

    Raises:
        DecodeError: Not a DataValue.
        IndexError, struct.error: The bytes end too early.
    """
    mask = data[at]
    at += 1
    kind, value, array, status, source = 0, None, False, 0, None
    if mask & 1:
        kind = data[at]
        scalar = SCALARS.get(kind)
        if scalar is not None:  # a scalar of fixed size: nine of ten values of a plant
            (value,) = scalar.unpack_from(data, at + 1)
            at += 1 + scalar.size
        else:
            kind, value, array, at = read_variant(data, at, depth)
    if mask & 2:
        (status,) = _I.unpack_from(data, at)
        at += 4
    if mask & 4:
        ticks = _q.unpack_from(data, at)[0]
        source = (ticks - EPOCH_TICKS) // 10 if ticks > 0 else None
        at += 8
    if mask & 16:
        at += 2
    if mask & 8:
        at += 8
    if mask & 32:
        at += 2
    return DataValue(kind, value, status, source, array), at


def read_variant(data: bytes, at: int, depth: int = 0) -> tuple[int, Any, bool, int]:
    """Read a Variant: type id, value, whether it is an array, and where the next thing begins.

    Raises:
        DecodeError: An unknown type, or nested too deeply.
    """
    if depth > MAX_DEPTH:
        raise DecodeError("values nest too deeply")
    head = data[at]
    at += 1
    kind = head & 0x3F
    if kind == 0:
        return 0, None, False, at
    if not head & 0x80:
        value, at = read_builtin(kind, data, at, depth)
        return kind, value, False, at
    values, at = read_array(kind, data, at, depth)
    if head & 0x40:
        rank, at = _int32(data, at)
        _check_count(rank, 4, data, at)
        if rank > MAX_DEPTH:
            raise DecodeError(f"an array says that it has {rank} dimensions")
        sizes = [_i.unpack_from(data, at + 4 * position)[0] for position in range(max(rank, 0))]
        at += 4 * max(rank, 0)
        values = _nest(values, sizes)
    return kind, values, True, at


def read_array(kind: int, data: bytes, at: int, depth: int = 0) -> tuple[list[Any], int]:
    """Read a counted array of one built-in type; a null array is an empty list."""
    count, at = _int32(data, at)
    if count <= 0:
        return [], at
    scalar = SCALARS.get(kind)
    if scalar is not None:
        _check_count(count, scalar.size, data, at)
        code = scalar.format[1:]
        return list(struct.unpack_from(f"<{count}{code}", data, at)), at + count * scalar.size
    _check_count(count, 1, data, at)
    values = []
    for _ in range(count):
        value, at = read_builtin(kind, data, at, depth)
        values.append(value)
    return values, at


def read_builtin(kind: int, data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """Read one value of a built-in type.

    Raises:
        DecodeError: The type id is not one of the 25.
    """
    scalar = SCALARS.get(kind)
    if scalar is not None:
        return scalar.unpack_from(data, at)[0], at + scalar.size
    if kind == 24:
        _, value, _, at = read_variant(data, at, depth + 1)
        return value, at
    if kind == 23:
        found, at = read_data_value(data, at, depth + 1)
        return found.value, at
    if kind == 25:
        return _diagnostic(data, at, depth + 1)
    reader = _READERS.get(kind)
    if reader is None:
        raise DecodeError(f"built-in type {kind} does not exist")
    return reader(data, at)


def _int32(data: bytes, at: int) -> tuple[int, int]:
    return _i.unpack_from(data, at)[0], at + 4


def _check_count(count: int, size: int, data: bytes, at: int) -> None:
    # A lying length must not make us reserve memory for it.
    if count * size > len(data) - at:
        raise DecodeError(f"an array says that it has {count} elements, but its bytes end before")


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _int32(data, at)
    if length < 0:
        return None, at
    if length > len(data) - at:
        raise DecodeError(f"a string says that it has {length} bytes, but they end before")
    return data[at : at + length], at + length


def _string(data: bytes, at: int) -> tuple[str | None, int]:
    raw, at = _bytes(data, at)
    return (None if raw is None else raw.decode("utf-8", "replace")), at


def _text(data: bytes, at: int) -> tuple[str | None, int]:
    found, at = _string(data, at)
    return (None if found is None else Text(found)), at


def _date_time(data: bytes, at: int) -> tuple[DateTime, int]:
    return DateTime(_q.unpack_from(data, at)[0]), at + 8


def _guid(data: bytes, at: int) -> tuple[str, int]:
    if len(data) < at + 16:
        raise DecodeError("a GUID ends too early")
    return str(uuid.UUID(bytes_le=data[at : at + 16])), at + 16


def read_node_id(data: bytes, at: int) -> tuple[str, int]:
    """Read a NodeId or ExpandedNodeId as text: `i=85`, `ns=2;s=Name`, `nsu=http://acme/plc;i=7`."""
    head = data[at]
    at += 1
    space = 0
    form = head & 0x3F
    if form == 0:
        name, at = f"i={data[at]}", at + 1
    elif form == 1:
        space, name, at = data[at], f"i={_H.unpack_from(data, at + 1)[0]}", at + 3
    elif form in (2, 3, 4, 5):
        (space,) = _H.unpack_from(data, at)
        at += 2
        if form == 2:
            name, at = f"i={_I.unpack_from(data, at)[0]}", at + 4
        elif form == 3:
            found, at = _string(data, at)
            name = f"s={found or ''}"
        elif form == 4:
            identifier, at = _guid(data, at)
            name = f"g={identifier}"
        else:
            raw, at = _bytes(data, at)
            name = f"b={base64.b64encode(raw or b'').decode()}"
    else:
        raise DecodeError(f"node id form {form} does not exist")
    uri = ""
    if head & 0x80:
        found, at = _string(data, at)
        uri = found or ""
    if head & 0x40:
        at += 4
    prefix = f"nsu={escape_uri(uri)};" if uri else f"ns={space};" if space else ""
    return prefix + name, at


def _qualified_name(data: bytes, at: int) -> tuple[str | None, int]:
    return _text(data, at + 2)


def _localized_text(data: bytes, at: int) -> tuple[str, int]:
    mask = data[at]
    at += 1
    text: str | None = ""
    if mask & 1:
        _, at = _string(data, at)
    if mask & 2:
        text, at = _string(data, at)
    return Text(text or ""), at


def _extension_object(data: bytes, at: int) -> tuple[Structure | None, int]:
    type_id, at = read_node_id(data, at)
    encoding = data[at]
    at += 1
    if not encoding:
        return (None if type_id == "i=0" else Structure(type_id, b"")), at
    body, at = _bytes(data, at)
    return Structure(type_id, body or b""), at


def _diagnostic(data: bytes, at: int, depth: int) -> tuple[JsonObject, int]:
    if depth > MAX_DEPTH:
        raise DecodeError("values nest too deeply")
    mask = data[at]
    at += 1
    found: JsonObject = {}
    for bit, name in ((1, "symbolic_id"), (2, "namespace"), (8, "locale"), (4, "text")):
        if mask & bit:
            found[name], at = _int32(data, at)
    if mask & 16:
        found["info"], at = _string(data, at)
    if mask & 32:
        found["status"], at = _I.unpack_from(data, at)[0], at + 4
    if mask & 64:
        found["inner"], at = _diagnostic(data, at, depth + 1)
    return found, at


def _nest(values: list[Any], sizes: list[int]) -> list[Any]:
    total = 1
    for size in sizes:
        total *= max(size, 0)
    if total != len(values):
        raise DecodeError(f"an array of {len(values)} elements says that it has the dimensions {sizes}")
    for size in reversed(sizes[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)] if size else []
    return values


_READERS: dict[int, Reader] = {
    12: _string,
    13: _date_time,
    14: _guid,
    15: _bytes,
    16: _string,
    17: read_node_id,
    18: read_node_id,
    20: _qualified_name,
    21: _localized_text,
    22: _extension_object,
}
