"""The memory of one simulated unit: registers and bits that signals fill at each read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import SIZES, STRUCT_CODES
from nexus_cli.drivers.modbus.codec import compile_bits, compile_registers
from nexus_cli.drivers.modbus.encode import encode_bits, encode_registers, half_masks, is_partial
from nexus_cli.drivers.modbus.field import Field, field_of
from nexus_cli.drivers.modbus.order import NATURAL
from nexus_cli.drivers.simulation.memory import Cell, Cells, Refused
from nexus_cli.drivers.simulation.signals import Signal
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Value

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
"""Source: Modbus Application Protocol V1.1b3 §7."""


class Area:
    """One of the four areas of a unit: two bytes a register, one byte a bit.

    What lies before the first and after the last declared address answers "illegal data address"; the gaps between
    do so only with `holes`, otherwise they are zero.
    """

    def __init__(self, *, in_bits: bool) -> None:
        self.in_bits = in_bits
        self.width = 1 if in_bits else 2
        self.start = 0
        self.memory = bytearray()
        self.declared = bytearray()
        self.cells = Cells[Cell[Field]]()

    def lay_out(self, tags: list[tuple[str, Field, Signal]], *, holes: bool) -> None:
        """Make room for tags and declare their addresses."""
        self.start = min(field.start for _, field, _ in tags)
        size = max(field.start + field.count for _, field, _ in tags) - self.start
        self.memory, self.declared = bytearray(size * self.width), bytearray((not holes,)) * size
        for name, field, signal in tags:
            at = field.start - self.start
            self.declared[at : at + field.count] = b"\1" * field.count
            self.cells.all.append(Cell(name, field, signal, _store(field, at)))

    def forbid(self, start: int, count: int) -> None:
        """Make addresses illegal, as a hole in a device's map."""
        at = start - self.start
        self.declared[at : at + count] = bytes(count)

    def view(self, start: int, count: int, *, t_s: float) -> memoryview:
        """The bytes of a range, live signals filled in.

        Raises:
            Refused: A part of it does not exist.
        """
        at = self._at(start, count)
        for cell in self.cells.within(start, count):
            if cell.signal is not None:
                cell.store(self.memory, cell.signal(t_s))
        return memoryview(self.memory)[at * self.width : (at + count) * self.width]

    def write(self, start: int, data: bytes) -> None:
        """Overwrite a range; the signals of the tags that it touches stop.

        Raises:
            Refused: A part of it does not exist.
        """
        count = len(data) // self.width
        at = self._at(start, count)
        for cell in self.cells.within(start, count):
            cell.signal = None
        self.memory[at * self.width : (at + count) * self.width] = data

    def _at(self, start: int, count: int) -> int:
        at = start - self.start
        if at < 0 or at + count > len(self.declared) or not all(self.declared[at : at + count]):
            raise Refused(ILLEGAL_ADDRESS)
        return at


def _store(field: Field, at: int) -> Callable[[bytearray, Value], None]:
    """How a value of a field is put into the memory at position `at` (registers or bits)."""
    if field.in_bits:

        def put_bits(memory: bytearray, value: Value) -> None:
            memory[at : at + field.count] = bytes(encode_bits(field, value))

        return put_bits
    byte = at * 2
    if is_partial(field):

        def put_part(memory: bytearray, value: Value) -> None:
            and_mask, or_mask = half_masks(field, value)
            current = int.from_bytes(memory[byte : byte + 2], "big")
            memory[byte : byte + 2] = (current & and_mask | or_mask & ~and_mask & 0xFFFF).to_bytes(2, "big")

        return put_part
    if field.kind.base == "bool":
        return _put_bit_array(field, byte)
    size = SIZES.get(field.kind.base, 0)
    if size and not field.kind.count and field.order == NATURAL[size] and not field.bcd:
        pack = struct.Struct(">" + STRUCT_CODES[field.kind.base]).pack_into
        return lambda memory, value: pack(memory, byte, value)

    def put(memory: bytearray, value: Value) -> None:
        raw = encode_registers(field, value)
        memory[byte : byte + len(raw)] = raw

    return put


def _put_bit_array(field: Field, byte: int) -> Callable[[bytearray, Value], None]:
    def put(memory: bytearray, value: Value) -> None:
        for number, item in enumerate(value if isinstance(value, list) else []):
            index, bit = divmod(field.bit + number, 16)
            lower = (bit < 8) != (field.order == "BA")
            place = byte + index * 2 + (1 if lower else 0)
            mask = 1 << (bit % 8)
            memory[place] = memory[place] | mask if item else memory[place] & ~mask

    return put


def _whole(signal: Signal) -> Signal:
    """A signal of whole numbers: the simulated scale factor is always 10^0."""

    def whole(t_s: float) -> Value:
        value = signal(t_s)
        return round(value) if isinstance(value, float) else value

    return whole


class Unit:
    """All areas of one unit id.

    Attributes:
        limits: The connection keys that bound what it accepts.
        silent: It does not answer at all (a dead unit behind a gateway).
        failure: It answers everything with this exception code, 0 for none.
        identity: Texts of its identification (FC43) by object id.
    """

    def __init__(self, limits: dict[str, object]) -> None:
        self.limits = limits
        self.areas: dict[str, Area] = {}
        self.silent = False
        self.failure = 0
        self.identity: dict[int, bytes] = {}
        self._tags: dict[str, list[tuple[str, Field, Signal]]] = {}

    def add(self, name: str, point: Point, signal: Signal) -> None:
        """Take in a tag; `ready` must follow."""
        field = field_of(point)
        if field.scale_at is not None:
            scale = Field(field.area, field.scale_at, 1, parse_type("int16"), order=NATURAL[2])
            self._tags.setdefault(field.area, []).append((f"{name}#scale", scale, lambda _t_s: 0))
            field, signal = replace(field, scale_at=None), _whole(signal)
        self._tags.setdefault(field.area, []).append((name, field, signal))

    def ready(self, *, holes: bool) -> None:
        """Lay out the memory."""
        for area, tags in self._tags.items():
            self.areas[area] = Area(in_bits=tags[0][1].in_bits)
            self.areas[area].lay_out(tags, holes=holes)

    def area(self, name: str) -> Area:
        """An area of the unit.

        Raises:
            Refused: No tag lies in it.
        """
        if name not in self.areas:
            raise Refused(ILLEGAL_ADDRESS)
        return self.areas[name]

    def cell(self, name: str) -> tuple[Area, Cell[Field]]:
        """Where a tag lies."""
        for area in self.areas.values():
            for cell in area.cells.all:
                if cell.name == name:
                    return area, cell
        raise KeyError(name)

    def value(self, name: str, *, t_s: float) -> Value:
        """What a reader decodes for this tag at this moment."""
        area, cell = self.cell(name)
        field = cell.field
        if cell.signal is not None:
            cell.store(area.memory, cell.signal(t_s))
        at = (field.start - area.start) * area.width
        raw = bytes(area.memory[at : at + field.count * area.width])
        if field.in_bits:
            return compile_bits((field,), field.start)([bool(byte) for byte in raw])[0]
        return compile_registers((field,), field.start)(raw)[0][0]
