"""From what the server sent to the declared type, or the fault that says why not. Compiled once per point; pure.

An integer may widen (Int16 node, `int32` tag) and may be narrower in the file than on the server as long as the
value fits; an integer may become a float. Nothing else is converted: a float for an `int16` tag is a mistake in the
file, and hiding it would store rounded values.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nexus_cli.drivers.base import Fault, Point
from nexus_cli.drivers.opcua.codec import EPOCH_TICKS, DataValue, DateTime, Structure
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.wire.sample import Reason, Value

Convert = Callable[[DataValue], "Value | Fault"]
Decode = Callable[[Structure], Value]
"""Turns a vendor's structure into plain values; raises `DecodeError` when it can't."""

INTEGER_KINDS = frozenset({2, 3, 4, 5, 6, 7, 8, 9})
FLOAT_KINDS = frozenset({10, 11})
BYTE, BYTE_STRING = 3, 15
TEXT_KINDS = frozenset({12, 14, 16, 17, 18, 20, 21})
KIND_OF_BASE: dict[str, int] = {
    "bool": 1,
    "int8": 2,
    "uint8": 3,
    "int16": 4,
    "uint16": 5,
    "int32": 6,
    "uint32": 7,
    "int64": 8,
    "uint64": 9,
    "float16": 10,
    "float32": 10,
    "float64": 11,
    "string": 12,
    "datetime": 13,
    "duration": 11,
}
"""The built-in type that holds a base type. Source: OPC 10000-6 §5.1.2, table 1."""

FLOAT32_MAX = 3.4028234663852886e38
_MISMATCH = Fault(Reason.TYPE_MISMATCH)
_OVERFLOW = Fault(Reason.OVERFLOW)
_EMPTY = Fault(Reason.SOURCE_BAD)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def converter(type_text: str, index: str = "", decode: Decode | None = None, *, varying: bool = False) -> Convert:
    """Compile the way from a server's value to a point's type.

    Args:
        type_text: Declared type, e.g. `float32` or `int16[5]`.
        index: NumericRange that was asked for; the answer is then an array to take the element from.
        decode: Decodes structures; without it they are faults.
        varying: An array may be shorter than its type says.
    """
    kind = parse_type(type_text)
    if kind.base == "json":
        convert = _json(kind, decode, varying)
    elif kind.count:
        convert = _array(kind, varying)
    else:
        convert = _single(kind)
    return _element(index, convert, kind) if index else convert


def _single(kind: DataType) -> Convert:
    one = _scalar(kind.base)
    exact = exact_kinds(kind.base)

    def convert(found: DataValue) -> Value | Fault:
        if found.array:
            return _MISMATCH
        if found.kind in exact:
            return found.value
        return one(found.kind, found.value)

    return convert


def _array(kind: DataType, varying: bool) -> Convert:
    one = _scalar(kind.base)
    exact = exact_kinds(kind.base)
    octets = kind.base in INTEGER_BOUNDS
    least = 0 if varying else kind.count

    def convert(found: DataValue) -> Value | Fault:
        if not found.array:
            if not (octets and found.kind == BYTE_STRING):
                return _MISMATCH if found.kind else _EMPTY
            found = as_bytes(found)
        values = _flat(found.value)
        if not least <= len(values) <= kind.count:
            return _MISMATCH
        if found.kind in exact:
            return values
        out = []
        for value in values:
            converted = one(found.kind, value)
            if isinstance(converted, Fault):
                return converted
            out.append(converted)
        return out

    return convert


def as_bytes(found: DataValue) -> DataValue:
    """A ByteString as the array of Byte that it encodes. Source: OPC 10000-6 §5.2.2.16 (a Byte array may be sent so)."""
    return DataValue(BYTE, list(found.value or b""), found.status, found.source_us, True)


def _json(kind: DataType, decode: Decode | None, varying: bool) -> Convert:
    least = 0 if varying else kind.count

    def convert(found: DataValue) -> Value | Fault:
        if not found.kind:
            return _EMPTY
        if kind.count and (not found.array or not least <= len(found.value) <= kind.count):
            return _MISMATCH
        return plain(found.value, decode)

    return convert


def _element(index: str, convert: Convert, kind: DataType) -> Convert:
    """Take the element or slice; also from the whole array of a server that ignores ranges (asyncua's does)."""
    bounds = [(int(first), int(last or first)) for first, _, last in (part.partition(":") for part in index.split(","))]
    sizes = [last - first + 1 for first, last in bounds]
    single = ":" not in index and kind.base != "json"
    octets = kind.base in INTEGER_BOUNDS

    def convert_element(found: DataValue) -> Value | Fault:
        if octets and found.kind == BYTE_STRING and not found.array:
            found = as_bytes(found)
        if not found.array:
            return convert(found) if found.kind else _EMPTY
        values = found.value
        if _shape(values, len(bounds)) != sizes:
            picked = _pick(values, bounds)
            if picked is None:
                return Fault(Reason.ILLEGAL_ADDRESS)
            values = picked
        if single:
            flat = _flat(values)
            return convert(DataValue(found.kind, flat[0], found.status, found.source_us, False)) if flat else _EMPTY
        return convert(DataValue(found.kind, values, found.status, found.source_us, True))

    return convert_element


def _pick(values: Any, bounds: list[tuple[int, int]]) -> list[Any] | None:
    first, last = bounds[0]
    if not isinstance(values, list) or last >= len(values):
        return None
    chosen = values[first : last + 1]
    if len(bounds) == 1:
        return chosen
    inner = [_pick(value, bounds[1:]) for value in chosen]
    return None if any(value is None for value in inner) else inner


def _shape(values: Any, rank: int) -> list[int]:
    shape: list[int] = []
    for _ in range(rank):
        if not isinstance(values, list):
            return shape
        shape.append(len(values))
        values = values[0] if values else None
    return shape


def kinds_of(points: Sequence[Point]) -> list[frozenset[int]] | None:
    """For each point the built-in types whose values need no look at all; None where a point is no single value."""
    found: list[frozenset[int]] = []
    for point in points:
        kind = parse_type(point.type)
        if kind.count or point.options.get("index"):
            return None
        found.append(exact_kinds(kind.base))
    return found


def exact_kinds(base: str) -> frozenset[int]:
    """Built-in types whose values need no look at all."""
    if base in ("float64", "duration"):
        return FLOAT_KINDS
    if base == "float32":
        return frozenset({10})
    if base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[base]
        return frozenset(
            KIND_OF_BASE[other]
            for other, (other_low, other_high) in INTEGER_BOUNDS.items()
            if low <= other_low and other_high <= high
        )
    return frozenset({1}) if base == "bool" else frozenset()


def _scalar(base: str) -> Callable[[int, Any], Value | Fault]:
    if base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[base]
        return lambda kind, value: _integer(kind, value, low, high)
    return {
        "bool": lambda kind, value: value if kind == 1 else _refuse(kind),
        "float16": _narrow_float,
        "float32": _narrow_float,
        "float64": _float,
        "duration": _float,
        "string": _string,
        "datetime": lambda kind, value: iso(value) if kind == 13 else _refuse(kind),
    }[base]


def _refuse(kind: int) -> Fault:
    return _MISMATCH if kind else _EMPTY


def _integer(kind: int, value: Any, low: int, high: int) -> Value | Fault:
    if kind not in INTEGER_KINDS:
        return _refuse(kind)
    return value if low <= value <= high else _OVERFLOW


def _float(kind: int, value: Any) -> Value | Fault:
    if kind in FLOAT_KINDS or kind in INTEGER_KINDS:
        return float(value)
    return _refuse(kind)


def _narrow_float(kind: int, value: Any) -> Value | Fault:
    converted = _float(kind, value)
    if isinstance(converted, float) and FLOAT32_MAX < abs(converted) < float("inf"):
        return _OVERFLOW
    return converted


def _string(kind: int, value: Any) -> Value | Fault:
    if kind in TEXT_KINDS:
        return "" if value is None else str(value)
    if kind == 15:
        return base64.b64encode(value or b"").decode()
    return _refuse(kind)


def iso(ticks: int) -> str:
    """ISO 8601 in UTC of 100 ns ticks since 1601; microseconds; the ends of the scale as years 0001 and 9999."""
    try:
        return (_EPOCH + timedelta(microseconds=(ticks - EPOCH_TICKS) // 10)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return "9999-12-31T23:59:59Z" if ticks > 0 else "0001-01-01T00:00:00Z"


def plain(value: Any, decode: Decode | None) -> Value:
    """Any decoded value as JSON: times as ISO 8601, bytes as base64, structures as objects.

    Raises:
        DecodeError: From `decode`.
    """
    if isinstance(value, DateTime):
        return iso(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [plain(item, decode) for item in value]
    if isinstance(value, Structure):
        if decode is None:
            return {"type": value.type_id, "body": base64.b64encode(value.body).decode()}
        return decode(value)
    if isinstance(value, dict):
        return {key: plain(item, decode) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    return value


def _flat(value: Any) -> list[Any]:
    if value and isinstance(value[0], list):
        return [item for row in value for item in _flat(row)]
    return list(value)
