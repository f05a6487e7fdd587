"""Every S7 type against python-snap7: what its functions write into a block we read, what we write its functions read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.field import field_of
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Value
from tests.contract.driver_cases import s7_connection
from tests.integration.test_s7_peers import everything
from tests.servers import free_port

snap7 = pytest.importorskip("snap7", reason="no python-snap7: pip install python-snap7")
from snap7 import util  # noqa: E402

HOUR = timedelta(hours=1)
NOON = datetime(2024, 3, 4, 12, 6, 7, 250_000)
LATER = datetime(2031, 12, 31, 23, 59, 59, 999_000)


class Case(NamedTuple):
    """One type: its value as the library and as we have it, then another one that we write."""

    s7: str
    ours: str
    put: Callable[..., Any] | None
    get: Callable[..., Any]
    theirs: Any
    value: Value
    written: Value
    read: Any


def plain(s7: str, ours: str, name: str, value: Value, written: Value) -> Case:
    return Case(s7, ours, getattr(util, f"set_{name}"), getattr(util, f"get_{name}"), value, value, written, written)


def text(block: bytearray, at: int, value: str) -> None:
    util.set_string(block, at, value, 12)


def wide(block: bytearray, at: int, value: str) -> None:
    util.set_wstring(block, at, value, 12)


def chars(block: bytearray, at: int, value: str) -> None:
    util.set_fstring(block, at, value, 8)


CASES = {
    "byte": plain("BYTE", "uint8", "byte", 200, 7),
    "usint": plain("USINT", "uint8", "usint", 255, 0),
    "sint": plain("SINT", "int8", "sint", -128, 127),
    "char": plain("CHAR", "string", "char", "A", "z"),
    "word": Case("WORD", "uint16", util.set_word, util.get_word, 0xBEEF, 0xBEEF, 1, 1),
    "int": plain("INT", "int16", "int", -12345, 32767),
    "uint": plain("UINT", "uint16", "uint", 54321, 65535),
    "wchar": plain("WCHAR", "string", "wchar", "Ω", "я"),
    "dword": plain("DWORD", "uint32", "dword", 0xDEADBEEF, 5),
    "dint": plain("DINT", "int32", "dint", -(2**31), 2**31 - 1),
    "udint": plain("UDINT", "uint32", "udint", 2**32 - 1, 77),
    "real": plain("REAL", "float32", "real", 230.5, -0.125),
    "lword": plain("LWORD", "uint64", "lword", 2**64 - 1, 2**63),
    "lint": plain("LINT", "int64", "lint", -(2**63), 2**63 - 1),
    "ulint": plain("ULINT", "uint64", "ulint", 2**64 - 1, 1),
    "lreal": plain("LREAL", "float64", "lreal", 3.141592653589793, -2.5e-300),
    "date": Case(
        "DATE", "datetime", util.set_date, util.get_date,
        date(2024, 3, 4), "2024-03-04T00:00:00Z", "2168-12-31T00:00:00Z", date(2168, 12, 31),
    ),
    "time": Case("TIME", "duration", util.set_time, util.get_time, "1:2:3:4.500", 93_784_500, 90_061_001, "1:1:1:1.001"),
    "s5time": Case("S5TIME", "duration", None, util.get_s5time, b"\x21\x27", 127_000, 9_990, "0:00:09.990000"),
    "tod": Case("TOD", "duration", util.set_tod, util.get_tod, HOUR, 3_600_000, 1, timedelta(milliseconds=1)),
    "ltime": Case("LTIME", "duration", util.set_ltime, util.get_ltime, -HOUR, -3_600_000, 0.5, timedelta(microseconds=500)),
    "ltod": Case("LTOD", "duration", util.set_ltod, util.get_ltod, HOUR, 3_600_000, 1.25, timedelta(microseconds=1250)),
    "dt": Case(
        "DT", "datetime", util.set_dt, util.get_date_time_object,
        NOON, "2024-03-04T12:06:07.250000Z", "2031-12-31T23:59:59.999000Z", LATER,
    ),
    "dtl": Case(
        "DTL", "datetime", util.set_dtl, util.get_dtl,
        NOON, "2024-03-04T12:06:07.250000Z", "2031-12-31T23:59:59.999000Z", LATER,
    ),
    "ldt": Case(
        "LDT", "datetime", util.set_ldt, util.get_ldt,
        NOON, "2024-03-04T12:06:07.250000Z", "2031-12-31T23:59:59.999000Z", LATER,
    ),
    "string": Case(
        "STRING(12)", "string", text, lambda block, at: util.get_string(block, at),
        "größer", "größer", "Zähler 7", "Zähler 7",
    ),
    "wstring": Case("WSTRING(12)", "string", wide, util.get_wstring, "größer ψ", "größer ψ", "日本", "日本"),
    "chars": Case(
        "CHAR[8]", "string[8]", chars, lambda block, at: util.get_fstring(block, at, 8), "mixer", "mixer", "pump 12", "pump 12",
    ),
}  # fmt: skip
STEP = 40
"""Bytes from one value to the next: more than any of them takes."""


def plc(port: int) -> DeviceConfig:
    tags = {
        name: TagConfig(type=case.ours, address=f"%DB1:{number * STEP}:{case.s7}")
        for number, (name, case) in enumerate(CASES.items())
    }
    last = len(CASES) * STEP
    tags |= {f"bit{bit}": TagConfig(type="bool", address=f"%DB1:{last}.{bit}:BOOL") for bit in range(8)}
    tags["ints"] = TagConfig(type="int16[4]", address=f"%DB1:{last + 2}:INT[4]")
    tags["reals"] = TagConfig(type="float32[3]", address=f"%DB1:{last + 10}:REAL[3]")
    tags["texts"] = TagConfig(type="string[12][2]", address=f"%DB1:{last + 22}:STRING(12)[2]")
    tags["days"] = TagConfig(type="datetime[2]", address=f"%DB1:{last + 50}:DTL[2]")
    tags |= {
        f"{area.lower()}{s7.lower()}": TagConfig(type=ours, address=f"%{area}{at}:{s7}")
        for area in "IQM"
        for at, s7, ours in ((0, "INT", "int16"), (4, "REAL", "float32"), (8, "DTL", "datetime"))
    }
    tags["timer"] = TagConfig(type="duration", address="%T1:TIMER")
    tags["counter"] = TagConfig(type="uint16", address="%C1:COUNTER")
    return DeviceConfig(path="a/l/d", protocol="s7", connection=s7_connection(port, timeout=2000), tags=tags)


def area() -> bytearray:
    """Inputs, outputs and markers."""
    block = bytearray(24)
    util.set_int(block, 0, -7)
    util.set_real(block, 4, 1.5)
    util.set_dtl(block, 8, NOON)
    return block


def memory() -> tuple[bytearray, dict[str, Value]]:
    """DB1, filled by the library, and what we must read from it."""
    last = len(CASES) * STEP
    block = bytearray(last + 80)
    expected: dict[str, Value] = {}
    for number, (name, case) in enumerate(CASES.items()):
        if case.put is None:
            block[number * STEP : number * STEP + len(case.theirs)] = case.theirs
        else:
            case.put(block, number * STEP, case.theirs)
        expected[name] = case.value
    for bit in range(8):
        util.set_bool(block, last, bit, bit % 3 == 0)
        expected[f"bit{bit}"] = bit % 3 == 0
    for at, whole in enumerate((1, -2, 3, -4)):
        util.set_int(block, last + 2 + 2 * at, whole)
    for at, number_ in enumerate((1.5, -2.5, 0.0)):
        util.set_real(block, last + 10 + 4 * at, number_)
    for at, word in enumerate(("one", "two")):
        util.set_string(block, last + 22 + 14 * at, word, 12)
    for at, moment in enumerate((NOON, LATER)):
        util.set_dtl(block, last + 50 + 12 * at, moment)
    expected |= {"ints": [1, -2, 3, -4], "reals": [1.5, -2.5, 0.0], "texts": ["one", "two"]}
    expected["days"] = ["2024-03-04T12:06:07.250000Z", "2031-12-31T23:59:59.999000Z"]
    for letter in "iqm":
        expected |= {f"{letter}int": -7, f"{letter}real": 1.5, f"{letter}dtl": "2024-03-04T12:06:07.250000Z"}
    return block, expected | {"timer": 5_000, "counter": 321}


@pytest.mark.parametrize("pdu", [240, 480, 960])
async def test_every_type_is_read_and_written_as_python_snap7_has_it(pdu: int) -> None:
    block, expected = memory()
    port = free_port()
    server = snap7.Server(log=False)
    server.register_area(snap7.type.SrvArea.DB, 1, block)
    for place in (snap7.type.SrvArea.PE, snap7.type.SrvArea.PA, snap7.type.SrvArea.MK):
        server.register_area(place, 0, area())
    server.register_area(snap7.type.SrvArea.TM, 0, bytearray(b"\0\0\x10\x50"))
    server.register_area(snap7.type.SrvArea.CT, 0, bytearray(b"\0\0\x03\x21"))
    server.start_to("127.0.0.1", port)
    device = plc(port)
    device.connection["pdu"] = pdu
    try:
        session = await DRIVER.connect([device], home=".")
        found, faults = await everything(session, device)
        assert faults == {}
        assert found == expected
        points = {point.name: point for point in points_of(device)}
        for name, case in CASES.items():
            await session.write(device.path, points[name], case.written)
        found, _ = await everything(session, device)
        assert found == expected | {name: case.written for name, case in CASES.items()}
        await session.close()
        client = snap7.AsyncClient()
        await client.connect("127.0.0.1", 0, 1, port)
        try:
            theirs = await client.db_read(1, 0, len(CASES) * STEP)
        finally:
            await client.disconnect()
    finally:
        server.stop()
    for number, (name, case) in enumerate(CASES.items()):
        assert case.get(bytearray(theirs), number * STEP) == case.read, name
        beyond = theirs[number * STEP + field_of(points[name]).size : (number + 1) * STEP]
        assert not any(beyond), f"{name} was written over its end"
