"""Joins reads: pure. Every point is in exactly one request, and no value is split over two.

Source: Modbus Application Protocol V1.1b3 §6.1-§6.4 (at most 2,000 bits, 125 registers); devices may give less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nexus_cli.drivers.base import Point, ReadResult, Request
from nexus_cli.drivers.columns import Columns
from nexus_cli.drivers.modbus.codec import Decoder, compile_bits, compile_numbers, compile_registers
from nexus_cli.drivers.modbus.connection import MAX_READ, MAX_READ_BITS
from nexus_cli.drivers.modbus.field import Field, field_of
from nexus_cli.drivers.modbus.pdu import read_head, read_request
from nexus_cli.drivers.read_result import NO_FAULTS, LazyValues
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Read function code of each area."""
_AREA_ORDER = {area: number for number, area in enumerate(FUNCTIONS)}
DEFAULT_GAP = 50
BITS_PER_REGISTER = 16
SCALE_GAP = 10
"""A scale factor so near is read along even when gaps are not filled: the two belong together."""


@dataclass(frozen=True, slots=True)
class Block:
    """One read: the request's bytes, and the compiled decoder of its answer.

    Attributes:
        function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
        start: First bit or register, zero-based.
        count: Bits or registers.
        unit_id: Unit id on the wire.
        registers: Decoder of a register block's bytes, None for bits.
        bits: Decoder of a bit block, None for registers.
        scales: Position and register of scale factors too far away for this block; read on their own.
        asked: The request's bytes.
        head: How its answer begins.
        size: How many values.
        numbers: All of them as a column, None where that can't be.
    """

    function: int
    start: int
    count: int
    unit_id: int
    registers: Decoder | None
    bits: Callable[[Sequence[bool]], list[Value]] | None
    scales: tuple[tuple[int, int], ...]
    asked: bytes
    head: bytes
    size: int
    numbers: Columns | None

    @property
    def octets(self) -> int:
        """How many bytes of values its answer has."""
        return self.head[1]

    def decode(self, raw: bytes) -> ReadResult:
        """The values in an answer's data, before scale factors that lie outside of it."""
        if self.numbers is not None:
            return ReadResult(LazyValues(self.size, self._values, raw), NO_FAULTS, None, self.numbers(raw))
        if self.registers is not None:
            return ReadResult(*self.registers(raw))
        return ReadResult(self._values(raw))

    def _values(self, raw: bytes) -> list[Value]:
        if self.registers is not None:
            return self.registers(raw)[0]
        assert self.bits is not None
        packed = int.from_bytes(raw, "little")
        return self.bits([bool(packed >> place & 1) for place in range(self.count)])


@dataclass(frozen=True, slots=True)
class _Limits:
    registers: int
    bits: int
    gap: int
    single: bool
    unit_id: int


class _Placed(NamedTuple):
    """A point with the registers or bits to read for it."""

    field: Field
    point: Point
    start: int
    end: int


def _limits(connection: Mapping[str, Any], *, fill_gaps: bool) -> _Limits:
    gap = connection.get("max_gap")
    return _Limits(
        min(MAX_READ, connection.get("max_read") or MAX_READ),
        min(MAX_READ_BITS, connection.get("max_read_bits") or MAX_READ_BITS),
        (DEFAULT_GAP if gap is None else gap) if fill_gaps else 0,
        bool(connection.get("single_field")),
        unit_of(connection),
    )


def unit_of(connection: Mapping[str, Any]) -> int:
    """The device's unit id; 1 when it says none."""
    unit = connection.get("unit_id")
    return 1 if unit is None else int(unit)


def group(device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
    """Join points into as few reads as the device's limits allow, in order of unit, area and address.

    Args:
        device: Its connection gives the limits: `max_read` (registers), `max_read_bits`, `max_gap`, `single_field`.
        points: With addresses in normal form.
        fill_gaps: False joins only what touches or overlaps (after a hole was found in a block).
    """
    limits = _limits(device.connection, fill_gaps=fill_gaps)
    placed = [
        _Placed(field, point, *_extent(field, limits)) for field, point in ((field_of(one), one) for one in points)
    ]
    placed.sort(
        key=lambda one: (_unit(one.field, limits), _AREA_ORDER[one.field.area], one.start, one.end, one.point.name)
    )
    requests: list[Request] = []
    run: list[_Placed] = []
    end = 0
    for one in placed:
        if run and _joins(run[0], one, end, limits):
            run.append(one)
            end = max(end, one.end)
            continue
        if run:
            requests.append(_request(device.path, run, end, limits))
        run, end = [one], one.end
    if run:
        requests.append(_request(device.path, run, end, limits))
    return tuple(requests)


def _extent(field: Field, limits: _Limits) -> tuple[int, int]:
    """First and behind the last register to read for a field, its scale factor included when that fits."""
    start, end = field.start, field.start + field.count
    if field.scale_at is None:
        return start, end
    low, high = min(start, field.scale_at), max(end, field.scale_at + 1)
    near = high - low <= min(limits.registers, field.count + 1 + max(limits.gap, SCALE_GAP))
    return (low, high) if near and not limits.single else (start, end)


def _unit(field: Field, limits: _Limits) -> int:
    return limits.unit_id if field.unit_id is None else field.unit_id


def _joins(first: _Placed, one: _Placed, end: int, limits: _Limits) -> bool:
    """Whether a field may be read along with a run that starts with `first` and ends before `end`."""
    field = one.field
    if limits.single or field.area != first.field.area or _unit(field, limits) != _unit(first.field, limits):
        return False
    most, gap = (limits.bits, limits.gap * BITS_PER_REGISTER) if field.in_bits else (limits.registers, limits.gap)
    return one.start - end <= gap and max(end, one.end) - first.start <= most


def _request(path: str, run: Sequence[_Placed], end: int, limits: _Limits) -> Request:
    first = run[0].field
    fields = tuple(one.field for one in run)
    start = run[0].start
    count, unit = end - start, _unit(first, limits)
    block = Block(
        FUNCTIONS[first.area],
        start,
        count,
        unit,
        None if first.in_bits else compile_registers(fields, start),
        compile_bits(fields, start) if first.in_bits else None,
        tuple(
            (place, field.scale_at)
            for place, field in enumerate(fields)
            if field.scale_at is not None and not start <= field.scale_at < end
        ),
        read_request(unit, FUNCTIONS[first.area], start, count),
        read_head(FUNCTIONS[first.area], count),
        len(fields),
        compile_numbers(fields, start),
    )
    span = f"{start}..{start + count - 1}" if count > 1 else str(start)
    text = f"FC{block.function} {first.area} {span} unit {unit}"
    return Request(path, tuple(one.point for one in run), block, text)
