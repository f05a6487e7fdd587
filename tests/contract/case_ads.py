"""ADS in the contract suite."""

from __future__ import annotations

from typing import Any

from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_case import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase, constant, retyped, values_of

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
    values=values_of(ads_tags(0)),
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
