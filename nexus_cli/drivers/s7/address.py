"""Reads S7 addresses in the dialects of TIA and PLC4X, nodeS7, and gos7 (Telegraf, UMH; `MK0.X1.2` too), the V memory of
LOGO! and S7-200, which is data block 1, and writes the one normal form.

Normal form: `%DB1:10:REAL[5]`, `%DB1:0.3:BOOL`, `%M10.3:BOOL`, `%I4:INT`, `%T5:TIMER`, `%DB1:20:STRING(30)`.
Source: Siemens, "System Software for S7-300/400, System and Standard Functions" (areas); the address parsers of the named projects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.driver_kind import AddressError

SIZES: dict[str, int] = {
    "BOOL": 1,
    "BYTE": 1,
    "CHAR": 1,
    "SINT": 1,
    "USINT": 1,
    "WORD": 2,
    "INT": 2,
    "UINT": 2,
    "WCHAR": 2,
    "DATE": 2,
    "S5TIME": 2,
    "TIMER": 2,
    "COUNTER": 2,
    "DWORD": 4,
    "DINT": 4,
    "UDINT": 4,
    "REAL": 4,
    "TIME": 4,
    "TOD": 4,
    "LWORD": 8,
    "LINT": 8,
    "ULINT": 8,
    "LREAL": 8,
    "LTIME": 8,
    "LTOD": 8,
    "LDT": 8,
    "DT": 8,
    "DTL": 12,
    "BCD8": 1,
    "BCD16": 2,
    "BCD32": 4,
}
"""Bytes of one value. STRING(n) takes n + 2 bytes, WSTRING(n) 2n + 4."""

TYPES: tuple[str, ...] = (*SIZES, "STRING", "WSTRING")
_TYPE_ALIASES = {"TIME_OF_DAY": "TOD", "DATE_AND_TIME": "DT", "LTIME_OF_DAY": "LTOD", "DATE_AND_LTIME": "LDT"}

_AREAS = {"I": "I", "E": "I", "Q": "Q", "A": "Q", "M": "M", "F": "M", "DB": "DB", "T": "T", "C": "C", "Z": "C"}
_WIDTH = {"X": "BOOL", "B": "BYTE", "W": "WORD", "D": "DWORD"}
_GOS7_AREAS = {"PE": "I", "PA": "Q", "MK": "M"}
# gos7 and nodeS7 letters, and every type by its name; the tag's own type says more where the letter is loose
_LETTERS = {"X": "BOOL", "B": "BYTE", "C": "CHAR", "W": "WORD", "I": "INT", "DI": "DINT", "DW": "DWORD", "D": "DWORD"}
_LETTERS |= {"R": "REAL", "LR": "LREAL", "LI": "LINT", "S": "STRING", "DTZ": "DT", "DTLZ": "DTL"}
_SHORT: dict[str, str] = {**_LETTERS, **{kind: kind for kind in TYPES if kind != "BOOL"}}

_TYPED = r"(?::(?P<type>[A-Za-z0-9_]+)(?:\((?P<length>\d+)\))?(?:\[(?P<count>\d+)\](?:\[(?P<more>\d+)\])?)?)?\Z"
_TIA_DB = re.compile(r"%?DB(?P<db>\d+)\.DB(?P<width>[XBWD])(?P<byte>\d+)(?:\.(?P<bit>\d+))?" + _TYPED, re.I)
_PLC4X_DB = re.compile(r"%?DB(?P<db>\d+):(?P<byte>\d+)(?:\.(?P<bit>\d+))?" + _TYPED, re.I)
_SHORT_DB = re.compile(
    r"(?:DB(?P<db>\d+)|(?P<gos7>PE|PA|MK)\d*)[.,](?P<letters>S5TIME|BCD(?:8|16|32)|[A-Z]+)(?P<byte>\d+)"
    r"(?:\.(?P<first>\d+))?(?:\.(?P<second>\d+))?\Z",
    re.I,
)
_PLAIN = re.compile(r"%?(?P<area>[IEQAMFTCZ])(?P<width>[XBWD])?:?(?P<byte>\d+)(?:\.(?P<bit>\d+))?" + _TYPED, re.I)
_SHORT_PLAIN = re.compile(
    rf"(?P<area>[IEQAMF])(?P<letters>{'|'.join(sorted(_SHORT, key=len, reverse=True))})(?P<byte>\d+)(?:\.(?P<first>\d+))?\Z",
    re.I,
)
_GOS7_NUMBER = re.compile(r"(?P<area>[TC])\d*\.(?P=area)(?P<byte>\d+)\Z", re.I)
_V_MEMORY = re.compile(r"%?V(?P<letters>[A-Z]*)(?P<rest>\d.*)\Z", re.I)
_LOGO = re.compile(r"%?(?P<area>N?AI|N?AQ|AM|NI|NQ)(?P<number>\d{1,2})\Z", re.I)
_LOGO_WORDS = {"AI": (1032, 926), "AQ": (1072, 944), "AM": (1118, 952)}
"""First V memory word of LOGO!'s analog values: of LOGO! 8 (0BA8), and of 0BA7. Source: LOGO! manuals, "VM mapping"."""
_S7_200 = re.compile(r"%?(?:AI[WBD]|AQ[WBD]|SM[BWD]?|S|HC|AC)\d+(?:\.\d)?\Z", re.I)
MAX_DB = 65535
MAX_BYTE = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an S7 address contains.

    Attributes:
        area: I, Q, M, DB, T or C.
        db: Number of the data block, 0 for the other areas.
        byte: Byte offset; number of the timer or counter.
        bit: 0..7, or None.
        type: S7 type, "" when the address does not say.
        loose: True when `type` only says a width (`DBD`, `W`): REAL or DINT are as good.
        length: Characters of a STRING or WSTRING, 0 when not given.
        count: Array elements, 0 for a single value.
    """

    area: str
    db: int = 0
    byte: int
    bit: int | None = None
    type: str = ""
    loose: bool = False
    length: int = 0
    count: int = 0


def parse_address(text: str) -> Written:
    """Read an address in any dialect.

    Raises:
        AddressError: It is none of them, symbolic, or outside the area.
    """
    text = text.strip()
    _elsewhere(text)
    plain = _v_memory(text)
    for pattern in (_TIA_DB, _PLC4X_DB, _PLAIN):
        if match := pattern.match(plain):
            return _checked(text, _explicit(text, match))
    for pattern in (_SHORT_DB, _SHORT_PLAIN):
        if match := pattern.match(plain):
            return _checked(text, _short(text, match))
    if match := _GOS7_NUMBER.match(text):
        area = match["area"].upper()
        return Written(area=area, byte=int(match["byte"]), type="TIMER" if area == "T" else "COUNTER")
    if '"' in text or re.match(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z", text):
        raise AddressError(
            f"'{text}' is a symbol; S7 communication knows only absolute addresses",
            hint="symbols and optimised data blocks are reached by OPC UA (protocol: opcua), or switch off optimised access for this block",
            code="NX3303",
        )
    if re.match(r"%?P[IEQA][BWD]?\d", text, re.I):
        raise AddressError(
            f"'{text}' is peripheral, past the process image",
            hint="assign it to a process image and write IW256 or QW256, or have the program copy it to a data block",
            code="NX3301",
        )
    raise AddressError(
        f"'{text}' is not an S7 address",
        hint="write DB1.DBD10, %DB1:10:REAL, DB1,R4, DB1.X5.2, M10.3, IW4, T5 or C7; VW10 of a LOGO!",
        code="NX3301",
    )


def _v_memory(text: str) -> str:
    """`VW10` of LOGO! and S7-200 as `DB1.DBW10`; everything else as it is."""
    match = _V_MEMORY.match(text)
    if match is None:
        return text
    letters, rest = match["letters"].upper(), match["rest"]
    if not letters:
        return f"%DB1:{rest}"
    return f"DB1.DB{letters}{rest}" if letters in _WIDTH else f"DB1,{letters}{rest}"


def _elsewhere(text: str) -> None:
    """Refuse what LOGO! and S7-200 call by letters that mean something else on every other CPU. Raises AddressError."""
    if match := _LOGO.match(text):
        area, number = match["area"].upper(), int(match["number"])
        hint = "LOGO! maps it to V memory (VM mapping in LOGO!Soft Comfort): write that, such as VW1032 or V1246.0"
        if words := _LOGO_WORDS.get(area):
            eight, seven = (first + 2 * (number - 1) for first in words)
            hint = f"{area}{number} of a LOGO! is VW{eight} (LOGO! 8) or VW{seven} (0BA7)"
            if area == "AI":
                hint += f"; the output word {number} of another CPU is QW{number}"
        raise AddressError(f"'{text}' is an analog or network value of a LOGO!", hint=hint, code="NX3301")
    if _S7_200.match(text):
        raise AddressError(
            f"'{text}' is an area of S7-200 that is not read",
            hint="have the program copy it to V memory and write that, such as VW100",
            code="NX3301",
        )


def _explicit(text: str, match: re.Match[str]) -> Written:
    groups = match.groupdict()
    area = _AREAS[(groups.get("area") or "DB").upper()]
    width = (groups.get("width") or "").upper()
    bit = int(groups["bit"]) if groups["bit"] else None
    kind = _type(text, groups["type"]) if groups["type"] else ""
    loose = not kind
    if area in ("T", "C"):
        kind, loose = "TIMER" if area == "T" else "COUNTER", False
    elif not kind:
        kind = _WIDTH[width] if width else ("BOOL" if bit is not None else "")
        loose = kind != "BOOL"
    elif _contradicts(width, kind) and not groups["count"]:
        raise AddressError(
            f"'{text}': {kind} has {SIZES[kind]} bytes, DB{width} says {SIZES[_WIDTH[width]]}", code="NX3302"
        )
    if bit == 0 and kind not in ("", "BOOL", "TIMER", "COUNTER"):
        bit = None  # as TIA shows every offset: 20.0 for a REAL too
    length, count = int(groups["length"] or 0), int(groups["count"] or 0)
    if groups["more"]:
        if length or kind not in ("STRING", "WSTRING"):
            raise AddressError(f"'{text}': an array has one bracket", hint=f"write {kind}[{count}]", code="NX3301")
        length, count = count, int(groups["more"])  # TIA's STRING[20], three of them
    return Written(
        area=area,
        db=int(groups.get("db") or 0),
        byte=int(groups["byte"]),
        bit=bit,
        type=kind,
        loose=loose,
        length=length,
        count=count,
    )


def _contradicts(width: str, kind: str) -> bool:
    """Whether `DBW` can't be the beginning of this type; there is no letter for what is longer than four bytes."""
    size = SIZES.get(kind, 0)
    return width in ("B", "W", "D") and 0 < size <= SIZES["DWORD"] and size != SIZES[_WIDTH[width]]


