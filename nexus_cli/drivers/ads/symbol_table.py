"""Symbol and data type entries as the PLC sends them: read and written. Pure.

Source: Beckhoff, TcAdsDef.h (AdsSymbolEntry, AdsDatatypeEntry); order of the optional parts as in TwinCAT 3.1 build 4024.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SYMBOL_BIT_VALUE, SYMBOL_REFERENCE, SYMBOL_GUID, SYMBOL_READ_ONLY, SYMBOL_METHOD_DEREF = 0x2, 0x4, 0x8, 0x20, 0x80
SYMBOL_ATTRIBUTES = 0x1000
BIT_VALUES, TYPE_GUID, COPY_MASK, METHODS, ATTRIBUTES, ENUMERATION, STATIC = (
    0x20,
    0x80,
    0x200,
    0x800,
    0x1000,
    0x2000,
    0x20000,
)
_SYMBOL = struct.Struct("<6I3H")
_TYPE = struct.Struct("<8I5H")
_BOUND = struct.Struct("<iI")
_GUID_BYTES = 16
MAX_DEPTH = 24


class EntryError(ValueError):
    """Bytes that are no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolEntry:
    """One symbol. Sizes in bytes; `ads` is the ADS data type id."""

    name: str
    type_name: str
    comment: str = ""
    group: int
    offset: int
    size: int
    ads: int
    flags: int = 0
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def utf8(self) -> bool:
        """Its strings hold UTF-8."""
        return any(name.lower() == "tcencoding" and value.upper() == "UTF-8" for name, value in self.attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeEntry:
    """One data type, or one member of a structure (then `offset` is where it begins, in bits for BIT members)."""

    name: str
    type_name: str
    comment: str = ""
    size: int
    offset: int = 0
    ads: int
    flags: int = 1
    bounds: tuple[tuple[int, int], ...] = ()
    members: tuple[TypeEntry, ...] = ()
    labels: tuple[tuple[str, bytes], ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()


def read_symbol(data: bytes, at: int = 0) -> tuple[SymbolEntry, int]:
    """One symbol entry and where the next begins. Raises EntryError."""
    try:
        length, group, offset, size, ads, flags, *texts = _SYMBOL.unpack_from(data, at)
        end = at + length
        if length < _SYMBOL.size or end > len(data):
            raise EntryError(f"a symbol entry of {length} bytes")
        (name, type_name, comment), place = _texts(data, at + _SYMBOL.size, texts, end)
        if flags & SYMBOL_GUID:
            place += _GUID_BYTES
        attributes = _attributes(data, place, end)[0] if flags & SYMBOL_ATTRIBUTES else ()
    except struct.error:
        raise EntryError("a symbol entry that ends too early") from None
    entry = SymbolEntry(
        name=name,
        type_name=type_name,
        comment=comment,
        group=group,
        offset=offset,
        size=size,
        ads=ads,
        flags=flags,
        attributes=attributes,
    )
    return entry, end


def read_type(data: bytes, at: int = 0, depth: int = 0) -> tuple[TypeEntry, int]:
    """One data type entry and where the next begins. Raises EntryError."""
    if depth > MAX_DEPTH:
        raise EntryError("data types nested too deep")
    try:
        length, _, _, _, size, offset, ads, flags, *counts = _TYPE.unpack_from(data, at)
        *texts, dimensions, parts = counts
        end = at + length
        if length < _TYPE.size or end > len(data):
            raise EntryError(f"a data type entry of {length} bytes")
        (name, type_name, comment), place = _texts(data, at + _TYPE.size, texts, end)
        bounds = []
        for _ in range(dimensions):
            bounds.append(_BOUND.unpack_from(data, place))
            place += _BOUND.size
        members = []
        for _ in range(parts):
            member, place = read_type(data, place, depth + 1)
            members.append(member)
            if place > end:
                raise EntryError("a member that is longer than its structure")
        labels, attributes = _optional_parts(data, place, end, flags, size)
    except struct.error:
        raise EntryError("a data type entry that ends too early") from None
    entry = TypeEntry(
        name=name,
        type_name=type_name,
        comment=comment,
        size=size,
        offset=offset,
        ads=ads,
        flags=flags,
        bounds=tuple(bounds),
        members=tuple(members),
        labels=labels,
        attributes=attributes,
    )
    return entry, end


def _optional_parts(
    data: bytes, at: int, end: int, flags: int, size: int
) -> tuple[tuple[tuple[str, bytes], ...], tuple[tuple[str, str], ...]]:
    if flags & TYPE_GUID:
        at += _GUID_BYTES
    if flags & COPY_MASK:
        at += size
    if flags & METHODS:
        (count,) = struct.unpack_from("<H", data, at)
        at += 2
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            at += length
            if length < 4 or at > end:
                raise EntryError("a method that is longer than its type")
    attributes: tuple[tuple[str, str], ...] = ()
    if flags & ATTRIBUTES:
        attributes, at = _attributes(data, at, end)
    labels = []
    if flags & ENUMERATION:
        (count,) = struct.unpack_from("<H", data, at)
        at += 2
        for _ in range(count):
            length = data[at] if at < end else 0
            label = data[at + 1 : at + 1 + length].decode("cp1252", "replace")
            at += 2 + length
            if at + size > end:
                raise EntryError("an enumeration that is longer than its type")
            labels.append((label, data[at : at + size]))
            at += size
    return tuple(labels), attributes


def _attributes(data: bytes, at: int, end: int) -> tuple[tuple[tuple[str, str], ...], int]:
    (count,) = struct.unpack_from("<H", data, at)
    at += 2
    found = []
    for _ in range(count):
        if at + 2 > end:
            raise EntryError("attributes that are longer than their entry")
        first, second = data[at], data[at + 1]
        at += 2
        name = data[at : at + first].decode("cp1252", "replace")
        at += first + 1
        value = data[at : at + second].decode("cp1252", "replace")
        at += second + 1
        found.append((name, value))
    return tuple(found), at


def _texts(data: bytes, at: int, lengths: list[int], end: int) -> tuple[list[str], int]:
    out = []
    for length in lengths:
        out.append(data[at : at + length].decode("cp1252", "replace"))
        at += length + 1
    if at > end:
        raise EntryError("names that are longer than their entry")
    return out, at


def _packed_texts(*texts: str) -> tuple[list[int], bytes]:
    raw = [text.encode("cp1252", "replace") for text in texts]
    return [len(one) for one in raw], b"".join(one + b"\0" for one in raw)


def _packed_attributes(attributes: tuple[tuple[str, str], ...]) -> bytes:
    if not attributes:
        return b""
    body = b"".join(
        bytes((len(name), len(value))) + name.encode("cp1252") + b"\0" + value.encode("cp1252") + b"\0"
        for name, value in attributes
    )
    return struct.pack("<H", len(attributes)) + body


def write_symbol(entry: SymbolEntry) -> bytes:
    """The bytes of a symbol entry."""
    flags = entry.flags & ~SYMBOL_GUID | (SYMBOL_ATTRIBUTES if entry.attributes else 0)
    lengths, texts = _packed_texts(entry.name, entry.type_name, entry.comment)
    body = texts + _packed_attributes(entry.attributes)
    head = (_SYMBOL.size + len(body), entry.group, entry.offset, entry.size, entry.ads, flags)
    return _SYMBOL.pack(*head, *lengths) + body


def write_type(entry: TypeEntry) -> bytes:
    """The bytes of a data type entry."""
    flags = entry.flags & ~(TYPE_GUID | COPY_MASK | METHODS | ATTRIBUTES | ENUMERATION)
    flags |= (ATTRIBUTES if entry.attributes else 0) | (ENUMERATION if entry.labels else 0)
    lengths, body = _packed_texts(entry.name, entry.type_name, entry.comment)
    body += b"".join(_BOUND.pack(*bound) for bound in entry.bounds)
    body += b"".join(write_type(member) for member in entry.members)
    body += _packed_attributes(entry.attributes)
    if entry.labels:
        body += struct.pack("<H", len(entry.labels))
        for label, raw in entry.labels:
            name = label.encode("cp1252")
            body += bytes((len(name),)) + name + b"\0" + raw
    head = (_TYPE.size + len(body), 1, 0, 0, entry.size, entry.offset, entry.ads, flags)
    return _TYPE.pack(*head, *lengths, len(entry.bounds), len(entry.members)) + body
