"""Where every variable of a data block with standard access lies.

Rules: a BOOL takes the next bit; one-byte types the next byte; everything else, and every structure, array and string,
begins at an even byte; a structure or an array also ends at one. In an array of bits with several dimensions each row
begins at a byte; bytes lie one behind the other. An instance data block holds inputs, outputs, in-outs and statics, each
of these sections from an even byte on; an in-out of a compound type is a pointer of six bytes.

Source: Siemens, "STEP 7 - Programming with STEP 7", appendix "Data types and declaration of local data: assignment of
memory"; checked against the offsets that TIA Portal shows for python-snap7's test blocks. Rows of bits as in
DotNetSiemensPLCToolBoxLibrary (S7DataRow), sections as in Awlsim (BlockInterface).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nexus_cli.discover.importers.tia.text import Block, Declared, Variable
from nexus_cli.discover.importers.twincat.types import index_at

SIZES: dict[str, tuple[str, int, str]] = {
    "bool": ("BOOL", 0, "bool"),
    "byte": ("BYTE", 1, "uint8"),
    "char": ("CHAR", 1, "string[1]"),
    "sint": ("SINT", 1, "int8"),
    "usint": ("USINT", 1, "uint8"),
    "word": ("WORD", 2, "uint16"),
    "int": ("INT", 2, "int16"),
    "uint": ("UINT", 2, "uint16"),
    "wchar": ("WCHAR", 2, "string[1]"),
    "date": ("DATE", 2, "datetime"),
    "s5time": ("S5TIME", 2, "duration"),
    "dword": ("DWORD", 4, "uint32"),
    "dint": ("DINT", 4, "int32"),
    "udint": ("UDINT", 4, "uint32"),
    "real": ("REAL", 4, "float32"),
    "time": ("TIME", 4, "duration"),
    "time_of_day": ("TOD", 4, "duration"),
    "tod": ("TOD", 4, "duration"),
    "lword": ("LWORD", 8, "uint64"),
    "lint": ("LINT", 8, "int64"),
    "ulint": ("ULINT", 8, "uint64"),
    "lreal": ("LREAL", 8, "float64"),
    "ltime": ("LTIME", 8, "duration"),
    "ltime_of_day": ("LTOD", 8, "duration"),
    "ltod": ("LTOD", 8, "duration"),
    "date_and_time": ("DT", 8, "datetime"),
    "dt": ("DT", 8, "datetime"),
    "date_and_ltime": ("LDT", 8, "datetime"),
    "ldt": ("LDT", 8, "datetime"),
    "dtl": ("DTL", 12, "datetime"),
}
"""S7 type of an address, bytes (0: a bit), and our type, by the name in a source."""
WITHOUT_TYPE: dict[str, int] = {
    "any": 10,
    "pointer": 6,
    "timer": 2,
    "counter": 2,
    "block_fb": 2,
    "block_fc": 2,
    "block_db": 2,
    "hw_any": 2,
    "hw_io": 2,
    "hw_submodule": 2,
    "hw_device": 2,
    "hw_interface": 2,
    "hw_dpmaster": 2,
    "conn_any": 2,
    "conn_ouc": 2,
    "port": 2,
    "rtm": 2,
    "pip": 2,
    "event_any": 4,
    "ob_any": 2,
    "db_any": 2,
    "iec_timer": 16,
    "ton_time": 16,
    "tof_time": 16,
    "tp_time": 16,
    "tonr_time": 16,
    "iec_ltimer": 32,
    "ton_ltime": 32,
    "tof_ltime": 32,
    "tp_ltime": 32,
    "tonr_ltime": 32,
}
"""Bytes of what has a place in a block but no value that could be a tag."""
COUNTERS: dict[str, str] = {
    f"iec_{letters}counter": kind
    for letters, kind in (
        ("", "int"), ("u", "uint"), ("s", "sint"), ("us", "usint"), ("d", "dint"), ("ud", "udint"), ("l", "lint"), ("ul", "ulint"),
    )
}  # fmt: skip
"""Type of the count by the name of an IEC counter: six bits, filled up to the width of the count, its limit, the count.
Source: Siemens, S7-1200 system manual, "Counter operations": 3, 6 and 12 bytes by the width of the count."""
COUNTERS |= {f"{name}_{kind}": kind for name in ("ctu", "ctd", "ctud") for kind in tuple(COUNTERS.values())}
COUNTER_BITS = ("CU", "CD", "R", "LD", "QU", "QD")
POINTER_BYTES = 6
STRING_DEFAULT = 254
MAX_DEPTH = 40
MAX_VALUES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One value and its place, or the reason why there is none.

    Attributes:
        name: Names within the block, outermost first.
        byte: Offset.
        bit: 0..7 of a BOOL, else None.
        s7: Type of the address, with length and number of elements: `STRING(20)[5]`.
        type: Our type.
        comment: As written.
        reason: Why it can't be a tag, "" when it can.
    """

    name: tuple[str, ...]
    byte: int = 0
    bit: int | None = None
    s7: str = ""
    type: str = ""
    comment: str = ""
    reason: str = ""


