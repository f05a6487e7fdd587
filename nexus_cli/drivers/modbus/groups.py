"""Which reads to join: pure. Every point stands in exactly one request, and no value is split over two.

Source: Modbus Application Protocol V1.1b3 §6.1-§6.4 (at most 2,000 bits, 125 registers); devices may give less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.drivers.base import Point, Request
from nexus_cli.drivers.modbus.codec import Decoder, compile_bits, compile_registers
from nexus_cli.drivers.modbus.field import Field, field_of
from nexus_cli.drivers.modbus.kind import MAX_READ, MAX_READ_BITS
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Read function code of each area."""
_AREA_ORDER = {area: number for number, area in enumerate(FUNCTIONS)}
DEFAULT_GAP = 50
BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Block:
    """One read: what goes on the wire, and the compiled way back from its answer.

    Attributes:
        function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
        start: First bit or register, zero-based.
        count: Bits or registers.
        unit_id: Unit id on the wire.
        registers: Decoder of a register block's bytes, None for bits.
        bits: Decoder of a bit block, None for registers.
    """

    function: int
    start: int
    count: int
    unit_id: int
    registers: Decoder | None
    bits: Callable[[Sequence[bool]], list[Value]] | None


@dataclass(frozen=True, slots=True)
class _Limits:
    registers: int
    bits: int
    gap: int
    single: bool
    unit_id: int


def _limits(connection: dict[str, Any], *, fill_gaps: bool) -> _Limits:
    gap = connection.get("max_gap")
    return _Limits(
        min(MAX_READ, connection.get("max_read") or MAX_READ),
        min(MAX_READ_BITS, connection.get("max_read_bits") or MAX_READ_BITS),
        (DEFAULT_GAP if gap is None else gap) if fill_gaps else 0,
        bool(connection.get("single_field")),
        unit_of(connection),
    )


def unit_of(connection: dict[str, Any]) -> int:
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
    placed = [(field_of(point), point) for point in points]
    placed.sort(
        key=lambda pair: (_unit(pair[0], limits), _AREA_ORDER[pair[0].area], pair[0].start, pair[0].count, pair[1].name)
    )
    requests: list[Request] = []
    run: list[tuple[Field, Point]] = []
    end = 0
    for field, point in placed:
        if run and _joins(run[0][0], field, end, limits):
            run.append((field, point))
            end = max(end, field.start + field.count)
            continue
        if run:
            requests.append(_request(device.path, run, end, limits))
        run, end = [(field, point)], field.start + field.count
    if run:
        requests.append(_request(device.path, run, end, limits))
    return tuple(requests)


def _unit(field: Field, limits: _Limits) -> int:
    return limits.unit_id if field.unit_id is None else field.unit_id


def _joins(first: Field, field: Field, end: int, limits: _Limits) -> bool:
    """Whether a field may be read along with a run that starts with `first` and ends before `end`."""
    if limits.single or field.area != first.area or _unit(field, limits) != _unit(first, limits):
        return False
    most, gap = (limits.bits, limits.gap * BITS_PER_REGISTER) if field.in_bits else (limits.registers, limits.gap)
    return field.start - end <= gap and max(end, field.start + field.count) - first.start <= most


def _request(path: str, run: Sequence[tuple[Field, Point]], end: int, limits: _Limits) -> Request:
    first = run[0][0]
    fields = tuple(field for field, _ in run)
    start, count, unit = first.start, end - first.start, _unit(first, limits)
    block = Block(
        FUNCTIONS[first.area],
        start,
        count,
        unit,
        None if first.in_bits else compile_registers(fields, start),
        compile_bits(fields, start) if first.in_bits else None,
    )
    span = f"{start}..{start + count - 1}" if count > 1 else str(start)
    text = f"FC{block.function} {first.area} {span} unit {unit}"
    return Request(path, tuple(point for _, point in run), block, text)
