"""Addresses such as `modbus://host?unit=3`, `modbus:///dev/ttyUSB0?unit=3`, and how other tools write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl

from nexus_cli.model.device_url import UrlConnection, UrlError, UrlReader, host_of, shown

DEFAULT_PORT = 502
"""Source: IANA, mbap."""
ALIASES = {"unit": "unit_id"}
HINTS = {
    "slave": "unit=3",
    "id": "unit=3",
    "address": "unit=3",
    "baud": "baudrate=9600",
    "bauds": "baudrate=9600",
    "speed": "baudrate=9600",
    "databits": "leave it out: RTU frames have eight data bits",
    "stop": "stopbits=1",
}
"""How other tools call a key."""
RTU = frozenset(("rtu", "modbus+rtu", "modbus-rtu", "modbusrtu", "mbrtu", "serial", "modbus+serial", "modbus-serial"))
SERIAL = re.compile(r"/dev/\S+|(\\\\\.\\)?COM\d{1,3}", re.IGNORECASE)
"""A serial line of this machine."""
LAST_UNIT = 255
_RANGE = re.compile(r"\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*")


def read_url(parts: SplitResult, keys: Mapping[str, Any]) -> UrlConnection:
    """See `UrlReader.read`."""
    if parts.scheme.lower() in RTU:
        line = parts.path if SERIAL.fullmatch(parts.path) else "/dev/ttyUSB0"
        raise UrlError(f"'{parts.scheme}' is not a protocol", hint=f"modbus://{line}?unit=1&baudrate=9600")
    _refuse_other_spellings(parts)
    serial = _serial(parts)
    if not serial:
        host_of(parts)
    try:
        units = units_of(str(keys.get("unit_id", ""))) or ()
    except ValueError as error:
        raise UrlError(str(error), hint="unit=1-10, or unit=1,3,7-9", code="NX6601") from None
    keys = {**keys, **({"unit_id": units[0]} if units else {})}
    if serial:
        return UrlConnection(connection={"serial": serial, **keys}, shown=f"{parts.scheme}://{parts.path}", units=units)
    port = {"port": parts.port} if parts.port else {}
    return UrlConnection(connection={"host": parts.hostname, **port, **keys}, shown=shown(parts), units=units)


def units_of(text: str) -> tuple[int, ...] | None:
    """`1-10`, `1,3,7-9` as unit ids; None when it is a single id, or none.

    Raises:
        ValueError: A range that runs backwards or leaves 0…255.
    """
    if text.isdecimal() or not _RANGE.fullmatch(text):
        return None
    units: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if low > high or high > LAST_UNIT:
            raise ValueError(f"'{part}' is not a range of unit ids from 0 to {LAST_UNIT}")
        units.update(dict.fromkeys(range(low, high + 1)))
    return tuple(units)


def _serial(parts: SplitResult) -> str:
    """The serial line that an address names, "" when it names a host."""
    path = parts.path.lstrip("/") if re.match(r"/(\\\\\.\\)?COM\d", parts.path, re.IGNORECASE) else parts.path
    return path if not parts.netloc and path.strip("/") else ""


def _refuse_other_spellings(parts: SplitResult) -> None:
    """Answer an address as other tools write it with how it is written here. Raises UrlError."""
    netloc, query = parts.netloc, f"?{parts.query}" if parts.query else "?unit=1&baudrate=9600"
    if netloc.lower() == "dev" or SERIAL.fullmatch(netloc):
        line = f"dev{parts.path}" if netloc.lower() == "dev" else netloc
        raise UrlError("a serial line follows three slashes", hint=f"modbus:///{line}{query}")
    if netloc and parts.path.strip("/"):
        unit = parts.path.strip("/")
        hint = f"modbus://{netloc}?unit={unit}" if unit.isdecimal() else f"modbus://{netloc}?unit=1"
        raise UrlError(f"'{parts.path}' has no meaning here", hint=hint)
    keys = dict(parse_qsl(parts.query))
    for key in keys:
        if key in HINTS and key not in ALIASES:
            hint = HINTS[key] if "=" not in HINTS[key] else f"{HINTS[key].partition('=')[0]}={keys[key]}"
            raise UrlError(f"unknown key '{key}'", hint=hint, code="NX6601")
    letter = keys.get("parity", "")
    if letter.lower() in ("n", "e", "o"):
        name = {"n": "none", "e": "even", "o": "odd"}[letter.lower()]
        raise UrlError("parity is a word here", hint=f"parity={name}", code="NX6601")


URL = UrlReader(
    schemes=("modbus", "modbus+tcp"), mistaken=RTU, example="modbus://host?unit=1", read=read_url, aliases=ALIASES
)
