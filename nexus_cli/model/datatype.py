"""Data types of tags: `float32`, `string[20]`, `float32[5]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nexus_cli.diagnostics.suggest import did_you_mean

INTEGER_BOUNDS: dict[str, tuple[int, int]] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
FLOATS = ("float16", "float32", "float64")
OTHERS = ("bool", "string", "datetime", "duration", "json")
NAMES: tuple[str, ...] = ("bool", *INTEGER_BOUNDS, *FLOATS, *OTHERS[1:])
"""Every base type. `datetime` is an ISO 8601 string in UTC, `duration` milliseconds, `json` a structure or list."""
IEC_TYPES: dict[str, str] = {
    "BOOL": "bool",
    "BIT": "bool",
    "BYTE": "uint8",
    "USINT": "uint8",
    "SINT": "int8",
    "WORD": "uint16",
    "UINT": "uint16",
    "INT": "int16",
    "DWORD": "uint32",
    "UDINT": "uint32",
    "DINT": "int32",
    "LWORD": "uint64",
    "ULINT": "uint64",
    "LINT": "int64",
    "REAL": "float32",
    "LREAL": "float64",
}
"""Our type of a PLC's numbers and bits. Source: IEC 61131-3 §6.4.2 (elementary data types); BIT as TwinCAT has it."""

_FORM = re.compile(r"(?P<base>[a-z0-9]+)(?:\[(?P<first>\d{1,5})\])?(?:\[(?P<second>\d{1,5})\])?\Z")


@dataclass(frozen=True, slots=True)
class DataType:
    """A parsed type.

    Attributes:
        base: One of `NAMES`.
        length: Characters of a string (`string[20]`), 0 when not given.
        count: Elements of an array (`float32[5]`), 0 for a single value.
    """

    base: str
    length: int = 0
    count: int = 0

    @property
    def numeric(self) -> bool:
        """True for single integers and floats."""
        return not self.count and (self.base in INTEGER_BOUNDS or self.base in FLOATS)

    @property
    def integer(self) -> bool:
        """True for single integers."""
        return not self.count and self.base in INTEGER_BOUNDS

    @property
    def exact64(self) -> bool:
        """True when a double can't hold every value: 64-bit integers."""
        return not self.count and self.base in ("int64", "uint64")

    def __str__(self) -> str:
        length = f"[{self.length}]" if self.length else ""
        return f"{self.base}{length}" + (f"[{self.count}]" if self.count else "")


@lru_cache(maxsize=4096)
def parse_type(text: str) -> DataType:
    """Read a type; `string[20]` is a length, `string[20][5]` five of them, `float32[5]` an array.

    Raises:
        ValueError: Not a type; the message quotes it.
    """
    match = _FORM.match(text)
    if match is None or match["base"] not in NAMES:
        raise ValueError(f"'{text}' is not a data type")
    first, second = int(match["first"] or 0), int(match["second"] or 0)
    if (match["first"] and not first) or (match["second"] and not second):
        raise ValueError(f"'{text}' has a length of zero")
    if match["base"] == "string":
        return DataType("string", length=first, count=second)
    if second:
        raise ValueError(f"'{text}' has two dimensions; only strings take a second bracket")
    return DataType(match["base"], count=first)


_WIDTHS = {"int": ("int16", "int32", "int64"), "uint": ("uint16", "uint32", "uint64"), "float": ("float32", "float64")}
_LIKELY: dict[str, tuple[str, ...]] = {
    **{name.lower(): (ours,) for name, ours in IEC_TYPES.items() if name not in ("INT", "UINT")},
    **dict.fromkeys(("int", "integer", "signed"), _WIDTHS["int"]),
    **dict.fromkeys(("uint", "unsigned", "unsigned int"), _WIDTHS["uint"]),
    **dict.fromkeys(("float", "number", "num", "analog", "decimal"), _WIDTHS["float"]),
    **{
        f"{short}{bits}": (f"{ours}{bits}",)
        for bits in (8, 16, 32, 64)
        for short, ours in (("i", "int"), ("s", "int"), ("u", "uint"))
    },
    **{f"f{bits}": (f"float{bits}",) for bits in (16, 32, 64)},
    "double": ("float64",),
    "single": ("float32",),
    "half": ("float16",),
    "short": ("int16",),
    "ushort": ("uint16",),
    "unsigned short": ("uint16",),
    "long": ("int32", "int64"),
    "ulong": ("uint32", "uint64"),
    "unsigned long": ("uint32", "uint64"),
    **dict.fromkeys(("boolean", "digital", "flag", "coil"), ("bool",)),
    **dict.fromkeys(("str", "text", "char", "varchar", "ascii", "wstring"), ("string[20]",)),
    **dict.fromkeys(("date", "timestamp", "date_and_time", "dt", "dtl", "ltime_of_day"), ("datetime",)),
    **dict.fromkeys(("time", "ltime", "timespan", "interval"), ("duration",)),
    **dict.fromkeys(("struct", "object", "array", "dict", "map", "list"), ("json",)),
}
"""What people write, small, and the types that it may mean. Source: IEC 61131-3 §6.4.2, C, .NET, Telegraf's modbus plugin."""
_OF_PLC = {"int16": "INT", "int32": "DINT", "int64": "LINT", "uint16": "UINT, WORD", "uint32": "UDINT, DWORD",
           "uint64": "ULINT, LWORD", "float32": "REAL", "float64": "LREAL"}  # fmt: skip


def type_hint(text: str) -> str:
    """The likely type for this text: one name, or the widths with a PLC's words for them."""
    word, bracket, rest = text.strip().partition("[")
    small = word.strip().lower().removesuffix("_t").replace("-", "_")
    bare = re.sub(r"_?(?:be|le|beswap|leswap|abcd|cdab|badc|dcba)\Z", "", small)
    for name in (small, bare):
        likely = (name,) if name in NAMES else _LIKELY.get(name)
        if word in ("INT", "UINT"):
            likely = (IEC_TYPES[word],)
        if likely is None:
            continue
        order = "; the order of bytes is said by 'order'" if name != small else ""
        if len(likely) > 1:
            listed = ", ".join(f"{one} ({_OF_PLC[one]})" for one in likely)
            return f"say how wide it is: {listed}{order}"
        wanted = likely[0].partition("[")[0] + bracket + rest if bracket else likely[0]
        return f"did you mean '{wanted}'?{order}"
    return did_you_mean(word, NAMES) or "the types are " + ", ".join(NAMES)
