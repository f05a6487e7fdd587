"""A PLC as it is now: which symbols it has, their types and rights, and the version of its symbol table.

A symbol that is gone is looked for by its last name in the symbol table, when that is small enough to be read beside polls.
Nothing is written; handles of references are made and given back as a read does.

Source: Beckhoff, ADS device service: 0xF008 (symbol version), 0xF009 (symbol info by name), 0xF00F (sizes of the tables).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from nexus_cli.drivers.ads import channel as ads
from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.asking import asked
from nexus_cli.drivers.ads.browse import UPLOAD_INFO, upload
from nexus_cli.drivers.ads.codec import Mismatch, compile_codec, natural_type
from nexus_cli.drivers.ads.errors import meaning_of
from nexus_cli.drivers.ads.plc import VERSION, Located, Plc
from nexus_cli.drivers.ads.plctypes import Shape
from nexus_cli.drivers.ads.read_plan import shape_of
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.ads.symbol_table import SYMBOL_READ_ONLY
from nexus_cli.drivers.base import DriverError, Fault, Point, Scope
from nexus_cli.drivers.examined import Examined, Presence, of_error, of_fault
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import DataType, parse_type

POINTS = 20
"""Symbols of one step: one request looks them up."""
MOST_TABLE_BYTES = 1 << 20
"""A symbol table that is larger is not read to find where a symbol went."""


class AdsExaminer:
    """See `drivers.examined.Examiner`."""

    def pieces(self, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Sequence[Point]]:
        """See `Examiner.pieces`."""
        return [points[first : first + POINTS] for first in range(0, len(points), POINTS)]

    async def identity(self, session: AdsSession, device: DeviceConfig, /) -> Mapping[str, str]:
        """The version of the symbol table, which each download of a program changes. Raises DriverError."""
        plc = session.plc_of(device.path)
        await plc.check()
        await plc.ready()
        version = plc.known(VERSION)
        return {} if version is None else {"symbol version": str(int.from_bytes(version, "little"))}

    async def examine(
        self, session: AdsSession, device: DeviceConfig, points: Sequence[Point], /
    ) -> Sequence[Examined]:
        """See `Examiner.examine`."""
        plc = session.plc_of(device.path)
        await plc.ready()
        addresses = [parse_address(point.address) for point in points]
        located = await plc.locate(address.symbol for address in addresses if address.symbol)
        found: list[Examined] = []
        for point, address in zip(points, addresses, strict=True):
            place = located.get(address.symbol)
            if place is None:
                found.append(await _memory(session, device, point))
            elif isinstance(place, Fault):
                found.append(of_fault(point.name, place, problem=meaning_of(place.code).text if place.code else ""))
            else:
                found.append(await _symbol(plc, place, point))
        if any(one.presence is Presence.GONE for one in found):
            return await _moved(plc, found, points)
        return found


async def _memory(session: AdsSession, device: DeviceConfig, point: Point) -> Examined:
    """Raw memory has no description: it is read."""
    try:
        opinion = await asked(session, device, point)
    except DriverError as error:
        if error.scope in (Scope.SESSION, Scope.DEVICE):
            raise
        return of_error(point.name, error)
    if opinion.fault is not None:
        return of_fault(point.name, opinion.fault, problem=opinion.problem)
    return Examined(name=point.name, presence=Presence.THERE)


async def _symbol(plc: Plc, place: Located, point: Point) -> Examined:
    writable = not place.entry.flags & SYMBOL_READ_ONLY
    declared = parse_type(point.type)
    try:
        shape = await shape_of(plc, place, point)
    except ValueError as error:
        return Examined(name=point.name, presence=Presence.MISTYPED, writable=writable, problem=str(error))
    kind = "json" if declared.base == "json" else str(_type_of(shape))
    try:
        compile_codec(declared, shape)
    except (Mismatch, ValueError) as error:
        return Examined(
            name=point.name, presence=Presence.MISTYPED, type=kind, writable=writable, problem=str(error) or shape.name
        )
    return Examined(name=point.name, presence=Presence.THERE, type=kind, writable=writable)


def _type_of(shape: Shape) -> DataType:
    if shape.members:
        return DataType("json")
    element = shape.element
    if element is None:
        return natural_type(shape)
    if element.members or element.element is not None:
        return DataType("json")
    single = natural_type(element)
    return DataType(single.base, length=single.length, count=shape.count)


async def _moved(plc: Plc, found: Sequence[Examined], points: Sequence[Point]) -> Sequence[Examined]:
    """Say where symbols went that are gone: to the one symbol that has the same last name."""
    names = await _symbols(plc)
    out: list[Examined] = []
    for one, point in zip(found, points, strict=True):
        last = parse_address(point.address).symbol.rpartition(".")[2].lower()
        here = names.get(last, ()) if one.presence is Presence.GONE and last else ()
        if len(here) == 1:
            one = Examined(name=one.name, presence=Presence.MOVED, address=here[0], problem=one.problem, code=one.code)
        out.append(one)
    return out


async def _symbols(plc: Plc) -> Mapping[str, Sequence[str]]:
    """The symbols by their last name in small letters; empty when the table is too large, or can't be read."""
    try:
        info = await ads.read(plc.channel, plc.address, UPLOAD_INFO, f"{plc.name}: size of the symbol table")
        if len(info) < 16 or sum(struct.unpack_from("<IIII", info)[1::2]) > MOST_TABLE_BYTES:
            return {}
        symbols, _, _ = await upload(plc)
    except DriverError as error:
        if error.scope is Scope.SESSION:
            raise
        return {}
    names: dict[str, list[str]] = {}
    for symbol in symbols:
        names.setdefault(symbol.name.rpartition(".")[2].lower(), []).append(symbol.name)
    return names


EXAMINER = AdsExaminer()
