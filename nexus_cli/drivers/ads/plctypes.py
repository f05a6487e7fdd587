"""The types of a PLC: elementary ones, strings, arrays, structures, enumerations. Pure.

Source: IEC 61131-3 §6.4; Beckhoff TwinCAT 3 PLC, data types; ADS data type ids (ADST_…).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from nexus_cli.drivers.ads.symbol_table import BIT_VALUES, TypeEntry


@dataclass(frozen=True, slots=True)
class Elementary:
    """A type of the language itself.

    Attributes:
        name: First spelling.
        code: `struct` code, little endian.
        ads: ADS data type id.
        unit_s: Seconds that one step of a time or date is worth; 0 for numbers.
        meaning: `bool`, `int`, `real`, `span` (a duration or time of day) or `moment` (since 1970).
    """

    name: str
    code: str
    size: int
    ads: int
    meaning: str
    unit_s: float = 0.0


_TABLE = (
    Elementary("BOOL", "?", 1, 33, "bool"),
    Elementary("SINT", "b", 1, 16, "int"),
    Elementary("USINT", "B", 1, 17, "int"),
    Elementary("INT", "h", 2, 2, "int"),
    Elementary("UINT", "H", 2, 18, "int"),
    Elementary("DINT", "i", 4, 3, "int"),
    Elementary("UDINT", "I", 4, 19, "int"),
    Elementary("LINT", "q", 8, 20, "int"),
    Elementary("ULINT", "Q", 8, 21, "int"),
    Elementary("REAL", "f", 4, 4, "real"),
    Elementary("LREAL", "d", 8, 5, "real"),
    Elementary("TIME", "I", 4, 19, "span", 1e-3),
    Elementary("TOD", "I", 4, 19, "span", 1e-3),
    Elementary("LTIME", "Q", 8, 21, "span", 1e-9),
    Elementary("LTOD", "Q", 8, 21, "span", 1e-9),
    Elementary("DATE", "I", 4, 19, "moment", 1.0),
    Elementary("DT", "I", 4, 19, "moment", 1.0),
    Elementary("LDATE", "Q", 8, 21, "moment", 1e-9),
    Elementary("LDT", "Q", 8, 21, "moment", 1e-9),
)
_ALIASES = {
    "BIT": "BOOL",
    "BYTE": "USINT",
    "WORD": "UINT",
    "DWORD": "UDINT",
    "LWORD": "ULINT",
    "TIME_OF_DAY": "TOD",
    "LTIME_OF_DAY": "LTOD",
    "DATE_AND_TIME": "DT",
    "LDATE_AND_TIME": "LDT",
}
ELEMENTARY: dict[str, Elementary] = {one.name: one for one in _TABLE}
ELEMENTARY |= {alias: ELEMENTARY[name] for alias, name in _ALIASES.items()}
BY_ADS: dict[int, Elementary] = {one.ads: one for one in reversed(_TABLE) if not one.unit_s}
ADS_STRING, ADS_WSTRING, ADS_BIG = 30, 31, 65
DEFAULT_STRING = 80
"""Characters of a STRING without a length."""
POINTERS = ("POINTER TO ", "REFERENCE TO ", "PVOID")
REFERENCE = "REFERENCE TO "
MAX_DEPTH = 24
MAX_ELEMENTS = 1 << 22
MAX_PARTS = 50_000
"""Members of one type, those of its members included; descriptions that nest without end stop here."""
ALIGNMENT = 8
"""Widest alignment of a value. Source: Beckhoff TwinCAT 3, `pack_mode` (default 8)."""
_ARRAY = re.compile(r"ARRAY\s*\[([^\]]*)\]\s*OF\s+(.+)\Z", re.IGNORECASE | re.DOTALL)
_BOUNDS = re.compile(r"\s*(-?\d{1,10})\s*\.\.\s*(-?\d{1,10})\s*\Z")
_IN_OUT = re.compile(r"\(\s*VAR_IN_OUT\s*\)\s*\Z", re.IGNORECASE)
_TEXT = re.compile(r"(W?)STRING(?:\s*[\[(]\s*(\d{1,9})\s*[\])])?\Z", re.IGNORECASE)


class UnknownType(LookupError):
    """A type whose description has to be asked for first."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class EndlessError(ValueError):
    """A type that multiplies or nests without end: no part of it can be had."""


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a structure; `bit` is the bit in the byte at `offset` of a BIT member, -1 for all others."""

    name: str
    offset: int
    shape: Shape
    comment: str = ""
    bit: int = -1


@dataclass(frozen=True, slots=True)
class Shape:
    """A type with everything that decoding needs: at most one of `base`, `text`, `element`, `members` is there.

    Attributes:
        name: As the PLC names it.
        size: Bytes.
        base: Of single numbers, enumerations and times.
        text: Encoding of a string: `cp1252`, `utf-8` or `utf-16-le`.
        element, bounds: Of an array: its elements and (first index, count) per dimension.
        members: Of a structure.
        labels: Names of an enumeration's values.
        parts: Members of a structure, those of its members included; 1 for everything else.
        why: Why it has no value although its name promises one, "" where the name says it.
    """

    name: str
    size: int
    base: Elementary | None = None
    text: str = ""
    element: Shape | None = None
    bounds: tuple[tuple[int, int], ...] = ()
    members: tuple[Member, ...] = ()
    labels: Mapping[int, str] = field(default_factory=dict)
    parts: int = 1
    why: str = ""

    @property
    def alignment(self) -> int:
        """Bytes that its place is a multiple of."""
        if self.members:
            return max(member.shape.alignment for member in self.members)
        if self.element is not None:
            return self.element.alignment
        if self.text:
            return 2 if self.text == "utf-16-le" else 1
        return max(1, min(self.size, ALIGNMENT))

    @property
    def opaque(self) -> bool:
        """It has no value: a pointer, an interface, a block without variables."""
        if self.base is not None or self.text or self.members:
            return False
        return self.element is None or self.element.opaque

    @property
    def count(self) -> int:
        """Elements of an array over all dimensions."""
        return prod(count for _, count in self.bounds)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Turns a type's name into its shape.

    Attributes:
        types: What is known by name in upper case; None for a name that the PLC does not know.
        utf8: Strings hold UTF-8 (attribute TcEncoding).
        thorough: Ask for the description of scalars too (an alias of TIME or DT has the form of a number).
    """

    types: Mapping[str, TypeEntry | None]
    utf8: bool = False
    thorough: bool = False

    def shape(self, name: str, ads: int, size: int, depth: int = 0) -> Shape:
        """The shape of a type as a symbol or member names it.

        Raises:
            UnknownType: Its description is needed first.
            ValueError: It makes no sense.
        """
        if depth > MAX_DEPTH:
            raise EndlessError(f"the type {name} is nested too deep")
        if _IN_OUT.search(name):  # as long as a pointer, whatever its prefix
            return Shape(name, size, why="VAR_IN_OUT: its value is that of another variable")
        text = _TEXT.match(name)
        if text is not None or (ads in (ADS_STRING, ADS_WSTRING) and not name.upper().startswith("ARRAY")):
            wide = bool(text[1]) if text is not None else ads == ADS_WSTRING
            return Shape(name, size, text="utf-16-le" if wide else "utf-8" if self.utf8 else "cp1252")
        array = _ARRAY.match(name)
        if array is not None:
            return self._array(name, _bounds(array[1]), array[2].strip(), ads, size, depth)
        if name.upper().startswith(POINTERS):
            return Shape(name, size)
        base = ELEMENTARY.get(name.upper())
        if base is not None and base.size == size:
            return Shape(name, size, base=base)
        return self._named(name, ads, size, depth)

    def _named(self, name: str, ads: int, size: int, depth: int) -> Shape:
        entry = self.types.get(name.upper())
        scalar = BY_ADS.get(ads)
        if scalar is not None and scalar.size != size:
            scalar = None
        if entry is None:
            if name.upper() in self.types or (scalar is not None and not self.thorough):
                return Shape(name, size, base=scalar)
            raise UnknownType(name)
        if entry.bounds:
            return self._array(name, entry.bounds, entry.type_name, entry.ads, size, depth)
        if entry.members:
            return self._structure(name, size, entry, depth)
        if entry.type_name and entry.type_name.upper() != name.upper():
            below = self.shape(entry.type_name, entry.ads, entry.size, depth + 1)
            if not entry.labels:
                return below
            scalar = below.base or scalar
        return Shape(name, size, base=scalar, labels=_labels(entry, scalar))

    def target(self, name: str) -> Shape:
        """The shape of what a `REFERENCE TO name` refers to. Raises as `shape` does."""
        array = _ARRAY.match(name)
        if array is not None:
            bounds, element = _bounds(array[1]), self.target(array[2].strip())
            count = prod(one for _, one in bounds)
            return self._array(name, bounds, element.name, ADS_BIG, element.size * count, 0)
        if name.upper() in ELEMENTARY or _TEXT.match(name):
            return shape_by_name(name, utf8=self.utf8)
        entry = self.types.get(name.upper())
        if entry is not None:
            return self.shape(name, entry.ads, entry.size)
        if name.upper() in self.types:
            raise ValueError(f"the PLC does not know the type {name}")
        raise UnknownType(name)

    def _structure(self, name: str, size: int, entry: TypeEntry, depth: int) -> Shape:
        members, parts = [], 1
        for one in entry.members:
            members.append(self._member(one, depth))
            parts += members[-1].shape.parts
            if parts > MAX_PARTS:
                raise EndlessError(f"{name} has more than {MAX_PARTS} members")
        return Shape(name, size, members=tuple(members), parts=parts)

    def _member(self, entry: TypeEntry, depth: int) -> Member:
        if entry.flags & BIT_VALUES:
            shape = Shape(entry.type_name, 1, base=ELEMENTARY["BIT"])
            return Member(entry.name, entry.offset // 8, shape, entry.comment, entry.offset % 8)
        try:
            if entry.bounds and _ARRAY.match(entry.type_name) is None:
                shape = self._array(entry.type_name, entry.bounds, entry.type_name, entry.ads, entry.size, depth)
            else:
                shape = self.shape(entry.type_name, entry.ads, entry.size, depth + 1)
        except EndlessError:
            raise
        except ValueError as error:  # it is left out; its neighbours are kept
            shape = Shape(entry.type_name, entry.size, why=str(error))
        return Member(entry.name, entry.offset, shape, entry.comment)

    def _array(
        self, name: str, bounds: tuple[tuple[int, int], ...], element: str, ads: int, size: int, depth: int
    ) -> Shape:
        count = prod(one for _, one in bounds)
        if not 0 < count <= MAX_ELEMENTS or size % count:
            raise ValueError(f"{name} of {size} bytes can't have {count} elements")
        element_ads = ADS_BIG if ads == ADS_BIG or _ARRAY.match(element) else ads
        one = self.shape(element, element_ads, size // count, depth + 1)
        return Shape(name, size, element=one, bounds=bounds, parts=one.parts)


def _labels(entry: TypeEntry, base: Elementary | None) -> dict[int, str]:
    """Names of an enumeration's values, whose sign is that of the type below it: 16#FFFF of a WORD is 65535."""
    if base is None:
        return {}
    signed = base.code.islower()
    return {int.from_bytes(raw, "little", signed=signed): label for label, raw in entry.labels}


def _bounds(text: str) -> tuple[tuple[int, int], ...]:
    found = []
    for part in text.split(","):
        match = _BOUNDS.match(part)
        if match is None:
            raise ValueError(f"'{text}' are not the bounds of an array")
        low, high = int(match[1]), int(match[2])
        found.append((low, high - low + 1))
    return tuple(found)


def shape_by_name(name: str, *, utf8: bool = False) -> Shape:
    """The shape of an elementary type or string by its name alone (raw memory, simulator). Raises ValueError."""
    base = ELEMENTARY.get(name.upper())
    if base is not None:
        return Shape(base.name, base.size, base=base)
    text = _TEXT.match(name)
    if text is None:
        raise ValueError(f"'{name}' is not an elementary type of a PLC")
    length = int(text[2] or DEFAULT_STRING) + 1
    encoding = "utf-16-le" if text[1] else "utf-8" if utf8 else "cp1252"
    return Shape(f"{text[1].upper()}STRING({length - 1})", length * (2 if text[1] else 1), text=encoding)


def array_of(shape: Shape, count: int, *, first: int = 0) -> Shape:
    """A one-dimensional array."""
    name = f"ARRAY [{first}..{first + count - 1}] OF {shape.name}"
    return Shape(name, shape.size * count, element=shape, bounds=((first, count),))
