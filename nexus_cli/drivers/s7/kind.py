"""Siemens S7 in the site language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypedDict

from pydantic import Field

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.iec_types import NATURAL
from nexus_cli.drivers.s7.address import Written, normal_text, parse_address
from nexus_cli.drivers.s7.field import field_of
from nexus_cli.drivers.s7.url import DEFAULT_PORT, URL
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.hosts import Host
from nexus_cli.model.site import Connection, Tag

OVERWRITTEN = "is an input; the CPU overwrites it with its terminal in every cycle"

FITS: dict[str, tuple[str, ...]] = {
    "BOOL": ("bool",),
    "BYTE": ("uint8", "int8"),
    "CHAR": ("string", "uint8"),
    "SINT": ("int8",),
    "USINT": ("uint8",),
    "WORD": ("uint16", "int16"),
    "INT": ("int16",),
    "UINT": ("uint16",),
    "WCHAR": ("string", "uint16"),
    "DATE": ("datetime", "uint16"),
    "S5TIME": ("duration", "uint16"),
    "TIMER": ("duration", "uint16"),
    "COUNTER": ("uint16", "int16"),
    "DWORD": ("uint32", "int32", "float32"),
    "DINT": ("int32",),
    "UDINT": ("uint32",),
    "REAL": ("float32",),
    "TIME": ("duration", "int32"),
    "TOD": ("duration", "uint32"),
    "LWORD": ("uint64", "int64", "float64"),
    "LINT": ("int64",),
    "ULINT": ("uint64",),
    "LREAL": ("float64",),
    "LTIME": ("duration", "int64"),
    "LTOD": ("duration", "uint64"),
    "LDT": ("datetime", "int64"),
    "DT": ("datetime",),
    "DTL": ("datetime",),
    "BCD8": ("uint8",),
    "BCD16": ("uint16", "int16"),
    "BCD32": ("uint32", "int32"),
    "STRING": ("string",),
    "WSTRING": ("string",),
}
"""Our types that may read an S7 type."""

DEFAULTS: dict[str, str] = {**NATURAL, "string": "STRING", "datetime": "DTL"}
"""S7 type by our type, when the address has none."""

_LOOSE_SPANS = {("DWORD", "duration"): "TIME", ("WORD", "duration"): "S5TIME"}
"""What a duration is where an address says only how wide it is."""

MAX_STRING = 254
"""Source: STEP 7, data type STRING: length byte up to 254."""
MAX_WSTRING = 16382
"""Source: STEP 7 (TIA), data type WSTRING."""
MAX_BYTES = 65_536
"""Source: STEP 7, "Data blocks (DB)": an address has 16 bits of byte offset."""


class S7Connection(Connection):
    """How to reach a Siemens S7 CPU (ISO on TCP)."""

    host: Host = Field(min_length=1, description="Name or IP address.")
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535, description="TCP port.")
    rack: int = Field(default=0, ge=0, le=7, description="Rack of the CPU.")
    slot: int = Field(default=1, ge=0, le=31, description="Slot of the CPU: 1 for S7-1200/1500, 2 for S7-300/400.")
    connection_type: Literal["pg", "op", "basic"] = Field(
        default="pg", description="Which of the CPU's connection resources to take."
    )
    local_tsap: int | None = Field(default=None, ge=0, le=0xFFFF, description="Own TSAP, e.g. 0x0100 (LOGO!, S7-200).")
    remote_tsap: int | None = Field(
        default=None, ge=0, le=0xFFFF, description="The CPU's TSAP instead of rack and slot."
    )
    pdu: int | None = Field(
        default=None,
        ge=240,
        le=960,
        description="Bytes of a PDU to plan reads with and to ask for, e.g. 480 or 960 (default: plan with 240, which every CPU grants, ask for 960).",
    )
    max_gap: int = Field(default=32, ge=0, le=400, description="Most unused bytes to read along.")


class S7Tag(Tag):
    """A value in an S7 CPU."""

    address: str = Field(
        description="DB1.DBD10, %DB1:10:REAL[5], DB1,R4, DB1.X5.2, M10.3, IW4, T5, C7; VW10 and V10.3 of LOGO! and S7-200.",
        examples=["DB1.DBD10:REAL", "%DB1:0.3:BOOL", "DB1,R4", "DB1.S30.10", "MW20", "I0.1"],
    )


def link_of(connection: S7Connection) -> str:
    """The link's id: one connection per CPU."""
    if connection.remote_tsap is not None:
        return f"s7:{connection.host}:{connection.port}/tsap-{connection.remote_tsap:04x}"
    return f"s7:{connection.host}:{connection.port}/{connection.rack}.{connection.slot}"