def _short(text: str, match: re.Match[str]) -> Written:
    groups = match.groupdict()
    letters = groups["letters"].upper()
    if letters not in _SHORT:
        hint = "did you mean 'WSTRING'?" if letters == "WS" else did_you_mean(letters, _SHORT)
        raise AddressError(f"'{text}': '{letters}' is not a type", hint=hint, code="NX3301")
    kind = _SHORT[letters]
    first = int(groups["first"]) if groups["first"] else None
    bit = length = count = None
    if kind == "BOOL":
        bit = first
    elif kind in ("STRING", "WSTRING"):
        length = first
    else:
        count = first
    second = groups.get("second")
    if second and kind in ("BOOL", "STRING", "WSTRING"):
        count = int(second)
    area = _GOS7_AREAS[groups["gos7"].upper()] if groups.get("gos7") else _AREAS[(groups.get("area") or "DB").upper()]
    return Written(
        area=area,
        db=int(groups.get("db") or 0),
        byte=int(groups["byte"]),
        bit=bit,
        type=kind,
        loose=letters in ("B", "BYTE", "W", "WORD", "DW", "DWORD", "D"),
        length=length or 0,
        count=count or 0,
    )


def _type(text: str, name: str) -> str:
    kind = _TYPE_ALIASES.get(name.upper(), name.upper())
    if kind not in TYPES:
        raise AddressError(f"'{text}': '{name}' is not an S7 type", hint=did_you_mean(kind, TYPES), code="NX3301")
    return kind


