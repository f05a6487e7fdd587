"""Beckhoff ADS as the site language sees it. Pure; no protocol library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from pydantic import Field, field_validator

from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.checks import check_link
from nexus_cli.drivers.ads.url import TCP_PORT, URL
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.hosts import host_of
from nexus_cli.model.site import Connection, Duration, Tag


def _net_id(text: str) -> str:
    parts = text.strip().split(".")
    if len(parts) != 6 or not all(part.isdecimal() and int(part) <= 255 for part in parts):
        raise ValueError(f"'{text}' is not an AMS NetId; write six numbers from 0 to 255, such as 5.12.82.20.1.1")
    return ".".join(str(int(part)) for part in parts)


class AdsConnection(Connection):
    """How to reach a TwinCAT PLC. A route for our NetId and IP address must exist on it."""

    host: str = Field(description="Name or IP address of the PLC.")
    ams_net_id: str = Field(description="The PLC's AMS NetId, such as 5.12.82.20.1.1.")
    port: int = Field(
        default=851, ge=1, le=65_535, description="AMS port of the runtime: 851 (TwinCAT 3) or 801 (TwinCAT 2)."
    )
    source_net_id: str | None = Field(
        default=None, description="Our AMS NetId, as the PLC's route names it; our IP address with .1.1 when left out."
    )
    router: Literal["direct", "local"] | None = Field(
        default=None,
        description="direct (default) connects to the PLC over AMS/TCP and needs no library; local goes through the TwinCAT router of this computer (pip install 'nexus-cli[ads]').",
    )
    tcp_port: int | None = Field(
        default=None, ge=1, le=65_535, description="TCP port of the PLC's AMS router (default 48898)."
    )
    max_read: int | None = Field(
        default=None,
        ge=4,
        le=500,
        description="Sub-commands in one sum read (default 500); three of them watch for online changes.",
    )
    max_subscribe: int | None = Field(
        default=None,
        ge=3,
        le=550,
        description="Notifications on the link (default 550, Beckhoff's advice); two of them watch for online changes.",
    )

    @field_validator("ams_net_id")
    @classmethod
    def _target(cls, text: str) -> str:
        return _net_id(text)

    @field_validator("source_net_id")
    @classmethod
    def _source(cls, text: str | None) -> str | None:
        return None if text is None else _net_id(text)

    @field_validator("host")
    @classmethod
    def _plain_host(cls, text: str) -> str:
        host = host_of(text, port_key="tcp_port")
        return host.lower() if "${" not in host else host


PLC_TYPES: dict[str, tuple[str, ...]] = {
    "BOOL": ("bool",),
    "SINT": ("int8", "int16", "int32", "int64"),
    "USINT": ("uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64"),
    "BYTE": ("uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64"),
    "INT": ("int16", "int32", "int64"),
    "UINT": ("uint16", "uint32", "uint64", "int32", "int64"),
    "WORD": ("uint16", "uint32", "uint64", "int32", "int64"),
    "DINT": ("int32", "int64"),
    "UDINT": ("uint32", "uint64", "int64"),
    "DWORD": ("uint32", "uint64", "int64"),
    "LINT": ("int64",),
    "ULINT": ("uint64",),
    "LWORD": ("uint64",),
    "REAL": ("float32", "float64"),
    "LREAL": ("float64",),
    "STRING": ("string",),
    "WSTRING": ("string",),
    "TIME": ("duration", "uint32", "uint64", "int64"),
    "TOD": ("duration", "uint32", "uint64", "int64"),
    "LTIME": ("duration", "uint64"),
    "LTOD": ("duration", "uint64"),
    "DATE": ("datetime", "uint32", "uint64", "int64"),
    "DT": ("datetime", "uint32", "uint64", "int64"),
    "LDATE": ("datetime", "uint64"),
    "LDT": ("datetime", "uint64"),
}
"""Types that hold every value of a PLC's type; the first is the natural one."""
PlcTypeName = Literal[
    "BOOL", "SINT", "USINT", "BYTE", "INT", "UINT", "WORD", "DINT", "UDINT", "DWORD", "LINT", "ULINT", "LWORD",
    "REAL", "LREAL", "STRING", "WSTRING", "TIME", "TOD", "LTIME", "LTOD", "DATE", "DT", "LDATE", "LDT",
]  # fmt: skip


