"""The drivers that the contract suite runs against their own simulators: one entry each, nothing else to write."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.base import Request
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.modbus.simulator_serial import SerialSimulator, serve_serial
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.s7.pdu import FRAME_HEADER, MAX_ITEMS
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Value
from tests.garble import BadLine, bad_serial, bad_tcp

TIMEOUT_MS = 300
CONNECT_TIMEOUT_MS = 1000


@asynccontextmanager
async def mute_tcp() -> AsyncIterator[int]:
    """Half-open: the connection is accepted, and nothing more ever comes."""
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await gone.wait()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


@dataclass(frozen=True, kw_only=True)
class DriverCase:
    """What the suite must know of one protocol.

    Attributes:
        name: The protocol.
        device: `(number, port)` to a device with every type as a constant; numbers differ in path and, where the
            protocol has it, in unit. All numbers share one link.
        values: Raw value that each of its tags serves; the tag types are the point of the list.
        writes: Tag to a value that can be written and read back.
        misfits: Tag and a value of the wrong type or outside the type's range.
        ghost: A tag whose address does not exist on the device.
        limited: `(port)` to a device with many tags and tight limits.
        keeps_limits: Whether a request of `limited` keeps them.
        serve: The simulator.
        tolerance: Relative, for floats that are narrower than Python's.
        quiet_at_once: True when a server that never answers lets `connect` succeed (no handshake).
        mute: A peer that lets itself be opened and never says a word; gives its port.
        bad_line: `(port)` to a line to the server whose answers can be bent; has a port of its own.
        retyped: Some of the tags, declared with a type that the device does not have at their addresses.
        retyped_values: What is read of them where the protocol has no types, so that nobody can know better.
        subscribes: Whether the device reports by itself.
        losses: How often its link is lost in a row.
        losing_timeout_ms: Time-out meanwhile.
    """

    name: str
    device: Callable[[int, int], DeviceConfig]
    values: Mapping[str, Value]
    writes: Mapping[str, Value]
    misfits: tuple[tuple[str, Value], ...]
    ghost: TagConfig
    limited: Callable[[int], DeviceConfig]
    keeps_limits: Callable[[Request], bool]
    serve: Callable[..., Awaitable[Any]]
    tolerance: float = 1e-6
    quiet_at_once: bool = True
    mute: Callable[[], AbstractAsyncContextManager[int]] = mute_tcp
    bad_line: Callable[[int], AbstractAsyncContextManager[BadLine]] = bad_tcp
    retyped: Mapping[str, TagConfig]
    retyped_values: Mapping[str, Value] = field(default_factory=dict)
    subscribes: bool = False
    losses: int = 1_000
    losing_timeout_ms: int = 1_000


def retyped(tags: Mapping[str, TagConfig], **types: str) -> dict[str, TagConfig]:
    """Tags at their own addresses, with other types."""
    return {name: msgspec.structs.replace(tags[name], type=type_) for name, type_ in types.items()}


def constant(type_: str, address: str, value: Value, **more: Any) -> TagConfig:
    """A tag that its simulator holds at a value."""
    return TagConfig(type=type_, address=address, simulate={"signal": "constant", "value": value}, **more)


def modbus_tags() -> dict[str, TagConfig]:
    """Every type, the four orders, bits, halves, strings in three layouts, arrays; gaps between some."""
    return {
        "coil": constant("bool", "coil:3", True, writable=True),
        "coils": constant("bool[5]", "coil:9", True),
        "discrete": constant("bool", "discrete:0", True),
        "bit": constant("bool", "holding:0.3", True, writable=True),
        "bits": constant("bool[20]", "holding:1.0", True),
        "low": constant("int8", "holding:4", -5, writable=True),
        "high": constant("uint8", "holding:4", 200, options={"byte": "high"}, writable=True),
        "i16": constant("int16", "holding:5", -12345, writable=True),
        "u16": constant("uint16", "holding:6", 54321),
        "swapped": constant("uint16", "holding:7", 0x1234, options={"order": "BA"}),
        "i32": constant("int32", "holding:8", -123456789, writable=True),
        "u32": constant("uint32", "holding:10", 3_000_000_000, options={"order": "CDAB"}, writable=True),
        "f32": constant("float32", "holding:12", 230.5, options={"order": "BADC"}, writable=True),
        "f32-little": constant("float32", "holding:14", -1.25, options={"order": "DCBA"}, writable=True),
        "i64": constant("int64", "holding:16", -(2**60) - 1, writable=True),
        "u64": constant("uint64", "holding:20", 2**63 + 5, options={"order": "GHEFCDAB"}),
        "f64": constant("float64", "holding:24", 3.141592653589793, options={"order": "EFGHABCD"}, writable=True),
        "f16": constant("float16", "holding:28", 1.5),
        "text": constant("string[9]", "holding:40", "pump 7", writable=True),
        "text-low": constant("string[6]", "holding:45", "abcdef", options={"layout": "low-first"}, writable=True),
        "text-wide": constant("string[4]", "holding:48", "wide", options={"layout": "low-byte"}),
        "array": constant("float32[3]", "holding:60", [1.0, 2.5, -3.0], options={"order": "CDAB"}, writable=True),
        "bytes": constant("uint8[3]", "holding:66", [1, 2, 3]),
        "input": constant("int32", "input:100", 7),
    }


def modbus_device(number: int, port: int) -> DeviceConfig:
    """A device behind unit id `number + 1`."""
    return DeviceConfig(
        path=f"area/line/modbus-{number}",
        protocol="modbus",
        connection=modbus_connection(port, unit_id=number + 1),
        tags=modbus_tags(),
    )


def modbus_connection(port: int, **more: Any) -> dict[str, Any]:
    """Connection keys with short time-outs."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


