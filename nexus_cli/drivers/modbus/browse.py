"""Browsing a Modbus device: its identification (FC43/14) and, if it supports SunSpec, its models.

Source: Modbus Application Protocol V1.1b3 §6.21; SunSpec Device Information Model Specification V1.1 §6.
"""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from nexus_cli.drivers.base import Browsed, DriverError, Scope
from nexus_cli.drivers.browse_shapes import BrowseDetail
from nexus_cli.drivers.modbus import sunspec
from nexus_cli.drivers.modbus.connection import MAX_READ
from nexus_cli.drivers.modbus.pdu import Identification
from nexus_cli.json_value import JsonObject

OBJECTS = {0: "vendor", 1: "product code", 2: "revision", 3: "url", 4: "product", 5: "model", 6: "application"}
MOST_PAGES = 16
STATIC_POLL = "10m"
"""What never changes while a device runs is not read every second."""
NO_TYPE = {"ipaddr": "an IP address", "ipv6addr": "an IP address", "eui48": "a MAC address"}


class RegisterReader(Protocol):
    """What a browse needs of a session."""

    async def registers(self, start: int, count: int, *, unit: int, function: int = 3) -> bytes:
        """Registers as they are, two bytes each. Raises DriverError."""
        ...

    async def identify(self, first: int, *, unit: int) -> Identification:
        """One page of the device identification, from an object on. Raises DriverError."""
        ...


async def browse(reader: RegisterReader, *, unit: int, start: str = "") -> AsyncIterator[Browsed]:
    """Everything that a unit reports.

    Args:
        reader: An open reader.
        unit: Unit id.
        start: Register of the SunSpec marker; the three usual places when empty.

    Raises:
        DriverError: The link or the unit does not answer.
    """
    identity = await identification(reader, unit=unit)
    if identity:
        yield Browsed((), "", "", detail={"facts": {"identity": identity}})
    base = await find_marker(reader, unit=unit, start=start)
    if base is None:
        return
    if sunspec.models_folder() is None:
        reason = "a SunSpec model; pip install 'nexus-cli[discover]' brings the definitions"
        yield Browsed(("SunSpec",), f"holding:{base}", "", detail={"skipped": reason})
        return
    async for browsed in _models(reader, base + 2, unit=unit):
        yield browsed


async def identification(reader: RegisterReader, *, unit: int) -> dict[str, str]:
    """Vendor, product and so on by name; empty for the many devices that have none."""
    found: dict[str, str] = {}
    following = 0
    for _ in range(MOST_PAGES):
        try:
            answer = await reader.identify(following, unit=unit)
        except DriverError as error:
            if error.scope is Scope.SESSION or (error.scope is Scope.DEVICE and error.code):
                raise
            return found  # also a device that keeps silent on functions that it does not know
        for number, raw in answer.objects.items():
            found[OBJECTS.get(number, f"object {number}")] = raw.decode("utf-8", "replace").strip("\0 ")
        if answer.following is None:
            break
        following = answer.following
    return {name: text for name, text in found.items() if text}


async def find_marker(reader: RegisterReader, *, unit: int, start: str = "") -> int | None:
    """Register of "SunS", None when it has none."""
    for base in (int(start.rpartition(":")[2]),) if start else sunspec.BASES:
        try:
            if await reader.registers(base, 2, unit=unit) == sunspec.MARKER:
                return base
        except DriverError as error:
            if error.scope in (Scope.SESSION, Scope.DEVICE):
                raise
    return None


async def _models(reader: RegisterReader, first: int, *, unit: int) -> AsyncIterator[Browsed]:
    at, met, models = first, dict[str, int](), []
    while at < 65_534:
        number, length = struct.unpack(">HH", await reader.registers(at, 2, unit=unit))
        if number == sunspec.END:
            break
        models.append(number)
        group = sunspec.definition_of(number)
        if group is None:
            reason = f"no definition of SunSpec model {number} ({length} registers)"
            yield Browsed((f"model {number}",), f"holding:{at}", "", detail={"skipped": reason})
        else:
            block = await _block(reader, at, length + 2, unit=unit)
            name = str(group["name"])
            met[name] = met.get(name, 0) + 1
            for point in sunspec.points_of(group, length + 2, partial(_word, block)):
                path = point.path if met[name] == 1 else (f"{name} {met[name]}", *point.path[1:])
                yield _browsed(point, path, at, block)
        yield Browsed((), "", "", detail={"beat": True, "done": 0, "queued": []})
        at += length + 2
    yield Browsed((), "", "", detail={"facts": {"sunspec": {"base": first - 2, "models": models}}})


async def _block(reader: RegisterReader, start: int, count: int, *, unit: int) -> bytes:
    raw = b""
    for low in range(start, start + count, MAX_READ):
        raw += await reader.registers(low, min(MAX_READ, start + count - low), unit=unit)
    return raw


def _word(block: bytes, place: int) -> int:
    return int.from_bytes(block[place * 2 : place * 2 + 2], "big")


def _browsed(point: sunspec.PointAt, path: tuple[str, ...], model_at: int, block: bytes) -> Browsed:
    """One point as something to read, or why not."""
    definition = point.definition
    kind = str(definition["type"])
    address = f"holding:{model_at + point.offset}"
    raw = block[point.offset * 2 : (point.offset + point.size) * 2]
    label = str(definition.get("label") or definition["name"])
    shown = (*(level.replace("_", "-") for level in path[:-1]), label)
    if reason := _reason(point, kind, raw):
        return Browsed(shown, address, "", detail={"skipped": reason})
    our = f"string[{point.size * 2}]" if kind == "string" else sunspec.TYPES[kind]
    keys: JsonObject = {}
    if isinstance(definition.get("sf"), int) and definition["sf"]:
        keys["scale"] = 10.0 ** definition["sf"]
    elif point.scale_offset is not None and kind not in ("float32", "float64"):
        keys = {"type": "float64", "raw_type": our, "scale_from": f"holding:{model_at + point.scale_offset}"}
    if definition.get("static") == "S":
        keys["poll"] = STATIC_POLL
    detail: BrowseDetail = {"keys": keys} if keys else {}
    symbols = {int(one["value"]): str(one["name"]) for one in definition.get("symbols", ())}
    if symbols and kind.startswith("enum"):
        detail["values"] = symbols
    units = str(definition.get("units", ""))
    text = str(definition.get("desc") or "").strip()
    return Browsed(shown, address, our, sunspec.UNITS.get(units, units), text, definition.get("access") == "RW", detail)


def _reason(point: sunspec.PointAt, kind: str, raw: bytes) -> str:
    if point.path[-1] in ("ID", "L") and len(point.path) == 2 and point.offset < 2:
        return "header of the model"
    if sunspec.NAMELESS.get(kind):
        return sunspec.NAMELESS[kind]
    if kind in NO_TYPE:
        return f"{NO_TYPE[kind]}, no value of the process"
    if kind != "string" and kind not in sunspec.TYPES:
        return f"SunSpec type {kind} is not known here"
    return "the device does not implement it" if _absent(kind, raw) else ""


def _absent(kind: str, raw: bytes) -> bool:
    if kind == "string":
        return not raw.strip(b"\0")
    if kind in ("float32", "float64"):
        return math.isnan(struct.unpack(">f" if kind == "float32" else ">d", raw)[0])
    if kind.startswith("int"):
        return raw[:1] == b"\x80" and not raw[1:].strip(b"\0")
    return not kind.startswith("acc") and not raw.strip(b"\xff")
