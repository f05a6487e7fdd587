"""OPC UA in the contract suite."""

from __future__ import annotations

from typing import Any

from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_case import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase, constant, retyped, values_of

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
    values=values_of(opcua_tags("Device0.")),
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
