"""Where one point lies and how its bytes are read: a point's normal form, taken apart once per configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import SIZES
from nexus_cli.drivers.modbus.address import BIT_AREAS, split_normal
from nexus_cli.drivers.modbus.kind import registers_of
from nexus_cli.drivers.modbus.order import NATURAL
from nexus_cli.model.datatype import DataType, parse_type


@dataclass(frozen=True, slots=True)
class Field:
    """Where one point lies: everything that its address and options say.

    Attributes:
        area: coil, discrete, input or holding.
        start: First bit or register, zero-based.
        count: Bits or registers.
        kind: Its type.
        bit: First bit in a register, for bools of register areas.
        order: Letters for the value's size.
        high: An 8-bit value lies in the high byte.
        length: Characters of a string.
        layout: How a string lies in the registers.
        unit_id: Unit id, or None for the device's.
        none: Raw numbers that mean "no value".
        bcd: Its digits are half bytes.
        scale_at: Register of the same area whose int16 is the power of ten that the raw number is multiplied by.
    """

    area: str
    start: int
    count: int
    kind: DataType
    bit: int = 0
    order: str = ""
    high: bool = False
    length: int = 0
    layout: str = "high-first"
    unit_id: int | None = None
    scale_at: int | None = None
    none: tuple[int | float, ...] = ()
    bcd: bool = False

    @property
    def end(self) -> int:
        """First bit or register behind it."""
        return self.start + self.count

    @property
    def in_bits(self) -> bool:
        """True for coils and discrete inputs."""
        return self.area in BIT_AREAS


def field_of(point: Point) -> Field:
    """Read a point's normal form."""
    area, start, bit = split_normal(point.address)
    options = point.options
    scale_from = options.get("scale_from")
    kind = parse_type(str(options["raw_type"]) if scale_from else point.type)
    length = int(options.get("length", 0)) or kind.length
    layout = str(options.get("layout", "high-first"))
    in_bits = area in BIT_AREAS
    size = max(2, SIZES.get(kind.base, 2))
    return Field(
        area,
        start,
        (kind.count or 1) if in_bits else registers_of(kind, length=length, layout=layout, bit=bit),
        kind,
        bit or 0,
        str(options.get("order", NATURAL[size])),
        options.get("byte") == "high",
        length,
        layout,
        options.get("unit_id"),
        split_normal(str(scale_from))[1] if scale_from else None,
        tuple(options.get("none", ())),
        options.get("encoding") == "bcd",
    )