def modbus_limited(port: int) -> DeviceConfig:
    """A device that gives ten registers and sixteen bits a read."""
    tags = {f"r{at}": constant("float32", f"holding:{at * 2}", float(at)) for at in range(40)}
    tags |= {f"c{at}": constant("bool", f"coil:{at}", at % 3 == 0) for at in range(50)}
    return DeviceConfig(
        path="area/line/limited",
        protocol="modbus",
        connection=modbus_connection(port, max_read=11, max_read_bits=16),
        tags=tags,
    )


def _values(tags: Mapping[str, TagConfig]) -> dict[str, Value]:
    values: dict[str, Value] = {name: tag.simulate["value"] for name, tag in tags.items()}
    return values | {"coils": [True] * 5, "bits": [True] * 20} if "coils" in values else values


MODBUS = DriverCase(
    name="modbus",
    device=modbus_device,
    values=_values(modbus_tags()),
    writes={
        "coil": False,
        "bit": False,
        "low": 17,
        "high": 1,
        "i16": 321,
        "i32": 2**31 - 1,
        "u32": 1,
        "f32": 1.5,
        "f32-little": 7.75,
        "i64": -(2**63),
        "f64": 2.5e-300,
        "text": "größer",
        "text-low": "odd",
        "array": [9.0, 8.0, 7.0],
    },
    misfits=(("i16", 40_000), ("i16", "four"), ("coil", 7), ("text", "much too long"), ("i32", 1.5), ("array", [1.0])),
    ghost=TagConfig(type="uint16", address="holding:30000"),
    limited=modbus_limited,
    keeps_limits=lambda request: request.detail.count <= (16 if request.detail.function in (1, 2) else 11),
    serve=serve_modbus,
    retyped=retyped(modbus_tags(), i16="uint16", u16="int16"),
    retyped_values={"i16": 53_191, "u16": -11_215},
)


def modbus_rtu() -> DriverCase:
    """The same, in RTU frames over TCP."""

    def framed(device: DeviceConfig) -> DeviceConfig:
        return msgspec.structs.replace(device, connection={**device.connection, "framing": "rtu-over-tcp"})

    fields = {**MODBUS.__dict__, "name": "modbus-rtu-over-tcp"}
    fields["device"] = lambda number, port: framed(modbus_device(number, port))
    fields["limited"] = lambda port: framed(modbus_limited(port))
    return DriverCase(**fields)


_LINES = Path(tempfile.gettempdir()) / f"nexus-contract-{os.getpid()}"
_numbers = count(1)


