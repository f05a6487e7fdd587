"""Which reads are joined."""

from __future__ import annotations

from typing import Any

from nexus_cli.drivers.base import Point, points_of
from nexus_cli.drivers.modbus.groups import group
from nexus_cli.model.config import DeviceConfig, TagConfig


def device(**connection: Any) -> DeviceConfig:
    return DeviceConfig(path="a/l/d", protocol="modbus", connection={"host": "h", **connection})


def texts(points: list[Point], *, fill_gaps: bool = True, **connection: Any) -> list[str]:
    return [request.text for request in group(device(**connection), points, fill_gaps=fill_gaps)]


def floats(*starts: int) -> list[Point]:
    return [Point(f"f{start}", f"holding:{start}", "float32") for start in starts]


def test_neighbours_are_one_request() -> None:
    assert texts(floats(100, 102, 104)) == ["FC3 holding 100..105 unit 1"]


def test_gaps_are_filled_up_to_the_limit() -> None:
    assert texts(floats(0, 52)) == ["FC3 holding 0..53 unit 1"]
    assert texts(floats(0, 53)) == ["FC3 holding 0..1 unit 1", "FC3 holding 53..54 unit 1"]
    assert texts(floats(0, 12), max_gap=9) == ["FC3 holding 0..1 unit 1", "FC3 holding 12..13 unit 1"]
    assert texts(floats(0, 2, 5), fill_gaps=False) == ["FC3 holding 0..3 unit 1", "FC3 holding 5..6 unit 1"]


def test_no_value_is_split_over_two_requests() -> None:
    assert texts(floats(0, 2, 4), max_read=5) == ["FC3 holding 0..3 unit 1", "FC3 holding 4..5 unit 1"]


def test_areas_and_units_are_apart() -> None:
    points = [
        Point("a", "holding:0", "uint16"),
        Point("b", "input:0", "uint16"),
        Point("c", "coil:0", "bool"),
        Point("d", "discrete:0", "bool"),
        Point("e", "holding:1", "uint16", {"unit_id": 9}),
    ]
    assert texts(points, unit_id=2) == [
        "FC1 coil 0 unit 2",
        "FC2 discrete 0 unit 2",
        "FC3 holding 0 unit 2",
        "FC4 input 0 unit 2",
        "FC3 holding 1 unit 9",
    ]


def test_one_field_per_request_for_devices_that_want_it() -> None:
    assert len(texts(floats(0, 2, 4), single_field=True)) == 3


def test_bits_have_their_own_limits() -> None:
    coils = [Point(f"c{at}", f"coil:{at}", "bool") for at in range(0, 2100, 100)]
    assert texts(coils) == ["FC1 coil 0..1900 unit 1", "FC1 coil 2000 unit 1"]
    assert texts(coils[:3], max_read_bits=101) == ["FC1 coil 0..100 unit 1", "FC1 coil 200 unit 1"]


def test_overlapping_values_are_read_once() -> None:
    points = [
        Point("whole", "holding:0", "uint32"),
        Point("bit", "holding:1.4", "bool"),
        Point("all", "holding:0", "uint64"),
    ]
    (request,) = group(device(), points)
    assert request.text == "FC3 holding 0..3 unit 1"
    assert request.detail.registers(bytes.fromhex("0001001000020003"))[0] == [0x00010010, 0x0001001000020003, True]


def test_a_thousand_devices_are_a_read_each() -> None:
    tags = {f"t{at}": TagConfig(type="float32", address=f"holding:{at * 2}") for at in range(20)}
    devices = [
        DeviceConfig(path=f"a/l/d{at}", protocol="modbus", connection={"unit_id": 1}, tags=tags) for at in range(1000)
    ]
    assert sum(len(group(one, points_of(one))) for one in devices) == 1000
