"""What a simulated PLC answers to one ADS command: from parameters to data, pure.

Source: Beckhoff, ADS device service (index groups 0xF000–0xF0FF) and sum commands (0xF080, 0xF081, 0xF082).
"""

from __future__ import annotations

import struct

from nexus_cli.drivers.ads.simulator.memory import Image
from nexus_cli.drivers.ads.symbol_table import write_symbol, write_type
from nexus_cli.drivers.simulation.memory import Refused

MAX_SUM = 500
SUM_READ, SUM_WRITE, SUM_READ_WRITE = 0xF080, 0xF081, 0xF082


def read(image: Image, group: int, offset: int, size: int) -> bytes:
    """Memory, or one of the tables. Raises Refused."""
    if group == 0xF005:
        return _by_handle(image, offset, size)
    if group == 0xF008:
        return bytes((image.version,))[:size]
    if group == 0xF100:
        return struct.pack("<HH", image.state, 0)[offset : offset + size]
    if group in (0xF00B, 0xF00C, 0xF00E, 0xF00F):
        return _tables(image, group)[:size]
    memory, at = image.view(group, offset, size)
    return bytes(memory[at : at + size])


def _by_handle(image: Image, handle: int, size: int) -> bytes:
    entry, _ = image.find(_named(image, handle))
    if size < entry.size:
        raise Refused(1797)
    memory, at = image.view(entry.group, entry.offset, entry.size)
    return bytes(memory[at : at + entry.size])


def _named(image: Image, handle: int) -> str:
    name = image.handles.get(handle)
    if name is None:
        raise Refused(1809)
    return name


def _tables(image: Image, group: int) -> bytes:
    symbols = [write_symbol(one) for one in image.symbols()]
    table = b"".join(symbols)
    if group == 0xF00B:
        return table
    if group == 0xF00C:
        return struct.pack("<II", len(symbols), len(table))
    types = [write_type(one) for one in image.types().values()]
    if group == 0xF00E:
        return b"".join(types)
    return struct.pack("<6I", len(symbols), len(table), len(types), sum(map(len, types)), 0, 0)


def write(image: Image, group: int, offset: int, data: bytes) -> None:
    """Write memory, or release a handle. Raises Refused."""
    if group == 0xF006:
        number = int.from_bytes(data[:4], "little") if len(data) >= 4 else offset
        if image.handles.pop(number, None) is None:
            raise Refused(1809)
        return
    if group == 0xF005:
        entry, _ = image.find(_named(image, offset))
        if len(data) > entry.size:  # a text may be written as far as its NUL
            raise Refused(1797)
        if entry.flags & 0x20:
            raise Refused(1796)
        group, offset = entry.group, entry.offset
    memory, at = image.view(group, offset, len(data))
    memory[at : at + len(data)] = data
    end = offset + len(data)
    for cell in image.cells.values():  # what was written stays: its signal stops
        size = cell.codec.size if cell.codec is not None else 0
        if cell.signal is not None and cell.group == group and cell.offset < end and offset < cell.offset + size:
            image.freeze(cell)


def read_write(image: Image, group: int, offset: int, size: int, data: bytes, *, sums: bool) -> bytes:
    """Look up by name, sum commands, or write then read. Raises Refused."""
    if group in (0xF003, 0xF004, 0xF007, 0xF009, 0xF011):
        return _by_name(image, group, data.split(b"\0")[0].decode("cp1252", "replace"))[:size]
    if group in (SUM_READ, SUM_WRITE, SUM_READ_WRITE):
        if not sums:
            raise Refused(1793)
        if offset > MAX_SUM:
            raise Refused(1797)
        work = {SUM_READ: _sum_read, SUM_WRITE: _sum_write, SUM_READ_WRITE: _sum_read_write}
        return work[group](image, offset, data)
    if data:
        write(image, group, offset, data)
    return read(image, group, offset, size)


def _by_name(image: Image, group: int, name: str) -> bytes:
    if group == 0xF011:
        found = image.types().get(name.upper())
        if found is None:
            raise Refused(1808)
        return write_type(found)
    entry, _ = image.find(name)
    if group == 0xF003:
        return struct.pack("<I", image.new_handle(name))
    if group == 0xF004:
        return read(image, entry.group, entry.offset, entry.size)
    if group == 0xF007:
        return struct.pack("<III", entry.group, entry.offset, entry.size)
    return write_symbol(entry)


def _sum_read(image: Image, count: int, data: bytes) -> bytes:
    codes, parts = [], []
    for group, offset, size in struct.iter_unpack("<III", data[: 12 * count]):
        try:
            if group in (0xF008, 0xF100) and not image.watch_in_sums:
                raise Refused(1794)
            part = read(image, group, offset, size)
            codes.append(0)
        except Refused as refused:
            part = b""
            codes.append(refused.code)
        parts.append(part.ljust(size, b"\0"))
    return struct.pack(f"<{len(codes)}I", *codes) + b"".join(parts)


def _sum_write(image: Image, count: int, data: bytes) -> bytes:
    codes, at = [], 12 * count
    for group, offset, size in struct.iter_unpack("<III", data[:at]):
        codes.append(0)
        try:
            write(image, group, offset, data[at : at + size])
        except Refused as refused:
            codes[-1] = refused.code
        at += size
    return struct.pack(f"<{len(codes)}I", *codes)


def _sum_read_write(image: Image, count: int, data: bytes) -> bytes:
    heads, parts, at = [], [], 16 * count
    for group, offset, size, given in struct.iter_unpack("<IIII", data[:at]):
        try:
            part, code = read_write(image, group, offset, size, data[at : at + given], sums=False), 0
        except Refused as refused:
            part, code = b"", refused.code
        at += given
        heads.append(struct.pack("<II", code, len(part)))
        parts.append(part)
    return b"".join(heads) + b"".join(parts)
