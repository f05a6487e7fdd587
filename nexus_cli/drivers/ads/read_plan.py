"""A request of the gateway as a PLC is asked: addresses, types and sum reads, compiled once per symbol version."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.channel import Item, sum_body
from nexus_cli.drivers.ads.codec import Codec, Decode, Mismatch, compile_codec, shape_for
from nexus_cli.drivers.ads.errors import SYMBOL_VERSION_INVALID, fault_of
from nexus_cli.drivers.ads.plc import MAX_TYPE_ROUNDS, RUN, Located, Plc
from nexus_cli.drivers.ads.plctypes import REFERENCE, Resolver, Shape, UnknownType
from nexus_cli.drivers.ads.symbol_table import SYMBOL_REFERENCE
from nexus_cli.drivers.base import Fault, Point
from nexus_cli.drivers.columns import Columns, Numbers, Place, compile_columns
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Reason, Value

MAX_ANSWER_BYTES = 60_000
"""Data in one sum read: what a router of a small controller takes."""
MAX_VALUE_BYTES = 16 << 20
"""The longest single value that is read."""
_TOO_LONG = Fault(Reason.OVERFLOW)
_MISMATCH = Fault(Reason.TYPE_MISMATCH)
_DECODE_ERROR = Fault(Reason.DECODE_ERROR)


class Target(NamedTuple):
    """A point as the PLC has it now; `located` is None for raw memory."""

    item: Item
    codec: Codec
    located: Located | None


@dataclass(frozen=True, slots=True)
class Piece:
    """One sum read.

    Attributes:
        body: Parameters, ready to send.
        items: With the guard first.
        codes: How many bytes of error codes the answer begins with.
        start: Where the points' data begins.
        unpack: Of all points at once.
        positions: In the request that it answers.
        converts: By place in the piece, only where the item is not yet the value.
        numbers: All of them as a column, out of the whole answer; None where that can't be.
    """

    body: bytes
    items: tuple[Item, ...]
    codes: int
    start: int
    unpack: struct.Struct
    positions: Sequence[int]
    converts: tuple[tuple[int, Decode], ...]
    nothing: bytes
    numbers: Columns | None


@dataclass(slots=True)
class Prepared:
    """A request under one generation of a PLC; `whole` when one piece answers all of its points in order.

    Attributes:
        again_s: When what was refused is looked up again, in the loop's time; infinity when nothing was.
    """

    generation: int
    pieces: list[Piece]
    faults: dict[int, Fault] = field(default_factory=dict)
    whole: bool = False
    again_s: float = math.inf


async def targets_of(plc: Plc, points: Sequence[Point]) -> list[Target | Fault]:
    """Where points are and how they are read, same order.

    Raises:
        DriverError: With scope SESSION or DEVICE.
    """
    addresses = [parse_address(point.address) for point in points]
    found = await plc.locate(address.symbol for address in addresses if address.symbol)
    out: list[Target | Fault] = []
    for point, address in zip(points, addresses, strict=True):
        located = found.get(address.symbol)
        if isinstance(located, Fault):
            out.append(located)
            continue
        declared = parse_type(point.type)
        try:
            if located is None:
                shape = shape_for(
                    declared, str(point.options.get("plc_type", "")), str(point.options.get("encoding", ""))
                )
                group, offset = address.group, address.offset
            else:
                shape = await shape_of(plc, located, point)
                group, offset = located.group, located.offset
            codec = compile_codec(declared, shape)
        except Mismatch:
            out.append(_MISMATCH)
        except ValueError:
            out.append(Fault(Reason.TYPE_MISMATCH, 0))
        else:
            fits = codec.size <= MAX_VALUE_BYTES
            out.append(Target(Item(group, offset, codec.size), codec, located) if fits else _TOO_LONG)
    return out


async def shape_of(plc: Plc, located: Located, point: Point) -> Shape:
    """The type of a symbol; asks for the descriptions that it needs.

    Raises:
        ValueError: The type can't be determined.
        DriverError: With scope SESSION or DEVICE.
    """
    entry = located.entry
    utf8 = entry.utf8 or point.options.get("encoding") == "utf-8"
    thorough = parse_type(point.type).base in ("datetime", "duration", "json")
    resolver = Resolver(plc.types, utf8=utf8, thorough=thorough)
    refers = entry.flags & SYMBOL_REFERENCE and entry.type_name.upper().startswith(REFERENCE)
    for _ in range(MAX_TYPE_ROUNDS):
        try:
            if refers:  # its handle leads to what it refers to, so that is what is read and written
                return resolver.target(entry.type_name[len(REFERENCE) :].strip())
            return resolver.shape(entry.type_name, entry.ads, entry.size)
        except UnknownType as unknown:
            await plc.describe(unknown.name)
    raise ValueError(f"the type {entry.type_name} needs too many others")


async def prepare(plc: Plc, points: Sequence[Point], *, limit: int) -> Prepared:
    """Compile a request. `limit` counts sub-commands in one sum read, the guard's included.

    Raises:
        DriverError: With scope SESSION or DEVICE.
    """
    generation = plc.generation
    targets = await targets_of(plc, points)
    prepared = Prepared(generation, [])
    part: list[tuple[int, Target]] = []
    size = 0
    room = max(1, limit - len(plc.guard))
    for position, target in enumerate(targets):
        if isinstance(target, Fault):
            prepared.faults[position] = target
            continue
        if part and (len(part) >= room or size + target.item.size > MAX_ANSWER_BYTES):
            prepared.pieces.append(_piece(plc, part))
            part, size = [], 0
        part.append((position, target))
        size += target.item.size
    if part:
        prepared.pieces.append(_piece(plc, part))
    prepared.again_s = min((plc.again_s(parse_address(point.address).symbol) for point in points), default=math.inf)
    prepared.whole = len(prepared.pieces) == 1 and not prepared.faults
    return prepared


def _piece(plc: Plc, part: Sequence[tuple[int, Target]]) -> Piece:
    items = (*plc.guard, *(target.item for _, target in part))
    codes = 4 * len(items)
    start = codes + len(plc.expected)
    return Piece(
        body=sum_body(items),
        items=items,
        codes=codes,
        start=start,
        unpack=struct.Struct("<" + "".join(target.codec.code for _, target in part)),
        positions=[position for position, _ in part],
        converts=tuple((at, target.codec.convert) for at, (_, target) in enumerate(part) if target.codec.convert),
        nothing=bytes(codes),
        numbers=compile_columns(places_of([target.codec for _, target in part], start)),
    )


def places_of(codecs: Sequence[Codec], start: int) -> list[Place | None]:
    """Where each value lies in an answer whose data begins at `start`."""
    places: list[Place | None] = []
    for codec in codecs:
        end = start + codec.size
        places.append(Place(codec.code, tuple(range(end - 1, start - 1, -1))) if codec.convert is None else None)
        start = end
    return places


def numbers_of(plc: Plc, piece: Piece, data: bytes) -> Numbers | None:
    """The column of an answer without errors, under the addresses that hold; None where `take` is to look at it."""
    if piece.numbers is None or not data.startswith(piece.nothing) or len(data) < piece.start + piece.unpack.size:
        return None
    if not plc.accepts(data[: 4 * len(plc.guard)], data[piece.codes : piece.start]):
        return None
    return piece.numbers(data)


def values_of(piece: Piece, data: bytes) -> list[Value]:
    """The same as Python's values."""
    return list(piece.unpack.unpack_from(data, piece.start))


