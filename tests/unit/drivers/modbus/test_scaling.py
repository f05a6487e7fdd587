"""Values that another register scales: kind, grouping, decoding, simulator."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import Point, points_of
from nexus_cli.drivers.modbus.connection import ModbusConnection
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.groups import group
from nexus_cli.drivers.modbus.kind import KIND, ModbusTag
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.wire.sample import Reason

DEVICE = DeviceConfig(path="a/l/d", protocol="modbus", connection={"host": "h"})


def scaled(name: str, at: int, scale_at: int, raw: str = "int16") -> Point:
    return Point(name, f"holding:{at}", "float64", {"raw_type": raw, "scale_from": f"holding:{scale_at}"})


def decoded(points: list[Point], memory: dict[int, int]) -> list[tuple[Any, Any]]:
    """Values and faults by reading the requests' registers out of a memory."""
    out = []
    for request in group(DEVICE, points):
        block = request.detail
        raw = b"".join(struct.pack(">H", memory.get(block.start + place, 0)) for place in range(block.count))
        values, faults = block.registers(raw)
        out += [(value, faults.get(place)) for place, value in enumerate(values)]
    return out


def test_value_and_scale_factor_come_in_one_request() -> None:
    requests = group(DEVICE, [scaled("a", 10, 14), scaled("b", 11, 14), scaled("c", 12, 8)])
    assert [request.text for request in requests] == ["FC3 holding 8..14 unit 1"]
    assert not requests[0].detail.scales
    alone = group(DEVICE, [scaled("a", 10, 14)], fill_gaps=False)
    assert alone[0].text == "FC3 holding 10..14 unit 1"


def test_a_scale_factor_far_away_is_read_on_its_own() -> None:
    requests = group(DEVICE, [scaled("a", 10, 500)])
    assert [(one.detail.start, one.detail.count, one.detail.scales) for one in requests] == [(10, 1, ((0, 500),))]


def test_powers_of_ten_are_exact_and_absent_values_are_bad() -> None:
    minus = {10: 2301, 11: 0x8000, 12: 5, 13: 0x8000, 14: 0xFFFF}  # sf -1; b not implemented; c with a broken sf
    values = decoded([scaled("a", 10, 14), scaled("b", 11, 14), scaled("c", 12, 13)], minus)
    assert values[0] == (230.1, None)
    assert values[1][1].reason is Reason.NOT_A_NUMBER
    assert values[2][1].reason is Reason.DECODE_ERROR
    assert decoded([scaled("a", 10, 11, "uint16")], {10: 0xFFFF, 11: 0})[0][1].reason is Reason.NOT_A_NUMBER


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 400), st.sampled_from(["int16", "uint32"])),
        min_size=1,
        max_size=15,
    ),
    st.integers(-3, 3),
)
def test_every_point_is_read_once_within_the_limits(places: list[tuple[int, int, str]], exponent: int) -> None:
    points = [scaled(f"p{number}", at, sf, raw) for number, (at, sf, raw) in enumerate(places)]
    requests = group(DEVICE, points)
    assert sorted(point.name for request in requests for point in request.points) == sorted(one.name for one in points)
    for request in requests:
        block = request.detail
        assert block.count <= 125
        outside = dict(block.scales)
        for place, point in enumerate(request.points):
            sf = int(str(point.options["scale_from"]).partition(":")[2])
            assert (block.start <= sf < block.start + block.count) != (place in outside)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"scale_from": "holding:5"}, "NX3108"),
        ({"raw_type": "int16"}, "NX3108"),
        ({"raw_type": "int16", "scale_from": "input:5"}, "NX3108"),
        ({"raw_type": "float32", "scale_from": "holding:5"}, "NX3104"),
        ({"raw_type": "int16", "scale_from": "holding:5", "type": "int16"}, "NX3104"),
        ({"raw_type": "int16", "scale_from": "holding:5", "writable": True}, "NX3105"),
    ],
)
def test_half_said_scaling_is_refused(keys: dict[str, Any], code: str) -> None:
    tag = ModbusTag.model_validate({"address": "holding:1", "type": "float64", **keys})
    with pytest.raises(AddressError) as caught:
        KIND.address_of(ModbusConnection(host="h"), tag)
    assert caught.value.code == code


def test_the_normal_form_names_both_registers() -> None:
    tag = ModbusTag.model_validate(
        {"address": "400002", "type": "float64", "raw_type": "int32", "scale_from": "400006", "order": "CDAB"}
    )
    address = KIND.address_of(ModbusConnection(host="h"), tag)
    assert address.text == "holding:1"
    assert address.options == {"raw_type": "int32", "scale_from": "holding:5", "order": "CDAB"}


async def test_a_simulated_scaled_tag_reads_what_the_simulator_holds() -> None:
    tag = TagConfig(
        type="float64",
        address="holding:10",
        options={"raw_type": "int16", "scale_from": "holding:14"},
        simulate={"signal": "constant", "value": 230.0},
    )
    far = TagConfig(
        type="float64",
        address="holding:11",
        options={"raw_type": "int16", "scale_from": "holding:400"},
        simulate={"signal": "constant", "value": 7.0},
    )
    device = DeviceConfig(
        path="a/l/d", protocol="modbus", link="tcp:x:1", connection={"unit_id": 1}, tags={"v": tag, "far": far}
    )
    server = await serve([device])
    try:
        config = DeviceConfig(
            path="a/l/d",
            protocol="modbus",
            link="tcp:x:1",
            connection={"host": "127.0.0.1", "port": server.port, "unit_id": 1, "max_gap": 5},
            tags=device.tags,
        )
        session = await DRIVER.connect([config], home="")
        try:
            values = {}
            for request in DRIVER.group(config, points_of(config)):
                result = await session.read(request)
                values.update(zip((point.name for point in request.points), result.values, strict=True))
        finally:
            await session.close()
        assert values == {"v": 230.0, "far": 7.0}
        assert server.values("a/l/d") == {"v": 230, "far": 7}
    finally:
        await server.close()
