"""A SunSpec inverter as a Modbus device of our simulator: every register a constant."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from nexus_cli.drivers.modbus import sunspec
from nexus_cli.model.config import DeviceConfig, TagConfig

BASE = 40_000
ABSENT = {"int": 0x8000, "uint": 0xFFFF, "enum": 0xFFFF, "bitfield": 0xFFFF, "sunssf": 0x8000, "acc": 0}
VALUES: dict[int, dict[str, Any]] = {
    1: {"Mn": "Acme", "Md": "Inverter 5000", "SN": "A-1"},
    103: {
        "A": 123,
        "AphA": 41,
        "A_SF": -1,
        "PhVphA": 2301,
        "PhVphB": 2302,
        "PhVphC": 2303,
        "V_SF": -1,
        "W": -57,
        "W_SF": 2,
        "Hz": 5001,
        "Hz_SF": -2,
        "WH": 1_234_567,
        "WH_SF": 0,
        "St": 4,
        "Evt1": 0,
        "TmpCab": 231,
        "Tmp_SF": -1,
    },
    160: {"DCA_SF": -2, "DCV_SF": -1, "DCW_SF": 0, "DCWH_SF": 0, "N": 2, "module 1.DCA": 512, "module 2.DCV": 6001},
}
"""Raw values by model and point."""
LENGTHS = {1: 66, 103: 50, 160: 8 + 2 * 20}
EXPECTED = {
    "inverter-three-phase.amps": 12.3,
    "inverter-three-phase.phase-voltage-an": 230.1,
    "inverter-three-phase.watts": -5700.0,
    "inverter-three-phase.hz": 50.01,
    "inverter-three-phase.watt-hours": 1_234_567.0,
    "inverter-three-phase.operating-state": 4.0,
    "mppt.module-1.dc-current": 5.12,
    "mppt.module-2.dc-voltage": 600.1,
}
"""What a reader must get, worked out by hand."""


def words() -> list[int]:
    """The registers from `BASE` on."""
    image = list(struct.unpack(">HH", sunspec.MARKER))
    for model, length in LENGTHS.items():
        group = sunspec.definition_of(model)
        assert group is not None
        image += [model, length, *_model(group, length + 2, VALUES[model])[2:]]
    return [*image, 64_998, 3, 1, 2, 3, sunspec.END, 0]


def _model(group: Mapping[str, Any], length: int, values: Mapping[str, Any]) -> list[int]:
    block = [0] * length
    counts = {"N": values.get("N", 0)}
    for point in sunspec.points_of(group, length, lambda _place: counts["N"]):
        kind = str(point.definition["type"])
        value = values.get(".".join(point.path[1:]))
        raw = _absent(kind, point.size) if value is None else _encoded(kind, value, point.size)
        block[point.offset : point.offset + point.size] = struct.unpack(f">{point.size}H", raw)
    return block


def _absent(kind: str, size: int) -> bytes:
    first = next((word for name, word in ABSENT.items() if kind.startswith(name)), 0)
    rest = 0xFFFF if first == 0xFFFF else 0
    return struct.pack(f">{size}H", first, *[rest] * (size - 1))


def _encoded(kind: str, value: Any, size: int) -> bytes:
    if isinstance(value, str):
        return value.encode().ljust(size * 2, b"\0")
    return int(value).to_bytes(size * 2, "big", signed=value < 0)


def inverter(port: int, *, path: str = "plant/roof/raw") -> DeviceConfig:
    """The device as the simulator serves it."""
    tags = {
        f"w{place}": TagConfig(
            type="uint16", address=f"holding:{BASE + place}", simulate={"signal": "constant", "value": word}
        )
        for place, word in enumerate(words())
    }
    return DeviceConfig(
        path=path,
        protocol="modbus",
        link=f"tcp:127.0.0.1:{port}",
        connection={"host": "127.0.0.1", "port": port, "unit_id": 1},
        tags=tags,
    )
