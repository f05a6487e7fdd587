"""S7: our client, and python-snap7."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from snap7.client import Client
from snap7.type import Area
from snap7.util import getters

from nexus_cli.drivers.base import CannotAsk, Opinion, Point
from nexus_cli.drivers.s7.asking import asked, decoded
from nexus_cli.drivers.s7.driver import DRIVER, tsap_of
from nexus_cli.drivers.s7.field import ELEMENTS, Field, field_of
from nexus_cli.drivers.s7.groups import Block
from nexus_cli.drivers.s7.url import DEFAULT_PORT
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

_AREAS = {"DB": Area.DB, "M": Area.MK, "I": Area.PE, "Q": Area.PA, "T": Area.TM, "C": Area.CT}
_READERS: dict[str, Callable[[bytearray, int], Any]] = {
    "BYTE": getters.get_byte,
    "WORD": getters.get_word,
    "DWORD": getters.get_dword,
    "SINT": getters.get_sint,
    "USINT": getters.get_usint,
    "INT": getters.get_int,
    "UINT": getters.get_uint,
    "DINT": getters.get_dint,
    "UDINT": getters.get_udint,
    "LINT": getters.get_lint,
    "ULINT": getters.get_ulint,
    "REAL": getters.get_real,
    "LREAL": getters.get_lreal,
    "STRING": getters.get_string,
}


async def ours(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with our client. Raises DriverError."""
    session = await DRIVER.connect([device], home=home)
    try:
        return await asked(session, device, point)
    finally:
        await session.close()


async def library(device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask with python-snap7, as published. Raises DriverError, and what snap7 raises."""
    field = field_of(point)
    (request,) = DRIVER.group(device, [point])
    block: Block = request.detail
    (item,) = block.items
    elements = item.area in ELEMENTS
    start, size = (item.start // 2, item.size // 2) if elements else (item.start, item.size)
    raw = await asyncio.to_thread(_read, device.connection, _AREAS[item.area], item.db, start, size)
    return Opinion.of_library(
        f"read_area({_AREAS[item.area].name}, {item.db}, {start}, {size})",
        raw,
        _own_words(field, raw),
        partial(decoded, block),
    )


def _read(connection: Mapping[str, Any], area: Area, db: int, start: int, size: int) -> bytes:
    """Blocking."""
    host, tsap = resolve(str(connection.get("host", ""))), tsap_of(connection)
    if connection.get("local_tsap") is not None:
        raise CannotAsk("python-snap7 takes no local TSAP beside rack and slot")
    client = Client()
    client.set_connection_type(tsap >> 8)
    client.connect(host, tsap >> 5 & 7, tsap & 31, int(connection.get("port") or DEFAULT_PORT))
    try:
        return bytes(client.read_area(area, db, start, size))
    finally:
        client.disconnect()


def _own_words(field: Field, raw: bytes) -> Value:
    """The value as snap7 makes it of its bytes; None for what is an array, or has no getter of one value."""
    if field.count:
        return None
    data = bytearray(raw)
    if field.type == "BOOL":
        return bool(getters.get_bool(data, 0, field.bit))
    reader = _READERS.get(field.type)
    value = reader(data, 0) if reader is not None else None
    return value if isinstance(value, (int, float, str)) else None
