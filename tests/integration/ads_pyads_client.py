"""Looks at a simulated PLC with pyads, in a process of its own: a crash of the native library shows as such.

Run: python -m tests.integration.ads_pyads_client HOST NETID; prints what it found as JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any


def main(host: str, net_id: str) -> None:
    import pyads

    found: dict[str, Any] = {}
    pyads.open_port()
    pyads.set_local_address("127.0.0.1.1.1")
    pyads.close_port()
    plc = pyads.Connection(net_id, 851, host)
    plc.open()
    plc.set_timeout(2000)
    found["state"] = plc.read_state()[0]
    found["info"] = plc.read_device_info()[0]
    found["values"] = {
        "bool": plc.read_by_name("GVL0.bRun", pyads.PLCTYPE_BOOL),
        "i16": plc.read_by_name("GVL0.i16", pyads.PLCTYPE_INT),
        "i64": plc.read_by_name("GVL0.i64", pyads.PLCTYPE_LINT),
        "u64": plc.read_by_name("GVL0.u64", pyads.PLCTYPE_ULINT),
        "f32": plc.read_by_name("GVL0.stMotor.fSpeed", pyads.PLCTYPE_REAL),
        "f64": plc.read_by_name("GVL0.stMotor.stInner.fCurrent", pyads.PLCTYPE_LREAL),
        "text-utf8": plc.read_by_name("GVL0.sUtf", pyads.PLCTYPE_STRING),
        "array": plc.read_by_name("GVL0.arr", pyads.PLCTYPE_REAL * 3),
        "element": plc.read_by_name("GVL0.cells[-1]", pyads.PLCTYPE_INT),
    }
    found["values"] |= {
        name: plc.read_by_name(symbol, kind)
        for name, symbol, kind in (
            ("i8", "GVL0.i8", pyads.PLCTYPE_SINT),
            ("u8", "GVL0.u8", pyads.PLCTYPE_USINT),
            ("u16", "GVL0.u16", pyads.PLCTYPE_UINT),
            ("i32", "GVL0.i32", pyads.PLCTYPE_DINT),
            ("u32", ".legacy0", pyads.PLCTYPE_UDINT),
            ("text-wide", "GVL0.sWide", pyads.PLCTYPE_WSTRING),
            ("span", "GVL0.tCycle", pyads.PLCTYPE_TIME),
            ("time-of-day", "GVL0.tod", pyads.PLCTYPE_TOD),
            ("state", "GVL0.eState", pyads.PLCTYPE_INT),
            ("cell", "GVL0.grid[2,1].n", pyads.PLCTYPE_INT),
        )
    }
    found["moments"] = [
        plc.read_by_name("GVL0.dtStart", pyads.PLCTYPE_DT),
        plc.read_by_name("GVL0.date", pyads.PLCTYPE_DATE),
        plc.read_by_name("GVL0.ldt", pyads.PLCTYPE_ULINT),
    ]
    found["raw"] = plc.read(0x4020, 0, pyads.PLCTYPE_UINT)
    motor = (
        ("fSpeed", pyads.PLCTYPE_REAL, 1),
        ("nothing", pyads.PLCTYPE_DINT, 1),
        ("fCurrent", pyads.PLCTYPE_LREAL, 1),
    )
    found["structure"] = dict(plc.read_structure_by_name("GVL0.stMotor", motor))
    # symbols by the library's own resolution of types
    found["symbol"] = plc.get_symbol("GVL0.i32").read()
    found["list"] = plc.read_list_by_name(["GVL0.i8", "GVL0.u16", "GVL0.sUtf", "GVL0.missing"][:3])
    found["table"] = sorted(symbol.name for symbol in plc.get_all_symbols())
    plc.write_by_name("GVL0.i32", 4711, pyads.PLCTYPE_DINT)
    found["written"] = plc.read_by_name("GVL0.i32", pyads.PLCTYPE_DINT)
    found["errors"] = plc.write_list_by_name({"GVL0.i8": -7, "GVL0.i16": 99})
    try:
        plc.read_by_name("GVL0.missing", pyads.PLCTYPE_INT)
    except pyads.ADSError as error:
        found["missing"] = error.err_code
    heard: list[Any] = []

    @plc.notification(pyads.PLCTYPE_INT)
    def callback(handle: int, name: str, at: Any, value: int) -> None:
        heard.append((name, value, at.year))

    attributes = pyads.NotificationAttrib(ctypes.sizeof(pyads.PLCTYPE_INT), cycle_time=10)
    handles = plc.add_device_notification("GVL0.i16", attributes, callback)
    plc.write_by_name("GVL0.i16", 123, pyads.PLCTYPE_INT)
    end = time.monotonic() + 3
    while not any(value == 123 for _, value, _ in heard) and time.monotonic() < end:
        time.sleep(0.01)
    assert handles is not None
    plc.del_device_notification(*handles)
    found["heard"] = next(one for one in heard if one[1] == 123)
    plc.write_by_name("GVL0.sWide", "ψ 2\0", pyads.PLCTYPE_WSTRING)  # the library sends it without its NUL
    plc.write_by_name("GVL0.sUtf", "ψψψ", pyads.PLCTYPE_STRING)
    plc.write_by_name("GVL0.i64", -(2**63), pyads.PLCTYPE_LINT)
    plc.write_by_name("GVL0.arr", [9.0, 8.0, 7.0], pyads.PLCTYPE_REAL * 3)
    plc.write_by_name("GVL0.tCycle", 86_400_000, pyads.PLCTYPE_TIME)
    plc.write(0x4020, 0, 40_000, pyads.PLCTYPE_UINT)
    plc.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
