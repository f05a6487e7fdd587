"""Where one point lies in a CPU and how its bytes are read: a point's normal form, taken apart once per configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import STRUCT_CODES
from nexus_cli.drivers.s7.address import SIZES
from nexus_cli.model.datatype import DataType, parse_type

_NORMAL = re.compile(
    r"%(?:DB(?P<db>\d+):|(?P<area>[IQMTC]))(?P<byte>\d+)(?:\.(?P<bit>\d))?:"
    r"(?P<type>[A-Z0-9]+)(?:\((?P<length>\d+)\))?(?:\[(?P<count>\d+)\])?\Z"
)
BCD = ("BCD8", "BCD16", "BCD32")
"""Types whose half bytes are decimal digits; in a signed type the first of them is the sign."""
ELEMENTS = ("T", "C")
"""Areas that are addressed by number of a timer or counter, two bytes each, and not by byte."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one point lies: everything that its address and type say.

    Attributes:
        area: I, Q, M, DB, T or C.
        db: Number of the data block, 0 elsewhere.
        start: First byte; in T and C twice the number of the timer or counter, so that all areas count in bytes.
        bit: First bit of a BOOL.
        size: Bytes from `start` that the value takes.
        type: S7 type.
        kind: Our type.
        count: Elements of an array, 0 for a single value.
        length: Characters of a STRING, WSTRING, or of CHARs that are read as text.
        stride: Bytes from one element to the next.
    """

    area: str
    db: int
    start: int
    bit: int
    size: int
    type: str
    kind: DataType
    count: int
    length: int
    stride: int

    @property
    def end(self) -> int:
        """First byte behind the value."""
        return self.start + self.size

    @property
    def place(self) -> tuple[str, int]:
        """Area and block: what one item of a read may span."""
        return self.area, self.db

    @property
    def plain(self) -> bool:
        """A single number that `struct` reads as it lies there."""
        return not self.count and self.code != ""

    @property
    def code(self) -> str:
        """`struct` letter of one element, "" when it takes more than that."""
        if self.type == "COUNTER" or self.type in BCD:
            return ""
        if self.kind.base == "duration":
            return {"TIME": "i", "TOD": "I"}.get(self.type, "")
        return STRUCT_CODES.get(self.kind.base, "")


def field_of(point: Point) -> Field:
    """Read a point's normal form.

    Raises:
        ValueError: It is not one (a newer control, an older gateway).
    """
    return _field(point.address, point.type)


@lru_cache(maxsize=16_384)
def _field(address: str, type_: str) -> Field:
    """Cached, because the devices of one template have the same addresses."""
    match = _NORMAL.match(address)
    if match is None:
        raise ValueError(f"'{address}' is not an S7 address in normal form")
    kind = parse_type(type_)
    area = match["area"] or "DB"
    s7_type = match["type"]
    bit, start = int(match["bit"] or 0), int(match["byte"]) * (2 if area in ELEMENTS else 1)
    length, count = int(match["length"] or 0), kind.count
    if s7_type in ("CHAR", "WCHAR") and kind.base == "string":
        length = (kind.length or 1) if count else int(match["count"] or 0) or kind.length or 1
    if s7_type == "BOOL":
        size, stride = (bit + (count or 1) + 7) // 8, 1
    else:
        stride = _stride(s7_type, length)
        size = stride * (count - 1) + _width(s7_type, length) if count else _width(s7_type, length)
    return Field(area, int(match["db"] or 0), start, bit, size, s7_type, kind, count, length, stride)


def _width(s7_type: str, length: int) -> int:
    """Bytes of one element."""
    if s7_type == "STRING":
        return length + 2
    if s7_type == "WSTRING":
        return 2 * length + 4
    if s7_type not in SIZES:
        raise ValueError(f"'{s7_type}' is not an S7 type")
    return SIZES[s7_type] * (length or 1)


def _stride(s7_type: str, length: int) -> int:
    """Bytes from one element of an array to the next: a STRING begins at an even byte.

    Source: STEP 7, "Structure of the data type ARRAY": elements of more than one byte start at word limits.
    """
    width = _width(s7_type, length)
    return width + width % 2 if s7_type == "STRING" else width
