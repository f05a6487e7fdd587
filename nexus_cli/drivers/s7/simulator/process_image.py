"""The memory of one simulated CPU: blocks and areas that signals fill at each read."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.s7.codec import compile_fields
from nexus_cli.drivers.s7.encode import encode_bits, encode_bytes
from nexus_cli.drivers.s7.field import Field, field_of
from nexus_cli.drivers.s7.status import NO_OBJECT, OUT_OF_RANGE
from nexus_cli.drivers.simulation import memory
from nexus_cli.drivers.simulation.memory import Cells, Refused
from nexus_cli.drivers.simulation.signals import Signal
from nexus_cli.wire.sample import Value

Place = tuple[str, int]
"""Area and number of the data block."""


@dataclass(slots=True)
class Cell(memory.Cell[Field]):
    """One tag in the memory."""

    def fill(self, memory: bytearray, t_s: float) -> None:
        """Store the signal's current value; one that does not fit leaves the last."""
        if self.signal is not None:
            with contextlib.suppress(EncodeError, struct.error):
                self.store(memory, _fitting(self.field, self.signal(t_s)))


class Space:
    """One data block, or one other area; what lies behind its last declared byte does not exist.

    Attributes:
        refuses: The return code that every access gets, 0 for none (protected, optimised).
    """

    def __init__(self) -> None:
        self.memory = bytearray()
        self.cells = Cells[Cell]()
        self.refuses = 0
        self._holes: list[tuple[int, int]] = []

    def add(self, name: str, field: Field, signal: Signal) -> None:
        """Make room for a tag.

        Raises:
            ValueError: Its signal does not fit its type.
        """
        self.memory.extend(bytes(max(0, field.end - len(self.memory))))
        cell = Cell(name, field, signal, _store(field))
        try:
            cell.store(self.memory, _fitting(field, signal(0.0)))
        except (EncodeError, struct.error) as error:
            raise ValueError(f"{name}: {error}") from None
        self.cells.all.append(cell)

    def forbid(self, start: int, size: int) -> None:
        """Make bytes answer "out of range"."""
        self._holes.append((start, start + size))

    def view(self, start: int, size: int, *, t_s: float) -> bytes:
        """The bytes of a range, live signals filled in.

        Raises:
            Refused: A part of it does not exist, or nothing may be read.
        """
        self._check(start, size)
        for cell in self.cells.within(start, size):
            cell.fill(self.memory, t_s)
        return bytes(self.memory[start : start + size])

    def write(self, start: int, data: bytes) -> None:
        """Overwrite a range; the signals of the tags that it touches stop. Raises Refused."""
        self._check(start, len(data))
        for cell in self.cells.within(start, len(data)):
            cell.signal = None
        self.memory[start : start + len(data)] = data

    def write_bit(self, start: int, bit: int, on: bool) -> None:
        """Set or clear one bit; only the signals of tags that have this bit stop. Raises Refused."""
        self._check(start, 1)
        for cell in self.cells.within(start, 1):
            field = cell.field
            first = field.start * 8 + field.bit
            if field.type != "BOOL" or first <= start * 8 + bit < first + (field.count or 1):
                cell.signal = None
        mask = 1 << bit
        self.memory[start] = self.memory[start] | mask if on else self.memory[start] & ~mask

    def _check(self, start: int, size: int) -> None:
        if self.refuses:
            raise Refused(self.refuses)
        end = start + size
        if end > len(self.memory) or any(low < end and start < high for low, high in self._holes):
            raise Refused(OUT_OF_RANGE)


class Image:
    """Everything that one CPU holds."""

    def __init__(self) -> None:
        self.spaces: dict[Place, Space] = {}
        self._tags: dict[str, tuple[Space, Cell]] = {}

    def add(self, name: str, point: Point, signal: Signal) -> Place:
        """Take in a tag under a name; gives its place. Raises ValueError when its signal does not fit."""
        field = field_of(point)
        space = self.spaces.setdefault(field.place, Space())
        space.add(name, field, signal)
        self._tags[name] = space, space.cells.all[-1]
        return field.place

    def space(self, place: Place) -> Space:
        """A block or area. Raises Refused when the CPU has none."""
        found = self.spaces.get(place)
        if found is None:
            raise Refused(NO_OBJECT)
        return found

    def cell(self, name: str) -> tuple[Space, Cell]:
        """Where a tag lies."""
        return self._tags[name]

    def value(self, name: str, *, t_s: float) -> Value:
        """What a reader decodes for this tag at this moment."""
        space, cell = self._tags[name]
        cell.fill(space.memory, t_s)
        return compile_fields([(cell.field, cell.field.start)])(bytes(space.memory))[0][0]

    def hold(self, name: str, value: Value) -> None:
        """Hold a tag at a raw value from now on. Raises ValueError when it does not fit."""
        space, cell = self._tags[name]
        cell.store(space.memory, value)
        cell.signal = None


def _store(field: Field) -> Callable[[bytearray, Value], None]:
    """How a value of a field is put into the memory."""
    if field.type == "BOOL":

        def put_bits(memory: bytearray, value: Value) -> None:
            for number, on in enumerate(encode_bits(field, value)):
                byte, bit = divmod(field.bit + number, 8)
                at, mask = field.start + byte, 1 << bit
                memory[at] = memory[at] | mask if on else memory[at] & ~mask

        return put_bits

    def put(memory: bytearray, value: Value) -> None:
        memory[field.start : field.end] = encode_bytes(field, value)

    if not field.plain:
        return put
    pack, start = struct.Struct(">" + field.code).pack_into, field.start

    def put_number(memory: bytearray, value: Value) -> None:
        try:
            pack(memory, start, value)
        except (struct.error, OverflowError):
            put(memory, value)

    return put_number


def _fitting(field: Field, value: Value) -> Value:
    """A signal's value as this S7 type can hold it: signals know our types, not the CPU's narrower ones."""
    if isinstance(value, list):
        return [_fitting(field, item) for item in value]
    if isinstance(value, str) and field.kind.base == "string":
        narrow = field.type in ("CHAR", "STRING")
        text = value.encode("cp1252", "replace").decode("cp1252") if narrow else value
        return text[: field.length]
    if field.type in ("S5TIME", "TIMER") and isinstance(value, (int, float)) and field.kind.base == "duration":
        step = next((step for step in (10, 100, 1_000) if value <= 999 * step), 10_000)
        return min(9_990_000, max(0, int(value // step * step)))
    if field.type == "COUNTER" and isinstance(value, (int, float)):
        return min(999, max(0, int(value)))
    return value