def take(plc: Plc, piece: Piece, data: bytes, values: list[Value], faults: dict[int, Fault]) -> bool:
    """Take the answer to a piece apart; False when it must be asked again under new addresses."""
    if not plc.accepts(data[: 4 * len(plc.guard)], data[piece.codes : piece.start]):
        return False
    found = list(piece.unpack.unpack_from(data, piece.start))
    clean = data.startswith(piece.nothing)
    failed: dict[int, Fault] = {}
    if not clean:
        guards = len(piece.items) - len(found)
        for place, code in enumerate(struct.unpack_from(f"<{len(found)}I", data, 4 * guards)):
            if code == SYMBOL_VERSION_INVALID:
                plc.stale = True
            if code:
                failed[place] = fault_of(code)
                found[place] = None
    for place, convert in piece.converts:
        if place in failed:
            continue
        try:
            found[place] = convert(found[place])
        except (ValueError, struct.error, OverflowError):
            failed[place] = _DECODE_ERROR
            found[place] = None
    if clean and len(found) == len(values):
        values[:] = found
    else:
        for position, value in zip(piece.positions, found, strict=True):
            values[position] = value
    for place, fault in failed.items():
        faults[piece.positions[place]] = fault
    return True


def stopped(plc: Plc) -> Fault | None:
    """What values of a PLC that does not run are worth: the last ones it had."""
    if plc.state in (RUN, 0):
        return None
    return Fault(Reason.SOURCE_UNCERTAIN, plc.state, uncertain=True)
