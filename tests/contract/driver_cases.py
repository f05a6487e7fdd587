"""The drivers that the contract suite runs against their own simulators: one entry each, nothing else to write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.drivers.base import Request
from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Value

TIMEOUT_MS = 300
CONNECT_TIMEOUT_MS = 1000


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
    extra: Mapping[str, Any] = field(default_factory=dict)


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
)


def modbus_rtu() -> DriverCase:
    """The same, in RTU frames over TCP."""

    def framed(device: DeviceConfig) -> DeviceConfig:
        import msgspec

        return msgspec.structs.replace(device, connection={**device.connection, "framing": "rtu-over-tcp"})

    fields = {**MODBUS.__dict__, "name": "modbus-rtu-over-tcp"}
    fields["device"] = lambda number, port: framed(modbus_device(number, port))
    fields["limited"] = lambda port: framed(modbus_limited(port))
    return DriverCase(**fields)


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
)

CASES: tuple[DriverCase, ...] = (MODBUS, modbus_rtu(), OPCUA)
