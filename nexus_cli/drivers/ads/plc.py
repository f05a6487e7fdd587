"""One PLC runtime behind a link: its state, its symbol version, and what its symbols are right now.

Addresses are only as good as the symbol version they were resolved under. So the version (and the count of online
changes, where the program has it) is part of every sum read, and an answer under another version is thrown away and
asked again with fresh addresses.

Source: Beckhoff, ADS device service: 0xF003 (handle by name), 0xF005 (value by handle), 0xF006 (release), 0xF008
(symbol version), 0xF009 (symbol info by name), 0xF011 (data type info by name), 0xF100 (device state).
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.channel import (
    Channel,
    Item,
    many,
    read_singly,
    read_state,
    read_write,
    read_write_body,
    sum_body,
    sum_read,
)
from nexus_cli.drivers.ads.errors import PORT_NOT_FOUND, SERVICE_NOT_SUPPORTED, SYMBOL_NOT_FOUND, fault_of
from nexus_cli.drivers.ads.symbol_table import (
    SYMBOL_METHOD_DEREF,
    SYMBOL_REFERENCE,
    EntryError,
    SymbolEntry,
    TypeEntry,
    read_symbol,
    read_type,
)
from nexus_cli.drivers.base import DriverError, Fault, Scope
from nexus_cli.wire.sample import Reason

HANDLE_BY_NAME, VALUE_BY_HANDLE, RELEASE_HANDLE = 0xF003, 0xF005, 0xF006
INFO_BY_NAME, TYPE_BY_NAME = 0xF009, 0xF011
VERSION = Item(0xF008, 0, 1)
STATE = Item(0xF100, 0, 2)
GUARD_ITEMS = 3
"""Sub-commands of a sum read that watch the PLC: version, state, online changes."""
ONLINE_CHANGES = "TwinCAT_SystemInfoVarList._AppInfo.OnlineChangeCnt"
RUN, STOP, CONFIG = 5, 6, 15
STATES = {0: "invalid", 1: "idle", 2: "reset", 3: "init", 4: "start", 5: "run", 6: "stop", 7: "save", 8: "load"}
STATES |= {9: "power failure", 10: "power good", 11: "error", 12: "shutdown", 13: "suspend", 14: "resume"}
STATES |= {15: "config", 16: "reconfig"}
SYSTEM_PORT = 10_000
"""AMS port of the TwinCAT system service, which answers in config mode too."""
MAX_SYMBOL_BYTES = 0xFFFF
MAX_TYPE_BYTES = 1 << 20
RETRY_FIRST_S, RETRY_LONGEST_S = 2.0, 60.0
"""Between two look-ups of a symbol that the PLC does not have, or does not give; it doubles."""
MAX_TYPE_ROUNDS = 256
"""So many descriptions are asked for one tag; each is one request, once a program."""


class Located(NamedTuple):
    """Where a symbol is under the current version; group 0xF005 is a handle."""

    group: int
    offset: int
    entry: SymbolEntry


class Plc:
    """One AMS address (NetId and port) behind a channel.

    Attributes:
        address: NetId and port as eight bytes.
        generation: Counts resolutions; what was compiled under another one is not used.
        stale: The next request resolves the symbols again first.
        state: ADS state as last seen.
        guard: What is read along with every sum read.
        expected: Bytes of the guard under the current version.
        apart: What watches the PLC but can't be part of its sum reads; it is read after each.
        sums: False when the device knows no sum commands.
        types: Data types by name in upper case; None for one that the PLC does not know.
        renewed: Called after all symbols were resolved again.
        state_changed: Called with the old and the new state.
    """

    def __init__(self, channel: Channel, address: bytes) -> None:
        self.channel = channel
        self.address = address
        self.name = f"{channel.endpoint} ({frame.address_text(address)})"
        self.generation = 0
        self.stale = True
        self.state = 0
        self.guard: tuple[Item, ...] = ()
        self.expected = b""
        self.apart: tuple[Item, ...] = ()
        self._apart_expected = b""
        self.sums = True
        self.types: dict[str, TypeEntry | None] = {}
        self.renewed: list[Callable[[], None]] = []
        self.state_changed: list[Callable[[int, int], None]] = []
        self._symbols: dict[str, Located | Fault] = {}
        self._refused: dict[str, tuple[float, float]] = {}  # when to ask again, and how long that was
        self._seen: set[str] = set()
        self._handles: list[int] = []
        self._renewing = asyncio.Lock()

    @property
    def watch(self) -> tuple[Item, ...]:
        """What reports a change: the state, and the version (or the count of changes without one)."""
        known = sorted((*self.guard, *self.apart), key=(VERSION, STATE).__contains__, reverse=True)
        return tuple(known[:2] if VERSION in known else known)

    def known(self, item: Item) -> bytes | None:
        """What a guard read under the current version; None when it is not read."""
        for items, found in ((self.guard, self.expected), (self.apart, self._apart_expected)):
            at = 0
            for one in items:
                if one == item:
                    return found[at : at + one.size]
                at += one.size
        return None

    async def ready(self) -> None:
        """Make sure that addresses are those of the current program. Raises DriverError, DEVICE when it is not there."""
        if not self.stale:
            return
        async with self._renewing:
            if self.stale:
                await self._renew()

    async def check(self) -> None:
        """Look at version and state; marks the PLC stale when its program changed. Raises DriverError."""
        await self.ready()
        if self.guard:
            data = await self.read(self.guard, sum_body(self.guard), "read the symbol version")
            codes = 4 * len(self.guard)
            self.accepts(data[:codes], data[codes:])
        if self.apart:
            await self.look_apart()
        if STATE not in self.guard and STATE not in self.apart:
            self.see_state(await self.ask_state())

    def accepts(self, codes: bytes, guard: bytes) -> bool:
        """Whether an answer with these error codes and bytes of the guard is of the current version; takes note of state
        and change. What could be read under this version and can't any more is of another one."""
        if any(codes):
            self.stale = True
        elif guard != self.expected:
            self._compare(self.guard, self.expected, guard)
            self.expected = self.expected if self.stale else guard
        return not self.stale

    async def look_apart(self) -> bool:
        """The same for what can't be part of a sum read. Raises DriverError."""
        data = await read_singly(self.channel, self.address, self.apart, f"{self.name}: read the symbol version")
        found = data[4 * len(self.apart) :]
        if any(data[: 4 * len(self.apart)]):
            self.stale = True
        elif found != self._apart_expected:
            self._compare(self.apart, self._apart_expected, found)
            self._apart_expected = self._apart_expected if self.stale else found
        return not self.stale

    def _compare(self, items: Sequence[Item], expected: bytes, found: bytes) -> None:
        at = 0
        for item in items:
            before, now = expected[at : at + item.size], found[at : at + item.size]
            at += item.size
            if item == STATE:
                self.see_state(int.from_bytes(now, "little"))
            elif before != now:
                self.stale = True

    def see_state(self, state: int) -> None:
        """Keep the PLC's state and call the callbacks of a change."""
        before, self.state = self.state, state
        if before in (state, 0):
            return
        for callback in self.state_changed:
            callback(before, state)

    async def ask_state(self) -> int:
        """The state of the runtime. Raises DriverError."""
        try:
            return await read_state(self.channel, self.address, f"{self.name}: read the state")
        except DriverError as error:
            raise await self.explained(error) from None

    async def explained(self, error: DriverError) -> DriverError:
        """The error, with TwinCAT's own state where no runtime answers."""
        if error.code != PORT_NOT_FOUND:
            return error
        self.stale = True
        system = self.address[:6] + SYSTEM_PORT.to_bytes(2, "little")
        try:
            state = await read_state(self.channel, system, "read the state of TwinCAT")
        except DriverError as second:
            if second.scope is Scope.SESSION:
                return second
            return error
        said = f"{error.message}; TwinCAT itself is in state {STATES.get(state, str(state))}"
        return DriverError(said, scope=error.scope, reason=error.reason, code=error.code, retriable=True)

    async def read(self, items: Sequence[Item], body: bytes, what: str) -> bytes:
        """Error codes of all items, then their data. Raises DriverError."""
        text = f"{self.name}: {what}"
        if self.sums:
            try:
                return await sum_read(self.channel, self.address, items, body, text)
            except DriverError as error:
                if error.code != SERVICE_NOT_SUPPORTED:
                    raise await self.explained(error) from None
                self.sums = False
        try:
            return await read_singly(self.channel, self.address, items, text)
        except DriverError as error:
            raise await self.explained(error) from None

    async def locate(self, names: Iterable[str]) -> dict[str, Located | Fault]:
        """Where symbols are, by name; a fault for those that are not there. What was refused is asked for again in time:
        not every PLC changes its version when a symbol is added.

        Raises:
            DriverError: With scope SESSION or DEVICE.
        """
        wanted = list(dict.fromkeys(names))
        now_s = asyncio.get_running_loop().time()
        known = {name: self._symbols[name] for name in wanted if name in self._symbols and now_s < self.again_s(name)}
        missing = [name for name in wanted if name not in known]
        return known | await self._ask_symbols(missing) if missing else known

    def again_s(self, name: str) -> float:
        """When a symbol that was refused is asked for again, in the loop's time; infinity for any other symbol."""
        return self._refused.get(name, (math.inf, 0.0))[0]

    async def describe(self, name: str) -> None:
        """Ask for a data type. Raises DriverError with scope SESSION or DEVICE."""
        body = read_write_body(Item(TYPE_BY_NAME, 0, MAX_TYPE_BYTES), _text(name))
        what = f"{self.name}: describe {name}"
        (found,) = await many(self.channel, self.address, frame.READ_WRITE, [body], what)
        entry: TypeEntry | None = None
        if isinstance(found, bytes):
            try:
                entry = read_type(found[4:])[0]
            except EntryError:
                entry = None
        self.types[name.upper()] = entry

    async def handle(self, name: str) -> int:
        """A new handle of a symbol; the caller releases it. Raises DriverError."""
        what = f"{self.name}: {name}"
        data = await read_write(self.channel, self.address, Item(HANDLE_BY_NAME, 0, 4), _text(name), what)
        return int.from_bytes(data[:4], "little")

    def release(self, handle: int) -> None:
        """Give a handle back."""
        body = struct.pack("<IIII", RELEASE_HANDLE, 0, 4, handle)
        self.channel.post(self.address, frame.WRITE, body)

    def forget(self) -> None:
        """Give back what is held on the PLC."""
        handles, self._handles = self._handles, []
        for handle in handles:
            self.release(handle)

    async def _renew(self) -> None:
        self.see_state(await self.ask_state())
        self.generation += 1
        self.forget()
        self._symbols.clear()
        self._refused.clear()
        self.types.clear()
        items = [VERSION, STATE]
        # By handle, since the change may move the address of the count itself.
        if not isinstance(changes := await self._held(ONLINE_CHANGES), Fault):
            items.append(Item(VALUE_BY_HANDLE, changes, 4))
        data = await self.read(items, sum_body(items), "read the symbol version")
        self.guard, self.expected, refused = _granted(items, data)
        data = await read_singly(self.channel, self.address, refused, f"{self.name}: read the symbol version")
        self.apart, self._apart_expected, _ = _granted(refused, data)
        self.stale = False
        for callback in self.renewed:
            callback()

    async def _ask_symbols(self, names: Sequence[str]) -> dict[str, Located | Fault]:
        generation = self.generation
        bodies = [read_write_body(Item(INFO_BY_NAME, 0, MAX_SYMBOL_BYTES), _text(name)) for name in names]
        what = f"{self.name}: look up symbols"
        try:
            answers = await many(self.channel, self.address, frame.READ_WRITE, bodies, what)
        except DriverError as error:
            raise await self.explained(error) from None
        found: dict[str, Located | Fault] = {}
        for name, answer in zip(names, answers, strict=True):
            found[name] = await self._located(name, answer)
        if generation == self.generation:  # else the program changed meanwhile: these addresses are of the old one
            self._symbols.update(found)
            self._seen.update(name for name, one in found.items() if isinstance(one, Located))
            self._note_refused(found)
        return found

    def _note_refused(self, found: Mapping[str, Located | Fault]) -> None:
        now_s = asyncio.get_running_loop().time()
        for name, one in found.items():
            _, waited_s = self._refused.pop(name, (0.0, 0.0))
            if isinstance(one, Fault):
                wait_s = min(2 * waited_s, RETRY_LONGEST_S) if waited_s else RETRY_FIRST_S
                self._refused[name] = (now_s + wait_s, wait_s)
            elif waited_s:  # it came without a new version, and so may its types have
                self.types = {known: entry for known, entry in self.types.items() if entry is not None}

    async def _located(self, name: str, answer: bytes | DriverError) -> Located | Fault:
        if isinstance(answer, DriverError):
            if answer.code == SYMBOL_NOT_FOUND and name in self._seen:
                return Fault(Reason.SYMBOL_CHANGED, SYMBOL_NOT_FOUND)  # it was there before the change
            return fault_of(answer.code) if answer.code else Fault(answer.reason)
        try:
            entry = read_symbol(answer[4:])[0]
        except EntryError:
            return Fault(Reason.DECODE_ERROR)
        if not entry.flags & (SYMBOL_REFERENCE | SYMBOL_METHOD_DEREF) and "^" not in name:
            return Located(entry.group, entry.offset, entry)
        handle = await self._held(name)  # what a pointer leads to has no address of its own
        return handle if isinstance(handle, Fault) else Located(VALUE_BY_HANDLE, handle, entry)

    async def _held(self, name: str) -> int | Fault:
        """A handle that is kept until the symbols are resolved again. Raises DriverError with scope SESSION or DEVICE."""
        try:
            handle = await self.handle(name)
        except DriverError as error:
            if error.scope in (Scope.SESSION, Scope.DEVICE):
                raise
            return fault_of(error.code) if error.code else Fault(error.reason)
        self._handles.append(handle)
        return handle


def _granted(items: Sequence[Item], data: bytes) -> tuple[tuple[Item, ...], bytes, tuple[Item, ...]]:
    """What a PLC allows to read, with its bytes, and what it refuses."""
    granted, refused, found = [], [], b""
    at = 4 * len(items)
    for item, code in zip(items, struct.unpack_from(f"<{len(items)}I", data), strict=True):
        if code:
            refused.append(item)
        else:
            granted.append(item)
            found += data[at : at + item.size]
        at += item.size
    return tuple(granted), found, tuple(refused)


def _text(name: str) -> bytes:
    return name.encode("cp1252", "replace") + b"\0"
