"""The serial line in the site language: what is filled in, what excludes what, and when frames are apart."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nexus_cli.drivers.modbus.connection import ModbusConnection
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.drivers.modbus.line import line_of
from nexus_cli.model.driver_kind import AddressError

LINE = "/dev/ttyUSB0"


def normal(**keys: Any) -> dict[str, Any]:
    return ModbusConnection.model_validate(keys).model_dump(mode="json", exclude_none=True)


def test_what_a_line_leaves_out_is_written_into_its_normal_form() -> None:
    full = normal(serial=LINE, baudrate=19200, parity="even", stopbits=1, bytesize=8, framing="rtu", unit_id=3)
    assert normal(serial=LINE, unit_id=3) == full
    assert "port" not in full and full["framing"] == "rtu"


def test_a_tcp_connection_says_nothing_of_lines() -> None:
    assert not {"serial", "baudrate", "parity", "stopbits", "bytesize"} & set(normal(host="10.0.0.9"))
    assert normal(host="10.0.0.9")["port"] == 502


def test_units_of_one_line_share_its_link_and_must_agree_on_it() -> None:
    links = {KIND.link_of(ModbusConnection(serial=LINE, unit_id=unit)) for unit in (1, 2)}
    assert links == {f"serial:{LINE}"}
    assert {"baudrate", "parity", "stopbits", "bytesize"} <= KIND.link_keys


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"host": "h", "serial": LINE}, "serial"),
        ({}, "host"),
        ({"host": "h", "parity": "odd"}, "parity"),
        ({"serial": LINE, "port": 502}, "port"),
        ({"serial": LINE, "framing": "tcp"}, "framing"),
        ({"host": "h", "framing": "rtu"}, "framing"),
    ],
)
def test_keys_that_exclude_each_other(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(AddressError) as caught:
        KIND.link_of(ModbusConnection.model_validate(keys))
    assert (caught.value.code, caught.value.key) == ("NX3112", key)
    assert caught.value.hint


@pytest.mark.parametrize("keys", [{"baudrate": 0}, {"parity": "mark"}, {"stopbits": 3}, {"bytesize": 7}])
def test_settings_that_no_line_has(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModbusConnection.model_validate({"serial": LINE, **keys})


@pytest.mark.parametrize(
    ("keys", "silence_ms"),
    [
        ({"baudrate": 9600}, 3.5 * 11 / 9.6),
        ({"baudrate": 9600, "parity": "none"}, 3.5 * 10 / 9.6),
        ({"baudrate": 9600, "parity": "none", "stopbits": 2}, 3.5 * 11 / 9.6),
        ({"baudrate": 115200}, 1.75),
    ],
)
def test_frames_are_three_and_a_half_characters_apart(keys: dict[str, Any], silence_ms: float) -> None:
    line = line_of(normal(serial=LINE, **keys), device=LINE)
    assert line.silence_s * 1000 == pytest.approx(silence_ms)
