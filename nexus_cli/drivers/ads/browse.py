"""Browsing a PLC: its symbol table with data types, structures and arrays expanded only as far as the caller iterates.

Source: Beckhoff, ADS device service: 0xF00F (sizes), 0xF00B (symbol table), 0xF00E (data type table).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from nexus_cli.drivers.ads import channel as ads
from nexus_cli.drivers.ads.channel import Item
from nexus_cli.drivers.ads.codec import natural_type
from nexus_cli.drivers.ads.plc import Plc
from nexus_cli.drivers.ads.plctypes import POINTERS, Resolver, Shape, UnknownType
from nexus_cli.drivers.ads.symbol_table import (
    SYMBOL_METHOD_DEREF,
    SYMBOL_READ_ONLY,
    SYMBOL_REFERENCE,
    EntryError,
    SymbolEntry,
    TypeEntry,
    read_symbol,
    read_type,
)
from nexus_cli.drivers.base import Browsed, DriverError, Scope
from nexus_cli.model.datatype import DataType
from nexus_cli.wire.sample import Reason

UPLOAD_INFO, SYMBOL_TABLE, TYPE_TABLE = Item(0xF00F, 0, 24), 0xF00B, 0xF00E
MAX_TABLE_BYTES = 60 << 20
MAX_ARRAY = 10_000
"""Elements of one array of structures that are taken apart; longer ones are named as skipped."""
MIN_ENTRY_BYTES = 30
"""A symbol's entry without its names; shorter ones are no entries."""
BREATH = 500
"""After so many entries the loop gets a turn."""

Entry = TypeVar("Entry", SymbolEntry, TypeEntry)


async def browse(plc: Plc, *, start: str = "") -> AsyncIterator[Browsed]:
    """Every value below `start` (a program, symbol or member; everything when empty), in the PLC's order.

    What has no value of its own is given too, with type "" and the reason in `detail["skipped"]`.

    Raises:
        DriverError: The session is lost, the tables can't be read, or `start` is not there.
    """
    await plc.ready()
    symbols, types, odd = await upload(plc)
    for one in odd:
        yield one
    known: dict[str, TypeEntry | None] = dict(types)
    wanted = start.strip().lower()
    number = found = 0
    for symbol in symbols:
        if wanted and not _related(symbol.name.lower(), wanted):
            continue
        for one in _expand(symbol, known):
            number += 1
            if not number % BREATH:
                await asyncio.sleep(0)
            if not wanted or one.address.lower() == wanted or _below(one.address.lower(), wanted):
                found += 1
                yield one
    if wanted and not found:
        raise DriverError(
            f"{plc.name}: there is no symbol '{start}'",
            scope=Scope.ITEM,
            retriable=False,
            reason=Reason.ILLEGAL_ADDRESS,
        )


async def upload(plc: Plc) -> tuple[list[SymbolEntry], dict[str, TypeEntry], list[Browsed]]:
    """All symbols, the data types by name in upper case, and what of both tables can't be read, each with the reason.

    Raises:
        DriverError: The session is lost, or the tables can't be read.
    """
    what = f"{plc.name}: upload the symbols"
    info = await ads.read(plc.channel, plc.address, UPLOAD_INFO, what)
    if len(info) < 16:
        raise ads.malformed(what)
    count, size, type_count, type_size = struct.unpack_from("<IIII", info)
    if max(size, type_size) > MAX_TABLE_BYTES:
        raise ads.malformed(what)
    raw = await ads.read(plc.channel, plc.address, Item(SYMBOL_TABLE, 0, size), what) if size else b""
    raw_types = await ads.read(plc.channel, plc.address, Item(TYPE_TABLE, 0, type_size), what) if type_size else b""
    odd: list[Browsed] = []
    symbols = await _table(raw, count, read_symbol, "symbol", odd, what)
    types = await _table(raw_types, type_count, read_type, "data type", odd, what)
    return symbols, {entry.name.upper(): entry for entry in types}, odd


