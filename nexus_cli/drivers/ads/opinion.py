"""ADS: our client, and pyads."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Any

import pyads

from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.asking import asked
from nexus_cli.drivers.ads.codec import Codec
from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.session import DEFAULT_AMS_PORT
from nexus_cli.drivers.ads.url import TCP_PORT
from nexus_cli.drivers.base import CannotAsk, DriverError, Opinion, Point, Scope
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

_TYPES: dict[str, type] = {
    "bool": pyads.PLCTYPE_BOOL,
    "int8": pyads.PLCTYPE_SINT,
    "uint8": pyads.PLCTYPE_USINT,
    "int16": pyads.PLCTYPE_INT,
    "uint16": pyads.PLCTYPE_UINT,
    "int32": pyads.PLCTYPE_DINT,
    "uint32": pyads.PLCTYPE_UDINT,
    "int64": pyads.PLCTYPE_LINT,
    "uint64": pyads.PLCTYPE_ULINT,
    "float32": pyads.PLCTYPE_REAL,
    "float64": pyads.PLCTYPE_LREAL,
}


async def ours(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with our client. Raises DriverError."""
    session = await DRIVER.connect([device], home=home)
    try:
        return await asked(session, device, point)
    finally:
        await session.close()


async def library(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with pyads, as published. Raises DriverError, and what pyads raises."""
    connection = device.connection
    port = int(connection.get("tcp_port") or TCP_PORT)
    if port != TCP_PORT:
        raise CannotAsk(f"pyads uses TCP port {TCP_PORT} only, not on {port}")
    # The size of the symbol, and how what is not a plain number is read, are ours to know.
    known = await ours(device, point, home=home)
    codec: Codec | None = known.detail
    size = len(known.data)
    if codec is None or not size:
        raise DriverError(f"{point.address} has no size: {known.problem}", scope=Scope.ITEM)
    raw, value = await asyncio.to_thread(_read, device, point, size)
    here = value is None
    address = parse_address(point.address)
    return Opinion(
        asked=f"read_by_name({address.symbol!r})" if address.symbol else f"read({address.group:#x}, {address.offset})",
        data=raw,
        value=codec.decode(raw) if here else value,
        decoded_here=here,
    )


def _read(device: DeviceConfig, point: Point, size: int) -> tuple[bytes, Value]:
    """The bytes, and the value where pyads has a type for it. Blocking."""
    connection, address = device.connection, parse_address(point.address)
    host = resolve(str(connection.get("host", "")))
    source = str(connection.get("source_net_id") or "")
    if source:
        pyads.open_port()
        pyads.set_local_address(source)
        pyads.close_port()
    plc = pyads.Connection(str(connection.get("ams_net_id", "")), int(connection.get("port") or DEFAULT_AMS_PORT), host)
    plc.open()
    try:
        plc.set_timeout(int(connection.get("timeout") or 1000))

        def read(kind: Any) -> Any:
            if address.symbol:
                return plc.read_by_name(address.symbol, kind, cache_symbol_info=False)
            return plc.read(address.group, address.offset, kind)

        raw = bytes(read(ctypes.c_ubyte * size))
        kind = _TYPES.get(point.type)
        fits = kind is not None and ctypes.sizeof(kind) == size
        value = read(kind) if fits else None
    finally:
        plc.close()
    return raw, value if isinstance(value, (int, float, str)) else None