def serial_connection(number: int, **more: Any) -> dict[str, Any]:
    """Connection keys of the line with a number; a pseudo-terminal has no parity."""
    return {
        "serial": f"{_LINES}-{number}",
        "framing": "rtu",
        "baudrate": 19_200,
        "parity": "none",
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


async def serve_line(devices: Sequence[DeviceConfig], *, port: int = 0) -> SerialSimulator:
    """A simulator on a pair of pseudo-terminals; its port is the number in the line's path."""
    number = port or next(_numbers)
    server = await serve_serial(devices, device=f"{_LINES}-{number}")
    server.port = number
    return server


@asynccontextmanager
async def mute_line() -> AsyncIterator[int]:
    """A line that nobody answers on."""
    server = await serve_line([])
    try:
        yield server.port
    finally:
        await server.close()


@asynccontextmanager
async def bad_wire(port: int) -> AsyncIterator[BadLine]:
    """A bad line to the line with a number."""
    number = next(_numbers)
    async with bad_serial(f"{_LINES}-{port}", f"{_LINES}-{number}") as line:
        line.port = number
        yield line


def modbus_serial() -> DriverCase:
    """The same on a serial line."""

    def on_line(device: DeviceConfig, number: int) -> DeviceConfig:
        kept = {key: value for key, value in device.connection.items() if key not in ("host", "port")}
        return msgspec.structs.replace(device, connection={**kept, **serial_connection(number)})

    fields = {**MODBUS.__dict__, "name": "modbus-serial", "serve": serve_line}
    fields["device"] = lambda number, port: on_line(modbus_device(number, port), port)
    fields["limited"] = lambda port: on_line(modbus_limited(port), port)
    fields["losses"], fields["losing_timeout_ms"] = 100, 100
    fields["mute"], fields["bad_line"] = mute_line, bad_wire
    return DriverCase(**fields)


MODBUS_SERIAL = modbus_serial()

OPCUA_URI = "http://acme.example/contract"


def opcua_tags(prefix: str) -> dict[str, TagConfig]:
    """Every type, names with blanks and #, numbers, GUIDs and bytes as identifiers, arrays and their elements."""

    def node(name: str) -> str:
        return f"nsu={OPCUA_URI};s={prefix}{name}"

    return {
        "bool": constant("bool", node("bool"), True, writable=True),
        "i8": constant("int8", node("i8"), -5, writable=True),
        "u8": constant("uint8", node("u8"), 200),
        "i16": constant("int16", node("Boiler #1 level"), -12345, writable=True),
        "u16": constant("uint16", node("u16"), 54321),
        "i32": constant("int32", node("i32"), -123456789, writable=True),
        "u32": constant("uint32", node("u32"), 3_000_000_000),
        "i64": constant("int64", node("i64"), -(2**60) - 1, writable=True),
        "u64": constant("uint64", node("u64"), 2**63 + 5),
        "f32": constant("float32", node("f32"), 230.5, writable=True),
        "f64": constant("float64", node("f64"), 3.141592653589793, writable=True),
        "text": constant("string", node("text"), "größer", writable=True),
        "time": constant("datetime", node("time"), "2024-03-04T05:06:07.250000Z", writable=True),
        "span": constant("duration", node("span"), 1500.0),
        "array": constant("float32[3]", node("array"), [1.0, 2.5, -3.0], writable=True),
        "texts": constant("string[8][2]", node("texts"), ["a", "b"]),
        "element": constant("int16", node("cells"), 7, options={"index": "2"}),
        "number": constant("int32", f"nsu={OPCUA_URI};i={1000 + len(prefix)}{ord(prefix[-2])}", 9),
    }


def opcua_connection(port: int, **more: Any) -> dict[str, Any]:
    """Connection keys with short time-outs."""
    return {
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


def opcua_device(number: int, port: int) -> DeviceConfig:
    """A folder of one server."""
    return DeviceConfig(
        path=f"area/line/opcua-{number}",
        protocol="opcua",
        connection=opcua_connection(port),
        tags=opcua_tags(f"Device{number}."),
    )


def opcua_limited(port: int) -> DeviceConfig:
    """A server that gives twelve nodes a read."""
    tags = {f"n{at}": constant("float64", f"nsu={OPCUA_URI};s=Limited.{at}", float(at)) for at in range(40)}
    return DeviceConfig(
        path="area/line/limited", protocol="opcua", connection=opcua_connection(port, max_read=12), tags=tags
    )


OPCUA = DriverCase(
    name="opcua",
    device=opcua_device,
    values=_values(opcua_tags("Device0.")),
    writes={
        "bool": False,
        "i8": 17,
        "i16": 321,
        "i32": 2**31 - 1,
        "i64": -(2**63),
        "f32": 1.5,
        "f64": 2.5e-300,
        "text": "a b # c",
        "time": "2025-01-02T03:04:05Z",
        "array": [9.0, 8.0, 7.0],
    },
    misfits=(("i16", 40_000), ("i16", "four"), ("bool", 7), ("i32", 1.5), ("array", 1.0), ("f32", 1e300)),
    ghost=TagConfig(type="uint16", address=f"nsu={OPCUA_URI};s=Ghost"),
    limited=opcua_limited,
    keeps_limits=lambda request: len(request.detail.nodes) <= 12,
    serve=serve_opcua,
    quiet_at_once=False,
    retyped=retyped(
        opcua_tags("Device0."),
        bool="int16",
        i16="bool",
        f64="int32",
        text="float64",
        time="string",
        array="float32",
        texts="string[8][3]",
        element="string",
    ),
    subscribes=True,
)


def s7_tags(db: int) -> dict[str, TagConfig]:
    """Every S7 type, all areas, bits beside words, texts longer than a PDU, arrays with odd strides."""

    def at(place: str) -> str:
        return f"%DB{db}:{place}"

    return {
        "bool": constant("bool", at("0.3:BOOL"), True, writable=True),
        "bools": constant("bool[11]", at("1.2:BOOL[11]"), True, writable=True),
        "packed": constant("bool[16]", at("4.0:BOOL[16]"), True, writable=True),
        "byte": constant("uint8", at("6:BYTE"), 200, writable=True),
        "sint": constant("int8", at("7:SINT"), -5, writable=True),
        "char": constant("string", at("8:CHAR"), "Q", writable=True),
        "chars": constant("string[9]", at("9:CHAR[9]"), "pump 7", writable=True),
        "word": constant("uint16", at("18:WORD"), 54321, writable=True),
        "int": constant("int16", at("20:INT"), -12345, writable=True),
        "wchar": constant("string", at("22:WCHAR"), "Ω", writable=True),
        "date": constant("datetime", at("24:DATE"), "2024-03-04T00:00:00Z", writable=True),
        "s5time": constant("duration", at("26:S5TIME"), 12_300, writable=True),
        "dword": constant("uint32", at("28:DWORD"), 3_000_000_000, writable=True),
        "dint": constant("int32", at("32:DINT"), -123456789, writable=True),
        "real": constant("float32", at("36:REAL"), 230.5, writable=True),
        "time": constant("duration", at("40:TIME"), -1500, writable=True),
        "tod": constant("duration", at("44:TOD"), 86_399_999, writable=True),
        "lword": constant("uint64", at("48:LWORD"), 2**63 + 5, writable=True),
        "lint": constant("int64", at("56:LINT"), -(2**60) - 1, writable=True),
        "lreal": constant("float64", at("64:LREAL"), 3.141592653589793, writable=True),
        "ltime": constant("duration", at("72:LTIME"), 1500.0, writable=True),
        "ltod": constant("duration", at("80:LTOD"), 43_200_000.0, writable=True),
        "dt": constant("datetime", at("88:DT"), "2024-03-04T05:06:07.250000Z", writable=True),
        "dtl": constant("datetime", at("96:DTL"), "2024-03-04T05:06:07.250000Z", writable=True),
        "ldt": constant("datetime", at("108:LDT"), "2024-03-04T05:06:07.000000250Z", writable=True),
        "array": constant("float32[3]", at("116:REAL[3]"), [1.0, 2.5, -3.0], writable=True),
        "text": constant("string[20]", at("128:STRING(20)"), "größer", writable=True),
        "wide": constant("string[10]", at("150:WSTRING(10)"), "Ωmega", writable=True),
        "texts": constant("string[5][3]", at("174:STRING(5)[3]"), ["a", "bc", "def"], writable=True),
        "long": constant("string[254]", at("200:STRING(254)"), "long " * 50, writable=True),
        "times": constant("datetime[2]", at("460:DTL[2]"), ["2024-03-04T05:06:07Z", "1999-12-31T23:59:59Z"]),
        "far": constant("uint16", at("2000:WORD"), 7),
        "marker": constant("int16", f"%M{100 + 4 * db}:INT", 300 + db, writable=True),
        "input": constant("bool", f"%I{db}.1:BOOL", True),
        "output": constant("uint8", f"%Q{db}:BYTE", 5),
        "timer": constant("duration", f"%T{db}:TIMER", 9_990),
        "counter": constant("uint16", f"%C{db}:COUNTER", 321, writable=True),
    }


def s7_connection(port: int, **more: Any) -> dict[str, Any]:
    """Connection keys with short time-outs."""
    return {"host": "127.0.0.1", "port": port, "timeout": TIMEOUT_MS, "connect_timeout": CONNECT_TIMEOUT_MS, **more}


def s7_device(number: int, port: int, **more: Any) -> DeviceConfig:
    """A device with a data block of its own in the one CPU."""
    return DeviceConfig(
        path=f"area/line/s7-{number}",
        protocol="s7",
        connection=s7_connection(port, **more),
        tags=s7_tags(number + 1),
    )


def s7_limited(port: int) -> DeviceConfig:
    """A CPU that grants 240 bytes: long runs, scattered values, many blocks."""
    tags = {f"r{at}": constant("float32", f"%DB1:{at * 4}:REAL", float(at)) for at in range(120)}
    tags |= {f"s{at}": constant("int16", f"%DB2:{at * 100}:INT", at) for at in range(60)}
    tags |= {f"d{at}": constant("bool", f"%DB{at + 10}:0.0:BOOL", at % 3 == 0) for at in range(40)}
    return DeviceConfig(path="area/line/limited", protocol="s7", connection=s7_connection(port), tags=tags)


def s7_keeps_limits(request: Request) -> bool:
    """Request and reply within 240 bytes, at most 20 variables."""
    frame, _ = request.detail.whole()
    longest = max(len(frame.template), frame.reply_size) - FRAME_HEADER
    return longest <= 240 and len(frame.items) <= MAX_ITEMS


S7 = DriverCase(
    name="s7",
    device=s7_device,
    values=_values(s7_tags(1)) | {"bools": [True] * 11, "packed": [True] * 16, "long": ("long " * 50)},
    writes={
        "bool": False,
        "bools": [number % 3 == 0 for number in range(11)],
        "packed": [number % 5 == 0 for number in range(16)],
        "byte": 1,
        "sint": -128,
        "char": "z",
        "chars": "größe",
        "word": 1,
        "int": 321,
        "wchar": "я",
        "date": "2090-12-31T00:00:00Z",
        "s5time": 990_000,
        "dword": 0,
        "dint": 2**31 - 1,
        "real": 1.5,
        "time": 86_400_000,
        "tod": 1,
        "lword": 2**64 - 1,
        "lint": -(2**63),
        "lreal": 2.5e-300,
        "ltime": -0.5,
        "ltod": 1.25,
        "dt": "1999-12-31T23:59:59.999000Z",
        "dtl": "2025-01-02T03:04:05Z",
        "ldt": "2025-01-02T03:04:05.000006Z",
        "array": [9.0, 8.0, 7.0],
        "text": "€ 5",
        "wide": "日本",
        "texts": ["", "xyz", "12345"],
        "long": "x" * 254,
        "marker": -1,
        "counter": 999,
    },
    misfits=(
        ("int", 40_000),
        ("int", "four"),
        ("bool", 7),
        ("dint", 1.5),
        ("array", [1.0]),
        ("text", "a" * 21),
        ("text", "Ω"),
        ("dtl", "yesterday"),
        ("dt", "2100-01-01T00:00:00Z"),
        ("s5time", 5),
        ("tod", 86_400_000),
        ("counter", 1000),
        ("real", 1e300),
        ("bools", [True]),
    ),
    ghost=TagConfig(type="uint16", address="%DB1:30000:WORD"),
    limited=s7_limited,
    keeps_limits=s7_keeps_limits,
    serve=serve_s7,
    quiet_at_once=False,
    retyped={
        "int": TagConfig(type="uint16", address="%DB1:20:WORD"),
        "word": TagConfig(type="int16", address="%DB1:18:INT"),
    },
    retyped_values={"int": 53_191, "word": -11_215},
)

ADS_NET_ID = "5.12.82.20.1.1"


def ads_tags(number: int) -> dict[str, TagConfig]:
    """Every type, TwinCAT 2 and 3 names, structures, arrays and their elements, raw memory, an enumeration."""
    gvl, utf8 = f"GVL{number}", {"encoding": "utf-8"}
    return {
        "bool": constant("bool", f"{gvl}.bRun", True, writable=True),
        "i8": constant("int8", f"{gvl}.i8", -5, writable=True),
        "u8": constant("uint8", f"{gvl}.u8", 200),
        "i16": constant("int16", f"{gvl}.i16", -12345, writable=True),
        "u16": constant("uint16", f"{gvl}.u16", 54321),
        "i32": constant("int32", f"{gvl}.i32", -123456789, writable=True),
        "u32": constant("uint32", f".legacy{number}", 3_000_000_000, writable=True),
        "i64": constant("int64", f"{gvl}.i64", -(2**60) - 1, writable=True),
        "u64": constant("uint64", f"{gvl}.u64", 2**63 + 5),
        "f32": constant("float32", f"{gvl}.stMotor.fSpeed", 230.5, writable=True),
        "f64": constant("float64", f"{gvl}.stMotor.stInner.fCurrent", 3.141592653589793, writable=True),
        "text": constant("string[20]", f"{gvl}.sName", "größer €", writable=True),
        "text-utf8": constant("string[20]", f"{gvl}.sUtf", "größer ψ", options=utf8, writable=True),
        "text-wide": constant("string[12]", f"{gvl}.sWide", "größer ψ", options={"plc_type": "WSTRING"}, writable=True),
        "time": constant("datetime", f"{gvl}.dtStart", "2024-03-04T05:06:07Z", writable=True),
        "time-long": constant("datetime", f"{gvl}.ldt", "2024-03-04T05:06:07.250000Z", options={"plc_type": "LDT"}),
        "day": constant("datetime", f"{gvl}.date", "2024-03-04T00:00:00Z", options={"plc_type": "DATE"}),
        "span": constant("duration", f"{gvl}.tCycle", 1500, writable=True),
        "time-of-day": constant("duration", f"{gvl}.tod", 3_600_000, options={"plc_type": "TOD"}),
        "state": constant("int16", f"{gvl}.eState", 2, values={"0": "idle", "2": "run"}),
        "array": constant("float32[3]", f"{gvl}.arr", [1.0, 2.5, -3.0], writable=True),
        "texts": constant("string[8][2]", f"{gvl}.names", ["a", "b"]),
        "element": constant("int16", f"{gvl}.cells[-1]", 7, writable=True),
        "cell": constant("int16", f"{gvl}.grid[2,1].n", 9),
        "all": TagConfig(
            type="json",
            address=f"{gvl}.stAll",
            simulate={"signal": "constant", "value": {"a": 1, "b": [1.5, 2.5], "c": {"on": True, "s": "x"}}},
        ),
        "raw": constant("uint16", f"0x4020,0x{number * 64:x}", 513, writable=True),
    }


def ads_connection(port: int, **more: Any) -> dict[str, Any]:
    """Connection keys with short time-outs."""
    return {
        "host": "127.0.0.1",
        "tcp_port": port,
        "ams_net_id": ADS_NET_ID,
        "port": 851,
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


def ads_device(number: int, port: int) -> DeviceConfig:
    """A variable list of one PLC."""
    return DeviceConfig(
        path=f"area/line/ads-{number}", protocol="ads", connection=ads_connection(port), tags=ads_tags(number)
    )


def ads_limited(port: int) -> DeviceConfig:
    """A PLC that is asked for nine symbols a read, and three that watch it."""
    tags = {f"n{at}": constant("float64", f"MAIN.n{at}", float(at)) for at in range(40)}
    return DeviceConfig(
        path="area/line/limited", protocol="ads", connection=ads_connection(port, max_read=12), tags=tags
    )


ADS = DriverCase(
    name="ads",
    device=ads_device,
    values=_values(ads_tags(0)),
    writes={
        "bool": False,
        "i8": 17,
        "i16": 321,
        "i32": 2**31 - 1,
        "u32": 2**32 - 1,
        "i64": -(2**63),
        "f32": 1.5,
        "f64": 2.5e-300,
        "text": "Zähler 7 €",
        "text-utf8": "ψψψ",
        "text-wide": "ψ 2",
        "time": "2025-01-02T03:04:05Z",
        "span": 86_400_000,
        "array": [9.0, 8.0, 7.0],
        "element": -9,
        "raw": 40_000,
    },
    misfits=(
        ("i16", 40_000),
        ("i16", "four"),
        ("bool", 7),
        ("i32", 1.5),
        ("array", 1.0),
        ("f32", 1e300),
        ("text", "x" * 21),
        ("text", "ψ"),
        ("time", "yesterday"),
        ("span", -1),
    ),
    ghost=TagConfig(type="uint16", address="MAIN.ghost"),
    limited=ads_limited,
    keeps_limits=lambda request: len(request.points) <= 9,
    serve=serve_ads,
    quiet_at_once=False,
    retyped=retyped(
        ads_tags(0),
        bool="int16",
        i16="bool",
        f64="int32",
        text="float64",
        time="string[20]",
        array="float32",
        texts="string[8][3]",
        element="string[4]",
    ),
    subscribes=True,
)

CASES: tuple[DriverCase, ...] = (MODBUS, modbus_rtu(), MODBUS_SERIAL, OPCUA, ADS, S7)