class _Unknown(Exception):
    """From here on no offset is known."""


class Layout:
    """Walks one block.

    Attributes:
        limit: Most elements of an array of structures (or of plain values, when `elements`) that are listed.
    """

    def __init__(self, types: dict[str, Block], *, elements: bool, limit: int) -> None:
        self._types = types
        self._elements = elements
        self.limit = limit
        self._byte = 0
        self._bit = 0
        self._slots: list[Slot] = []
        self._lost = ""

    def slots(self, variables: list[Variable]) -> tuple[list[Slot], int]:
        """Every value of a block in its order, and the block's length in bytes (0 when it is not known)."""
        self._struct(variables, (), 0)
        self._whole_byte()
        return self._slots, 0 if self._lost else self._byte

    def _struct(self, variables: list[Variable], above: tuple[str, ...], depth: int) -> None:
        section = ""
        for variable in variables:
            name = (*above, variable.name)
            if variable.section != section:
                section = variable.section
                self._even()
            if self._lost:
                self._skip(name, self._lost)
                continue
            if variable.overlay:
                self._skip(name, "a view (AT) of another variable")
                continue
            if section == "in_out" and self._compound(variable.type):
                self._even()
                self._skip(name, "VAR_IN_OUT: its value is that of another variable")
                self._byte += POINTER_BYTES
                continue
            try:
                self._value(variable.type, name, variable.comment, depth)
            except _Unknown as unknown:
                self._skip(name, str(unknown))
                self._lost = f"its offset depends on the size of {'.'.join(name)}, which is not known"

    def _value(self, declared: Declared, name: tuple[str, ...], comment: str, depth: int) -> None:
        if depth > MAX_DEPTH or len(self._slots) > MAX_VALUES:
            raise _Unknown("nested too deeply, or too many values")
        if declared.bounds is None:
            raise _Unknown("the bounds of the array are constants, which the source does not hold")
        if declared.bounds:
            self._array(declared, declared.bounds, name, comment, depth)
            return
        members = self._members(declared)
        if members is not None:
            self._even()
            self._struct(members, name, depth + 1)
            self._even()
            return
        if declared.name in COUNTERS and not declared.quoted:
            self._counter(COUNTERS[declared.name], name)
            return
        if declared.name in WITHOUT_TYPE and not declared.quoted:
            self._even()
            self._skip(name, f"{declared.name.upper()} has no value that could be a tag")
            self._byte += WITHOUT_TYPE[declared.name]
            return
        self._plain(declared, name, comment)

    def _counter(self, kind: str, name: tuple[str, ...]) -> None:
        s7, size, ours = SIZES[kind]
        self._even()
        for bit, member in enumerate(COUNTER_BITS):
            self._slots.append(Slot(name=(*name, member), byte=self._byte, bit=bit, s7="BOOL", type="bool"))
        for member in ("PV", "CV"):
            self._byte += size
            self._slots.append(Slot(name=(*name, member), byte=self._byte, s7=s7, type=ours))
        self._byte += size
        self._even()

    def _compound(self, declared: Declared) -> bool:
        """Whether an in-out of this type is a pointer; elementary ones are copied."""
        if declared.bounds or declared.bounds is None or declared.quoted:
            return True
        return declared.name in ("struct", "dtl", "date_and_time", "dt", *_STRINGS, *COUNTERS)

    def _members(self, declared: Declared) -> list[Variable] | None:
        """Of a structure or of a type in the source; None for a plain type."""
        if declared.name == "struct" and not declared.quoted:
            return declared.members
        block = self._types.get(declared.name.lower())
        if block is not None and block.body is not None:
            return block.body
        if block is not None and block.trouble:
            raise _Unknown(f"the interface of {block.name} can't be read ({block.trouble})")
        known = declared.name in SIZES or declared.name in WITHOUT_TYPE or declared.name in _STRINGS
        if declared.quoted or not (known or declared.name in COUNTERS):
            raise _Unknown(f"its type {declared.name} is not in the source")
        return None

    def _plain(self, declared: Declared, name: tuple[str, ...], comment: str) -> None:
        s7, size, kind = _sized(declared)
        if not size:
            self._slots.append(Slot(name=name, byte=self._byte, bit=self._bit, s7="BOOL", type="bool", comment=comment))
            self._next_bit()
            return
        if size == 1:
            self._whole_byte()
        else:
            self._even()
        self._slots.append(Slot(name=name, byte=self._byte, s7=s7, type=kind, comment=comment))
        self._byte += size
        if declared.name in _STRINGS:
            self._even()

    def _array(
        self, declared: Declared, bounds: list[tuple[int, int]], name: tuple[str, ...], comment: str, depth: int
    ) -> None:
        element = Declared(name=declared.name, quoted=declared.quoted, length=declared.length, members=declared.members)
        count = 1
        for first, last in bounds:
            count *= max(last - first + 1, 0)
        if not count:
            raise _Unknown("an array without elements")
        self._even()
        members = self._members(element)
        whole = members is None and declared.name not in ("bool", *WITHOUT_TYPE, *COUNTERS)
        if whole and not self._elements:
            self._array_tag(element, count, name, comment)
        else:
            self._listed(element, bounds, count, name, comment, depth)
        self._even()

    def _array_tag(self, element: Declared, count: int, name: tuple[str, ...], comment: str) -> None:
        s7, size, kind = _sized(element)
        if element.name in ("char", "wchar"):
            kind = f"string[{count}]"
        else:
            kind = f"{kind}[{count}]"
        self._slots.append(Slot(name=name, byte=self._byte, s7=f"{s7}[{count}]", type=kind, comment=comment))
        self._byte += (size + size % 2 if element.name in _STRINGS else size) * count

    def _listed(
        self,
        element: Declared,
        bounds: list[tuple[int, int]],
        count: int,
        name: tuple[str, ...],
        comment: str,
        depth: int,
    ) -> None:
        """One by one up to the limit; the rest takes space before what follows, but is not reported."""
        sizes = [(first, last - first + 1) for first, last in bounds]
        row = sizes[-1][1] if len(sizes) > 1 and element.name == "bool" else 0  # a row of bits begins at a byte
        start, stride = self._byte * 8 + self._bit, 1
        for position in range(min(count, self.limit)):
            if row and not position % row:
                self._whole_byte()
            place = (*name[:-1], f"{name[-1]}[{','.join(map(str, index_at(sizes, position)))}]")
            self._value(element, place, comment, depth + 1)
            if self._lost:
                raise _Unknown(self._lost)
            if not position:
                stride = self._byte * 8 + self._bit - start
        bits = count // row * -(-row // 8) * 8 if row else stride * count
        self._byte, self._bit = divmod(start + bits, 8)
        if count > self.limit:
            beyond = f"{name[-1]}, elements {self.limit + 1} to {count}"
            self._skip((*name[:-1], beyond), f"an array of more than {self.limit} elements")

    def _skip(self, name: tuple[str, ...], reason: str) -> None:
        self._slots.append(Slot(name=name, reason=reason))

    def _next_bit(self) -> None:
        self._bit += 1
        if self._bit == 8:
            self._byte, self._bit = self._byte + 1, 0

    def _whole_byte(self) -> None:
        if self._bit:
            self._byte, self._bit = self._byte + 1, 0

    def _even(self) -> None:
        self._whole_byte()
        self._byte += self._byte % 2


_STRINGS = {"string": 2, "wstring": 4}
"""Bytes in front of the characters."""


def _sized(declared: Declared) -> tuple[str, int, str]:
    """S7 type, bytes and our type of a plain value."""
    if declared.name in _STRINGS:
        if declared.length < 0:
            raise _Unknown("the length of the string is a constant, which the source does not hold")
        length = declared.length or STRING_DEFAULT
        width = 1 if declared.name == "string" else 2
        size = length * width + _STRINGS[declared.name]
        return f"{declared.name.upper()}({length})", size, f"string[{length}]"
    if declared.name not in SIZES:
        raise _Unknown(f"its type {declared.name} is not known")
    return SIZES[declared.name]


def flat(variables: list[Variable], above: tuple[str, ...] = (), depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Names of variables whose place is not known, inline structures opened."""
    for variable in variables:
        name = (*above, variable.name)
        if variable.type.members and not variable.type.bounds and depth < MAX_DEPTH:
            yield from flat(variable.type.members, name, depth + 1)
        else:
            yield name