def address_of(_connection: S7Connection, tag: S7Tag) -> Address:
    """Normal form of a tag's address, such as `%DB1:10:REAL`.

    Raises:
        AddressError: What it says can't be, with a hint.
    """
    written = parse_address(tag.address)
    kind = parse_type(tag.type)
    if kind.base not in DEFAULTS:
        raise AddressError(f"S7 has no {kind.base} values", key="type", code="NX3302")
    s7_type = _settled(tag, written, kind)
    written = _as_length(written, kind, s7_type)
    if written.count and kind.count and written.count != kind.count:
        raise AddressError(f"the address has {written.count} elements, the type {kind.count}", code="NX3302")
    if written.count > 1 and not kind.count and not (s7_type in ("CHAR", "WCHAR") and kind.base == "string"):
        raise AddressError(
            f"the address has {written.count} elements, the tag one",
            hint=f"type: {_one(written, kind, s7_type)}[{written.count}]",
            key="type",
            code="NX3302",
        )
    count = kind.count or (written.count if s7_type in ("CHAR", "WCHAR") else 0)
    length = _length(written, kind, s7_type)
    if s7_type in ("CHAR", "WCHAR") and kind.base == "string" and not count:
        count = kind.length
    if s7_type == "BOOL" and written.bit is None:
        raise AddressError(f"'{tag.address}': a bool needs its bit", hint="write DB1.DBX0.3", code="NX3304")
    if tag.writable and written.area == "I":
        raise AddressError(
            f"'{tag.address}' {OVERWRITTEN}",
            hint="drop writable, or write a marker or a data block that the program reads",
            key="writable",
            code="NX3307",
        )
    text = normal_text(written, s7_type, length=length, count=count)
    end = field_of(Point("", text, tag.type)).end
    if end > MAX_BYTES and written.area not in ("T", "C"):
        raise AddressError(f"'{tag.address}' ends at byte {end - 1}, beyond {MAX_BYTES - 1}", code="NX3306")
    return Address(text, _text_options(tag, kind, s7_type, length or count))


class _TextOptions(TypedDict, total=False):
    """`Address.options` of a writable text: its length in characters when the type has none, and its encoding."""

    length: int
    text: str


def _text_options(tag: S7Tag, kind: DataType, s7_type: str, length: int) -> _TextOptions:
    """What a text that is written must fit, so that it is refused before anything is asked of the CPU."""
    if not tag.writable or kind.base != "string":
        return {}
    options: _TextOptions = {} if kind.length else {"length": length}
    options["text"] = "utf-16-be" if s7_type in ("WSTRING", "WCHAR") else "cp1252"
    return options


def _as_length(written: Written, kind: DataType, s7_type: str) -> Written:
    """TIA writes the length of a text as others write the number of elements, `STRING[30]`: it is that, unless the tag is
    an array of as many."""
    if s7_type not in ("STRING", "WSTRING") or written.length or not written.count or kind.count == written.count:
        return written
    return replace(written, length=written.count, count=0)


def _one(written: Written, kind: DataType, s7_type: str) -> str:
    """The type of one element."""
    if s7_type not in ("STRING", "WSTRING"):
        return kind.base
    return f"string[{written.length or kind.length or MAX_STRING}]"


def _settled(tag: S7Tag, written: Written, kind: DataType) -> str:
    """The S7 type that address and tag agree on."""
    if not written.type:
        return DEFAULTS[kind.base]
    if kind.base not in FITS[written.type]:
        if written.loose and (written.type, kind.base) in _LOOSE_SPANS:
            return _LOOSE_SPANS[written.type, kind.base]
        hint, key = f"type: {FITS[written.type][0]}", "type"
        if written.loose and kind.base in ("string", "datetime"):
            there = normal_text(written, DEFAULTS[kind.base], length=kind.length)
            hint, key = f"write {there}, if that is what lies there", "address"
        raise AddressError(
            f"'{tag.address}' is {written.type}, which is not {kind.base}",
            hint=hint,
            key=key,
            code="NX3302",
        )
    return DEFAULTS[kind.base] if written.loose else written.type


def _length(written: Written, kind: DataType, s7_type: str) -> int:
    if s7_type not in ("STRING", "WSTRING"):
        return 0
    if written.length and kind.length and written.length != kind.length:
        raise AddressError(f"the address has {written.length} characters, the type {kind.length}", code="NX3305")
    length = written.length or kind.length or MAX_STRING
    limit = MAX_STRING if s7_type == "STRING" else MAX_WSTRING
    if length > limit:
        raise AddressError(f"a {s7_type} has at most {limit} characters, not {length}", key="type", code="NX3305")
    return length


def unwritable(address: str, _options: Mapping[str, Any]) -> str:
    """Why an address (normal form) can never be written; "" where it can."""
    return f"'{address}' {OVERWRITTEN}" if address.startswith("%I") else ""


KIND = DriverKind(
    name="s7",
    title="Siemens S7",
    modes=("poll",),
    connection=S7Connection,
    tag=S7Tag,
    link_of=link_of,
    address_of=address_of,
    unwritable=unwritable,
    link_keys=frozenset({"connection_type", "local_tsap", "pdu", "timeout", "connect_timeout", "pause"}),
    resolved_keys=frozenset({"host"}),
    url=URL,
    default_port=DEFAULT_PORT,
    answer_ms=10.0,
    stand_in={"host": "device"},
)