def _checked(text: str, written: Written) -> Written:
    if written.bit is not None and written.bit > 7:
        raise AddressError(f"'{text}': a byte has the bits 0 to 7, not {written.bit}", code="NX3304")
    if written.type == "BOOL" and written.bit is None:
        raise AddressError(f"'{text}': a BOOL needs its bit", hint="write DB1.DBX0.3", code="NX3304")
    if written.bit is not None and written.type not in ("", "BOOL"):
        raise AddressError(f"'{text}': bit {written.bit} of a byte is a BOOL, not {written.type}", code="NX3304")
    if written.area == "DB" and not 1 <= written.db <= MAX_DB:
        raise AddressError(f"'{text}': data blocks are numbered 1 to {MAX_DB}", code="NX3306")
    if written.byte > MAX_BYTE:
        raise AddressError(f"'{text}': byte {written.byte} is beyond {MAX_BYTE}", code="NX3306")
    return written


def normal_text(written: Written, kind: str, *, length: int = 0, count: int = 0) -> str:
    """The normal form, with the resolved type."""
    place = f"DB{written.db}:{written.byte}" if written.area == "DB" else f"{written.area}{written.byte}"
    if kind == "BOOL":
        place += f".{written.bit}"
    return f"%{place}:{kind}" + (f"({length})" if length else "") + (f"[{count}]" if count else "")
