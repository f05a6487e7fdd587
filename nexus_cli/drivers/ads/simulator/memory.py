"""The memory of one simulated PLC runtime: symbols, raw memory, handles, and what an online change does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import msgspec

from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.codec import Codec, compile_codec, shape_for
from nexus_cli.drivers.ads.plc import ONLINE_CHANGES, RUN
from nexus_cli.drivers.ads.plctypes import Shape
from nexus_cli.drivers.ads.simulator.types import (
    Node,
    build,
    follow,
    grow,
    steps_of,
    symbol_entry,
    type_entries,
)
from nexus_cli.drivers.ads.symbol_table import SYMBOL_READ_ONLY, SymbolEntry, TypeEntry
from nexus_cli.drivers.simulation.memory import Refused
from nexus_cli.drivers.simulation.signals import Signal
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Value

SYMBOL_GROUP = 0x4040
"""Memory of symbols. Source: Beckhoff, ADS: 0x4020 %M, 0x4040 data area."""
OTHER_GROUP = 0x4042
"""Where symbols lie when tags claim raw memory in the first group."""
REFRESH_S = 0.005
FIRST_SHIFT = 64


@dataclass(slots=True)
class Cell:
    """One tag in memory."""

    tag: TagConfig
    signal: Signal | None
    group: int = 0
    offset: int = 0
    codec: Codec | None = None


@dataclass(slots=True)
class Symbol:
    """One entry of the symbol table."""

    name: str
    shape: Shape
    offset: int
    node: Node


class Image:
    """See the module.

    Attributes:
        version: Symbol version, one byte on the wire.
        state: ADS state.
        changes: Online changes so far.
        watch_in_sums: False: version and state can't be read as a part of a sum read.
        cells: Tags by device path and name.
        forbidden: Symbols (lower case) that are not there.
        protected: Symbols (lower case) that may not be written.
    """

    def __init__(self, *, twincat2: bool) -> None:
        self.version = 1
        self.state = RUN
        self.changes = 0
        self.watch_in_sums = True
        self.cells: dict[tuple[str, str], Cell] = {}
        self.forbidden: set[str] = set()
        self.protected: set[str] = set()
        self.handles: dict[int, str] = {}
        self.memory = bytearray()
        self.group = SYMBOL_GROUP
        self._handle_numbers = count(0x1000_0001)
        self._twincat2 = twincat2
        self._roots: dict[str, Node] = {}
        self._symbols: dict[str, Symbol] = {}
        self._raw: dict[tuple[int, int], bytearray] = {}
        self._moving: list[Cell] = []
        self._refreshed_s = -1.0

    def add(self, path: str, name: str, tag: TagConfig, signal: Signal | None) -> None:
        """Take in a tag; `lay_out` must follow. Raises ValueError."""
        self.cells[path, name] = Cell(tag, signal)

    def lay_out(self, *, shift: int = 0) -> None:
        """Give every symbol its place; all memory is reset. Raises ValueError."""
        self._roots, self._symbols, self._raw = {}, {}, {}
        if not self._twincat2:
            grow(self._roots, ONLINE_CHANGES, TagConfig(type="uint32"))
        addresses = {key: parse_address(cell.tag.address) for key, cell in self.cells.items()}
        if any(not one.symbol and one.group == SYMBOL_GROUP for one in addresses.values()):
            self.group = OTHER_GROUP
        for key, address in addresses.items():
            if address.symbol and parse_type(self.cells[key].tag.type).base != "json":
                grow(self._roots, address.symbol, self.cells[key].tag)
        for key, address in addresses.items():
            if address.symbol and parse_type(self.cells[key].tag.type).base == "json":
                grow(self._roots, address.symbol, self.cells[key].tag)
        at = FIRST_SHIFT + shift
        for name, node in self._roots.items():
            shape = build(name, node)
            at = -(-at // shape.alignment) * shape.alignment
            self._symbols[name.lower()] = Symbol(name, shape, at, node)
            at += shape.size
        self.memory = bytearray(at + FIRST_SHIFT)
        for key, cell in self.cells.items():
            address, declared = addresses[key], parse_type(cell.tag.type)
            if address.symbol:
                entry, shape = self.find(address.symbol, hidden=True)
                cell.group, cell.offset = self.group, entry.offset
            else:
                options = cell.tag.options
                shape = shape_for(declared, str(options.get("plc_type", "")), str(options.get("encoding", "")))
                cell.group, cell.offset = address.group, address.offset
                self._raw[cell.group, cell.offset] = bytearray(shape.size)
            cell.codec = compile_codec(declared, shape)
        self._moving = [cell for cell in self.cells.values() if cell.signal is not None]
        self._count_changes()

    def find(self, name: str, *, hidden: bool = False) -> tuple[SymbolEntry, Shape]:
        """A symbol, a member or an element by its full name. Raises Refused 1808."""
        low = name.lower()
        if not hidden and any(low == one or low.startswith((one + ".", one + "[")) for one in self.forbidden):
            raise Refused(1808)
        try:
            head, steps = steps_of(name)
            symbol = self._symbols[head.lower()]
            at, shape = follow(symbol.shape, steps)
        except (KeyError, ValueError, AssertionError):
            raise Refused(1808) from None
        except IndexError:
            raise Refused(1825) from None
        node: Node | None = symbol.node
        for step in steps:
            if node is not None:
                node = node.members.get(step) if isinstance(step, str) else node.elements.get(step)
        entry = symbol_entry(
            name,
            shape,
            group=self.group,
            offset=symbol.offset + at,
            comment=node.comment if node is not None else "",
            utf8=bool(node is not None and node.utf8),
            flags=SYMBOL_READ_ONLY if low in self.protected else 0,
        )
        return entry, shape

    def symbols(self) -> list[SymbolEntry]:
        """The symbol table."""
        return [self.find(one.name)[0] for one in self._symbols.values() if one.name.lower() not in self.forbidden]

    def types(self) -> dict[str, TypeEntry]:
        """The data type table, by name in upper case."""
        return {entry.name.upper(): entry for one in self._symbols.values() for entry in type_entries(one.shape)}

    def new_handle(self, name: str) -> int:
        """A handle of a symbol. Raises Refused."""
        self.find(name)
        number = next(self._handle_numbers)
        self.handles[number] = name
        return number

    def view(self, group: int, offset: int, size: int) -> tuple[bytearray, int]:
        """The memory that holds these bytes, and where they begin in it. Raises Refused."""
        if group == self.group:
            if offset < 0 or offset + size > len(self.memory):
                raise Refused(1795)
            for name in self.forbidden:
                entry, _ = self.find(name, hidden=True)
                if offset < entry.offset + entry.size and entry.offset < offset + size:
                    raise Refused(1795)
            return self.memory, offset
        if not any(one == group for one, _ in self._raw):
            raise Refused(1794)
        for (area, start), memory in self._raw.items():
            if area == group and start <= offset and offset + size <= start + len(memory):
                return memory, offset - start
        raise Refused(1795)

    def store(self, cell: Cell, value: Value) -> None:
        """Put a value into memory. Raises ValueError."""
        assert cell.codec is not None
        raw = cell.codec.encode(value)
        memory, at = self.memory, cell.offset
        if cell.group != self.group:
            memory, at = self._raw[cell.group, cell.offset], 0
        memory[at : at + len(raw)] = raw

    def value(self, cell: Cell) -> Value:
        """What memory holds."""
        assert cell.codec is not None
        memory, at = self.memory, cell.offset
        if cell.group != self.group:
            memory, at = self._raw[cell.group, cell.offset], 0
        return cell.codec.decode(bytes(memory[at : at + cell.codec.size]))

    def refresh(self, t_s: float, *, force: bool = False) -> None:
        """Let the signals move on."""
        if not self._moving or (not force and t_s - self._refreshed_s < REFRESH_S):
            return
        self._refreshed_s = t_s
        for cell in self._moving:
            if cell.signal is not None:
                self.store(cell, cell.signal(t_s))

    def freeze(self, cell: Cell) -> None:
        """Its signal stops."""
        cell.signal = None
        self._moving = [one for one in self._moving if one is not cell]

    def online_change(self, *, removed: Sequence[tuple[str, str]] = (), retyped: dict[tuple[str, str], str]) -> None:
        """Another program: every symbol moves, handles die, values stay. Raises ValueError."""
        kept = {key: self.value(cell) for key, cell in self.cells.items() if key not in retyped}
        for key in removed:
            self.cells.pop(key)
        for key, type_name in retyped.items():
            cell = self.cells[key]
            cell.tag = _retyped(cell.tag, type_name)
        self.changes += 1
        self.version = self.version % 255 + 1
        self.handles.clear()
        self.lay_out(shift=8 * self.changes)
        for key, value in kept.items():
            if key in self.cells:
                self.store(self.cells[key], value)

    def _count_changes(self) -> None:
        if not self._twincat2:
            entry, _ = self.find(ONLINE_CHANGES, hidden=True)
            self.memory[entry.offset : entry.offset + 4] = self.changes.to_bytes(4, "little")


def _retyped(tag: TagConfig, type_name: str) -> TagConfig:
    return msgspec.structs.replace(tag, type=type_name, options={}, simulate={})
