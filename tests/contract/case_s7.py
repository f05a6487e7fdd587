"""S7 in the contract suite."""

from __future__ import annotations

from typing import Any

from nexus_cli.drivers.base import Request
from nexus_cli.drivers.s7.pdu import FRAME_HEADER, MAX_ITEMS
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_case import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase, constant, values_of


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
    values=values_of(s7_tags(1)) | {"bools": [True] * 11, "packed": [True] * 16, "long": ("long " * 50)},
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
    retyped={
        "int": TagConfig(type="uint16", address="%DB1:20:WORD"),
        "word": TagConfig(type="int16", address="%DB1:18:INT"),
    },
    retyped_values={"int": 53_191, "word": -11_215},
)
