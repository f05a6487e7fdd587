"""Whatever a PLC answers, to whichever service: a value, a fault, or a DriverError; and memory stays within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.channel import Listener, result_of
from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.ads.symbol_table import SymbolEntry, TypeEntry, write_symbol, write_type
from nexus_cli.drivers.base import DriverError, Notification, points_of
from nexus_cli.model.config import DeviceConfig, TagConfig

CODES = st.sampled_from([0, 0, 0, 6, 18, 1793, 1796, 1797, 1808, 1809, 1814, 1861, 0x501, 0xDEADBEEF])
NAMES = st.sampled_from(
    [
        "INT",
        "REAL",
        "BOOL",
        "BIT",
        "LTIME",
        "STRING(8)",
        "STRING",
        "WSTRING(3)",
        "PVOID",
        "INT (0..9)",
        "POINTER TO A",
        "REFERENCE TO B",
        "A",
        "B",
        "C",
        "ARRAY [0..2] OF A",
        "ARRAY [0..99999999] OF B",
        "ARRAY [1..2,-1..3] OF INT",
    ]
)
SIZES = st.sampled_from([0, 1, 2, 3, 4, 8, 9, 12, 16, 200, 2**16, 2**31, 2**32 - 1])
ADS = st.sampled_from([0, 2, 3, 4, 5, 16, 17, 18, 19, 20, 21, 30, 31, 33, 65, 70])


@st.composite
def type_entries(draw: st.DrawFn, depth: int = 1) -> TypeEntry:
    """A description; its members and aliases lead to any other, itself included."""
    members = draw(st.lists(type_entries(depth - 1), max_size=4)) if depth else []
    return TypeEntry(
        name=draw(NAMES),
        type_name=draw(NAMES),
        size=draw(SIZES),
        offset=draw(SIZES),
        ads=draw(ADS),
        flags=draw(st.sampled_from([1, 2, 0x20, 0x22])),
        bounds=tuple(
            draw(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([0, 1, 2, 3, 2**32 - 1])), max_size=2))
        ),
        members=tuple(members),
    )


@st.composite
def symbols(draw: st.DrawFn) -> bytes:
    flags = draw(st.sampled_from([0, 1, 2, 4, 0x20, 0x80]))
    return write_symbol(
        SymbolEntry(
            name=draw(NAMES), type_name=draw(NAMES), group=0x4040, offset=draw(SIZES), size=draw(SIZES), ads=draw(ADS),
            flags=flags,
        )
    )  # fmt: skip


TABLES = st.lists(st.one_of(symbols(), type_entries().map(write_type)), max_size=4).map(b"".join)


class Lying:
    """A channel to a PLC that answers what it likes, of the size that was asked for or of another."""

    def __init__(self, data: st.DataObject) -> None:
        self.endpoint, self.timeout_s = "ads://plc", 1.0
        self.lost: DriverError | None = None
        self.listener: Listener | None = None
        self._data = data

    def send(self, target: bytes, command: int, body: bytes) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(self._answer(command, body))
        return future

    async def answer(self, future: asyncio.Future[Any], what: str) -> bytes:
        return result_of(await future, what)

    def post(self, target: bytes, command: int, body: bytes) -> None:
        """Nobody listens."""

    async def close(self) -> None:
        self.lost = DriverError("closed", scope="session")  # type: ignore[arg-type]

    def report(self, raw: bytes) -> None:
        if self.listener is not None:
            self.listener(ADDRESS, frame.samples_of(raw))

    def _answer(self, command: int, body: bytes) -> bytes | int:
        draw = self._data.draw
        kind = draw(st.sampled_from(["right"] * 6 + ["code", "bytes", "error"]))
        if kind == "error":
            return draw(CODES)
        if kind == "bytes":
            return draw(st.binary(max_size=80))
        if kind == "code":
            return draw(CODES).to_bytes(4, "little") + draw(st.binary(max_size=20))
        if command == frame.READ_STATE:
            return struct.pack("<IHH", 0, draw(st.sampled_from([5, 5, 6, 15])), 0)
        if command not in (frame.READ, frame.READ_WRITE):
            return bytes(4) + draw(st.binary(max_size=8))
        group, _, size = struct.unpack_from("<III", body)
        found = self._content(group, size)
        return struct.pack("<II", 0, len(found)) + found

    def _content(self, group: int, size: int) -> bytes:
        draw = self._data.draw
        if group == 0xF009:
            return draw(symbols())
        if group == 0xF011:
            return write_type(draw(type_entries(2)))
        if group in (0xF00B, 0xF00E):
            return draw(TABLES)
        if group == 0xF00F:
            return struct.pack("<6I", *(draw(st.one_of(st.integers(0, 300), SIZES)) for _ in range(6)))
        filler = bytes((draw(st.integers(0, 255)),)) if draw(st.booleans()) else b"\0"
        return filler * min(size, 2_000)


ADDRESS = frame.address_of("5.12.82.20.1.1", 851)
TYPES = ["int16", "float64", "bool", "string[8]", "duration", "datetime", "int16[3]", "string[4][2]", "json"]


def device(types: list[str]) -> DeviceConfig:
    tags = {f"t{at}": TagConfig(type=kind, address=f"MAIN.t{at}", poll_ms=100) for at, kind in enumerate(types)}
    return DeviceConfig(path="a/l/d", protocol="ads", connection={"ams_net_id": "5.12.82.20.1.1"}, tags=tags)


async def converse(data: st.DataObject) -> None:
    """Every service, in any order, some of them twice."""
    config = device(data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4)))
    channel = Lying(data)
    session = AdsSession(channel, [config])
    points = points_of(config)
    (request,) = DRIVER.group(config, points)
    heard: list[Notification] = []
    for verb in data.draw(st.lists(st.sampled_from(["read", "write", "report", "check", "browse"]), max_size=5)):
        with contextlib.suppress(DriverError):
            if verb == "read":
                result = await session.read(request)
                assert len(result.values) == len(points)
            elif verb == "write":
                value = data.draw(st.sampled_from([1, 1.5, True, "x", {"a": 1}, [1, 2, 3], None]))
                await session.write(config.path, points[0], value)
            elif verb == "report":
                await session.subscribe(
                    config.path, points, interval_ms=[100] * len(points), sink=lambda _, many: heard.extend(many)
                )
                channel.report(data.draw(st.binary(max_size=60)))
            elif verb == "check":
                await session.check()
            else:
                count = 0
                async for _ in session.browse():
                    count += 1
                    if count > 1_000:
                        break
    await session.close()


@given(st.data())
def test_whatever_a_plc_answers_is_a_value_or_a_driver_error(data: st.DataObject) -> None:
    asyncio.run(converse(data))


@given(st.lists(type_entries(2), min_size=1, max_size=8), NAMES, SIZES)
def test_descriptions_that_hold_each_other_end_and_fill_no_memory(
    entries: list[TypeEntry], name: str, size: int
) -> None:
    from nexus_cli.drivers.ads.codec import compile_codec
    from nexus_cli.drivers.ads.plctypes import Resolver, UnknownType
    from nexus_cli.model.datatype import parse_type

    known: dict[str, TypeEntry | None] = {entry.name: entry for entry in entries}
    resolver = Resolver(known, thorough=True)
    tracemalloc.start()
    try:
        for _ in range(40):
            try:
                shape = resolver.shape(name, 65, size)
            except UnknownType as unknown:
                known[unknown.name.upper()] = None
                continue
            except ValueError:
                break
            with contextlib.suppress(ValueError):
                compile_codec(parse_type("json"), shape)
            break
        else:
            raise AssertionError("it asks for descriptions without end")
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
