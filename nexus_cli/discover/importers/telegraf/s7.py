"""Telegraf's `inputs.s7comm`.

Source: Telegraf, plugins/inputs/s7comm (README, s7comm.go: the address expression and its areas).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nexus_cli.discover.importers.settings import Settings
from nexus_cli.discover.site_keys import TagKeys

TYPES: dict[str, tuple[str, str]] = {
    "X": ("BOOL", "bool"),
    "B": ("BYTE", "uint8"),
    "C": ("CHAR", "string[1]"),
    "W": ("WORD", "uint16"),
    "DW": ("DWORD", "uint32"),
    "I": ("INT", "int16"),
    "DI": ("DINT", "int32"),
    "LI": ("LINT", "int64"),
    "R": ("REAL", "float32"),
    "LR": ("LREAL", "float64"),
    "DT": ("DT", "datetime"),
    "S": ("STRING", "string"),
}
"""S7 type and ours by Telegraf's letters."""
AREAS = {"DB": "DB", "PE": "I", "PA": "Q", "MK": "M", "C": "C", "T": "T"}
CONNECTIONS = {"PD": "pg", "PG": "pg", "OP": "op", "BASIC": "basic"}
NO_USE = {
    "pdu_size": "counts fields; the PDU is negotiated and reads are joined within it",
    "idle_timeout": "a link stays connected",
    "debug_connection": "NEXUS logs changes of state",
}
_ADDRESS = re.compile(
    r"(?P<area>DB|PE|PA|MK|C|T)(?P<number>\d{1,5})\.(?P<type>[A-Z]+)(?P<start>\d{1,5})(?:\.(?P<extra>\d{1,5}))?\Z"
)
_SERVER = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\s/]+))(?::(?P<port>\d{1,5}))?\Z")


def read_s7(settings: Settings) -> None:
    """One `[[inputs.s7comm]]`."""
    _connection(settings)
    poll = settings.duration("interval")
    for metric in settings.tables("metric"):
        inner = Settings(metric, where=f"{settings.where}.metric", collector=settings.collector)
        name = inner.text("name")
        labels = inner.labels("tags")
        for field in inner.tables("fields"):
            _field(inner, field, name, {"poll": poll, "labels": labels or None})
        inner.rest()
    settings.without_use(NO_USE)


def _connection(settings: Settings) -> None:
    connection = settings.collector.connection
    server = settings.text("server")
    match = _SERVER.match(server)
    if match:
        connection["host"] = match["v6"] or match["host"]
        if match["port"]:
            connection["port"] = int(match["port"])
    elif server:
        settings.note("server", f"'{server}' is not host:port")
    for key in ("rack", "slot"):
        if (number := settings.number(key)) is not None:
            connection[key] = number
    written = settings.text("connection_type")
    if written.upper() in CONNECTIONS:
        connection["connection_type"] = CONNECTIONS[written.upper()]
    elif written:
        settings.note("connection_type", f"'{written}' is not PD, OP or basic")
    if timeout := settings.duration("timeout"):
        connection["timeout"] = timeout


def _field(settings: Settings, written: Mapping[str, Any], metric: str, common: TagKeys) -> None:
    collector = settings.collector
    inner = Settings(written, where=str(written.get("name") or "a field without a name"), collector=collector)
    with collector.entry(inner.where):
        name, address = inner.text("name"), inner.text("address")
        inner.rest()
        try:
            text, kind = address_of(address)
        except ValueError as error:
            collector.skip(inner.where, str(error))
            return
        if not name:
            collector.skip(address, "it has no name")
            return
        path = (metric, name) if metric not in ("", "s7comm") else (name,)
        collector.take(path, {"address": text, "type": kind, **common})


def address_of(written: str) -> tuple[str, str]:
    """Our address and type of Telegraf's `DB1.R4`.

    Raises:
        ValueError: It is none.
    """
    match = _ADDRESS.match(written.strip())
    if match is None:
        raise ValueError(f"'{written}' is not an address such as DB1.R4" if written else "it has no address")
    area, extra = AREAS[match["area"]], match["extra"]
    if area in ("C", "T"):
        kind = ("COUNTER", "uint16") if area == "C" else ("TIMER", "duration")
        return f"%{area}{match['start']}:{kind[0]}", kind[1]
    if match["type"] not in TYPES:
        raise ValueError(f"'{written}': '{match['type']}' is not a type")
    s7, ours = TYPES[match["type"]]
    place = match["start"]
    if s7 == "BOOL":
        if extra is None:
            raise ValueError(f"'{written}': X needs its bit")
        place += f".{extra}"
    elif s7 == "STRING":
        if extra is None:
            raise ValueError(f"'{written}': S needs its length")
        s7, ours = f"STRING({extra})", f"string[{extra}]"
    elif extra is not None:
        raise ValueError(f"'{written}': {match['type']} takes no '.{extra}'")
    front = f"DB{match['number']}:" if area == "DB" else area
    return f"%{front}{place}:{s7}", ours