async def _table(
    raw: bytes, count: int, read: Callable[[bytes, int], tuple[Entry, int]], each: str, odd: list[Browsed], what: str
) -> list[Entry]:
    """The entries of a table; one that can't be read costs itself, as long as it says where the next begins."""
    found: list[Entry] = []
    at = 0
    for number in range(count):
        try:
            entry, at = read(raw, at)
            found.append(entry)
        except EntryError as error:
            length = int.from_bytes(raw[at : at + 4], "little")
            if length < MIN_ENTRY_BYTES or at + length > len(raw):
                raise DriverError(
                    f"{what}: the tables can't be read ({error})", scope=Scope.REQUEST, reason=Reason.DECODE_ERROR
                ) from None
            at += length
            odd.append(_skipped((f"{each} {number + 1}",), "", f"its description can't be read: {error}", ""))
        if not number % BREATH:
            await asyncio.sleep(0)
    return found


def _related(symbol: str, wanted: str) -> bool:
    return symbol == wanted or _below(symbol, wanted) or _below(wanted, symbol)


def _below(name: str, above: str) -> bool:
    return name.startswith((above + ".", above + "[", above + "^")) or (above.endswith(".") and name.startswith(above))


def _expand(symbol: SymbolEntry, known: dict[str, TypeEntry | None]) -> Iterator[Browsed]:
    path = tuple(part for part in symbol.name.split(".") if part)
    if symbol.flags & (SYMBOL_REFERENCE | SYMBOL_METHOD_DEREF):
        yield _skipped(path, symbol.name, "a reference: its target is another symbol", symbol.comment)
        return
    writable = not symbol.flags & SYMBOL_READ_ONLY
    yield from _Walk(Resolver(known, utf8=symbol.utf8, thorough=True), known, writable).walk(
        path, symbol.name, symbol.type_name, symbol.ads, symbol.size, symbol.comment
    )


class _Walk:
    """The values of one symbol, taken apart while they are asked for."""

    def __init__(self, resolver: Resolver, types: dict[str, TypeEntry | None], writable: bool) -> None:
        self._resolver = resolver
        self._types = types
        self._writable = writable

    def walk(
        self, path: tuple[str, ...], address: str, type_name: str, kind: int, size: int, comment: str
    ) -> Iterator[Browsed]:
        """Everything in a symbol."""
        while True:
            try:
                shape = self._resolver.shape(type_name, kind, size)
                break
            except UnknownType as unknown:
                self._types[unknown.name.upper()] = None
            except ValueError as error:
                yield _skipped(path, address, str(error), comment)
                return
        yield from self._values(path, address, shape, comment)

    def _values(self, path: tuple[str, ...], address: str, shape: Shape, comment: str) -> Iterator[Browsed]:
        if shape.opaque:
            pointer = shape.name.upper().startswith(POINTERS)
            reason = "a pointer: its value is an address" if pointer else f"{shape.name} has no value of its own"
            yield _skipped(path, address, shape.why or reason, comment)
            return
        if shape.members:
            for member in shape.members:
                yield from self._values((*path, member.name), f"{address}.{member.name}", member.shape, member.comment)
            return
        element = shape.element
        if element is None or not (element.members or element.element is not None or len(shape.bounds) > 1):
            yield self._value(path, address, shape, comment)
            return
        if shape.count > MAX_ARRAY:
            yield _skipped(path, address, f"an array of {shape.count} structures", comment)
            return
        for index in _indices(shape.bounds):
            text = f"[{','.join(str(one) for one in index)}]"
            yield from self._values((*path[:-1], path[-1] + text), address + text, element, comment)

    def _value(self, path: tuple[str, ...], address: str, shape: Shape, comment: str) -> Browsed:
        single = shape.element or shape
        declared = natural_type(single)
        if shape.element is not None:
            declared = DataType(declared.base, length=declared.length, count=shape.count)
        detail: dict[str, object] = {"plc_type": shape.name}
        if single.labels:
            detail["values"] = dict(single.labels)
        return Browsed(path, address, str(declared), description=comment, writable=self._writable, detail=detail)


def _indices(bounds: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, ...]]:
    if not bounds:
        yield ()
        return
    low, count = bounds[0]
    for index in range(low, low + count):
        for rest in _indices(bounds[1:]):
            yield (index, *rest)


def _skipped(path: tuple[str, ...], address: str, reason: str, comment: str) -> Browsed:
    return Browsed(path, address, "", description=comment, detail={"skipped": reason})
