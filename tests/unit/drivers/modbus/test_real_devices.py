"""Facts of devices and products that nobody here wrote: registers, orders, limits. They run when the data is there."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.modbus.codec import compile_registers
from nexus_cli.drivers.modbus.connection import ModbusConnection
from nexus_cli.drivers.modbus.encode import encode_registers
from nexus_cli.drivers.modbus.field import field_of
from nexus_cli.drivers.modbus.groups import group
from nexus_cli.drivers.modbus.kind import ModbusTag, address_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value
from tests.real_data import DATA

THINGSBOARD_TYPES = {
    "16int": "int16",
    "16uint": "uint16",
    "16float": "float16",
    "32int": "int32",
    "32uint": "uint32",
    "32float": "float32",
    "64int": "int64",
    "64uint": "uint64",
    "64float": "float64",
}


def folder(name: str) -> Path:
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"no {path}: these real configurations are not part of the project")
    return path


def point(address: str | int, type_: str, **keys: Any) -> Point:
    connection = ModbusConnection(host="h")
    found = address_of(connection, ModbusTag(address=address, type=type_, **keys))
    return Point(str(address), found.text, type_, found.options)


def _slave(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["Modbus"]["configurationJson"]["master"]["slaves"][0]
    return found


def _order(slave: dict[str, Any]) -> str:
    return {("BIG", "BIG"): "ABCD", ("LITTLE", "LITTLE"): "DCBA", ("BIG", "LITTLE"): "CDAB", ("LITTLE", "BIG"): "BADC"}[
        (slave["byteOrder"], slave["wordOrder"])
    ]


def _number(type_: str, text: str) -> int | float:
    return float(text) if "float" in type_ else int(text)


@pytest.mark.parametrize("area", ["holding", "input"])
def test_thingsboard_registers_in_both_word_orders(area: str) -> None:
    """One set of registers, read by its little- and its big-endian configuration, gives both lists of answers."""
    base = folder("modbus-opcua-thingsboard") / "tests/blackbox/data/modbus"
    configs = {
        order: _slave(base / f"configs/uplink_configs/modbus_uplink_converter_{area}_registers_reading_{order}.json")
        for order in ("little", "big")
    }
    answers = {
        order: json.loads((base / f"test_values/uplink/{area}_registers_values_{order}.json").read_text())
        for order in ("little", "big")
    }
    registers = bytearray(200)
    for entry in configs["little"]["timeseries"]:
        if entry["tag"] in THINGSBOARD_TYPES:  # the little-endian answers are exact, the others are rounded
            type_ = THINGSBOARD_TYPES[entry["type"]]
            field = field_of(point(f"{area}:{entry['address']}", type_, order=_order(configs["little"])))
            raw = encode_registers(field, _number(type_, answers["little"][entry["tag"]]))
            registers[field.start * 2 : field.start * 2 + len(raw)] = raw
        elif entry["type"] == "string":
            field = field_of(point(f"{area}:{entry['address']}", "string[4]"))
            registers[field.start * 2 : field.start * 2 + 4] = answers["little"]["string"].encode()
    compared = 0
    for order in ("little", "big"):
        entries = [
            entry
            for entry in configs[order]["timeseries"]
            if entry["tag"] in answers[order] and (entry["type"] in THINGSBOARD_TYPES or entry["type"] == "string")
        ]
        points = [
            point(f"{area}:{entry['address']}", "string[4]")
            if entry["type"] == "string"
            else point(f"{area}:{entry['address']}", THINGSBOARD_TYPES[entry["type"]], order=_order(configs[order]))
            for entry in entries
        ]
        values, faults = compile_registers(tuple(field_of(item) for item in points), 0)(bytes(registers))
        assert not faults
        for entry, found in zip(entries, values, strict=True):
            _same(entry["type"], answers[order][entry["tag"]], found)
            compared += 1
    assert compared >= 18


def _same(type_: str, expected: str, found: Value) -> None:
    if type_ == "string":
        assert found == expected
    elif "float" in type_:
        assert isinstance(found, float)
        assert found == pytest.approx(float(expected), rel=1e-5, abs=1e-6)
    else:
        assert found == int(expected)


@pytest.mark.parametrize(
    ("device", "area_of"),
    [
        ("SDM630", {"read_only_word": "input", "read_write_word": "holding"}),
        ("Schneider_ATV312", {"read_only_word": "holding", "read_write_word": "holding"}),
    ],
)
def test_real_register_maps_are_grouped_within_the_device_limits(device: str, area_of: dict[str, str]) -> None:
    text = (folder("modbus-local-gateway") / f"device_configs/{device}.yaml").read_text()
    config = yaml.safe_load(text)
    limit = config["device"].get("max_register_read", 80)
    points = []
    for section, area in area_of.items():
        for name, entry in (config.get(section) or {}).items():
            size = entry.get("size", 1)
            type_ = ("float32" if entry.get("float") else "uint32") if size == 2 else "int16" if size == 1 else None
            if type_ is not None:
                found = address_of(
                    ModbusConnection(host="h"), ModbusTag(address=f"{area}:{entry['address']}", type=type_)
                )
                points.append(Point(str(name), found.text, type_, found.options))
    assert len(points) > 20
    requests = group(DeviceConfig(path="a/l/d", protocol="modbus", connection={"max_read": limit}), points)
    assert sum(len(request.points) for request in requests) == len(points)
    assert all(request.detail.count <= limit for request in requests)
    assert len(requests) < len(points)


def test_telegraf_case_14387_is_read_in_two_requests() -> None:
    """108 32-bit fields over 216 registers: as few reads as the limit of 125 allows, and none splits a value."""
    cases = folder("modbus-telegraf-cases") / "modbus/testcases"
    config = tomllib.loads((cases / "overflow_issue_14387/telegraf.conf").read_text())
    (asked,) = config["inputs"]["modbus"][0]["request"]
    points = [
        point(f"{asked['register']}:{field['address']}", field["type"].lower(), order=asked["byte_order"])
        for field in asked["fields"]
    ]
    requests = group(DeviceConfig(path="a/l/d", protocol="modbus"), points)
    assert [request.text for request in requests] == [
        "FC3 holding 12800..12923 unit 1",
        "FC3 holding 12924..13015 unit 1",
    ]