class AdsTag(Tag):
    """One symbol of a PLC, a member or element of it, or raw memory."""

    address: str = Field(
        description="MAIN.x, GVL.motor.fSpeed, MAIN.arr[1], .z (TwinCAT 2), or raw 0x4040,0x7d01c (index group, offset)."
    )
    max_delay: Duration | None = Field(
        default=None, description="How long the PLC may collect changes before it reports them (subscribe)."
    )
    encoding: Literal["cp1252", "utf-8"] | None = Field(
        default=None,
        description="Of a STRING: cp1252 (default) or utf-8; a symbol with the attribute TcEncoding says it itself.",
    )
    plc_type: PlcTypeName | None = Field(
        default=None,
        description="The PLC's type where `type` alone does not say it (raw memory, simulation): LTIME, TOD, DATE, LDT, WSTRING, …",
    )


def _link_of(connection: Any) -> str:
    # The AMS router of a PLC takes about one TCP connection per client address; its AMS ports share it.
    if connection.router == "local":
        return f"ads-router:{connection.host}"
    return f"ads:{connection.host}:{connection.tcp_port or TCP_PORT}"


class _Options(TypedDict, total=False):
    """`Address.options` of ADS; what is left out has its usual value.

    max_delay: Longest time that the PLC collects notifications, in milliseconds.
    encoding: Of a text in memory.
    plc_type: Type in the PLC where several fit.
    text: Encoding in which a written text's length counts.
    """

    max_delay: int
    encoding: str
    plc_type: str
    text: str


def _address_of(connection: Any, tag: Any) -> Address:
    address = parse_address(tag.address)
    declared = parse_type(tag.type)
    _check_type(declared, tag.plc_type)
    if not address.symbol:
        _check_raw(declared, tag)
    options: _Options = {}
    if tag.max_delay is not None:
        options["max_delay"] = tag.max_delay
    if tag.encoding is not None:
        options["encoding"] = tag.encoding
    if tag.plc_type is not None:
        options["plc_type"] = tag.plc_type
    wide = tag.plc_type == "WSTRING"
    if tag.writable and declared.base == "string" and (tag.encoding or wide or not address.symbol):
        # A symbol names its own encoding, and the driver refuses before it sends.
        options["text"] = "utf-16-le" if wide else tag.encoding or "cp1252"
    return Address(address.text, options)


def _check_type(declared: DataType, plc_type: str | None) -> None:
    if declared.base == "float16":
        raise AddressError(
            "a PLC has no type for 'float16'", hint="write float32 (REAL) or float64 (LREAL)", key="type", code="NX3402"
        )
    if plc_type is not None and declared.base not in PLC_TYPES[plc_type]:
        raise AddressError(
            f"the PLC's {plc_type} is not '{declared.base}'",
            hint=f"write type: {PLC_TYPES[plc_type][0]}",
            key="plc_type",
            code="NX3402",
        )


def _check_raw(declared: DataType, tag: Any) -> None:
    if declared.base == "json" or (declared.base == "string" and not declared.length):
        raise AddressError(
            f"raw memory at '{tag.address}' has no size for '{declared}'",
            hint="write string[80], or name the symbol instead of its memory",
            key="type",
            code="NX3403",
        )


def _listens_at(connection: Mapping[str, Any]) -> tuple[str, int]:
    """`port` of a connection is the AMS port of the runtime; the TCP port has a key of its own."""
    return str(connection.get("host") or ""), int(connection.get("tcp_port") or TCP_PORT)


KIND = DriverKind(
    name="ads",
    title="Beckhoff ADS",
    modes=("subscribe", "cyclic", "poll"),
    connection=AdsConnection,
    tag=AdsTag,
    link_of=_link_of,
    address_of=_address_of,
    link_keys=frozenset(
        {"host", "tcp_port", "router", "source_net_id", "max_subscribe", "timeout", "pause", "connect_timeout"}
    ),
    resolved_keys=frozenset({"host"}),
    url=URL,
    default_port=TCP_PORT,
    answer_ms=5.0,
    listens_at=_listens_at,
    stand_in={"host": "device", "ams_net_id": "1.1.1.1.1.1"},
    check_link=check_link,
)
