"""ADS addresses: dialects in, one normal form out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.drivers.ads.address import parse_address
from nexus_cli.drivers.ads.kind import KIND, AdsConnection, AdsTag
from nexus_cli.model.driver_kind import AddressError


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("MAIN.x", "MAIN.x"),
        (" GVL.motor.fSpeed ", "GVL.motor.fSpeed"),
        (".z", ".z"),
        (".grid[1, 2]", ".grid[1,2]"),
        ("MAIN.arr[ -1 ].value", "MAIN.arr[-1].value"),
        ("MAIN.pMotor^.fSpeed", "MAIN.pMotor^.fSpeed"),
        ("Axes.Axis 1.ToPlc.ActPos", "Axes.Axis 1.ToPlc.ActPos"),
        ("TIID^Device 1 (EtherCAT)^Term 2 (EL1008)^Channel 1", "TIID^Device 1 (EtherCAT)^Term 2 (EL1008)^Channel 1"),
        ("GVL.Füllstand 50%.it's [m³]", "GVL.Füllstand 50%.it's [m³]"),
        ("0x4040,0x7D01C", "0x4040,0x7d01c"),
        ("16448/512028", "0x4040,0x7d01c"),
        ("0x4040:0x7d01c", "0x4040,0x7d01c"),
    ],
)
def test_dialects_have_one_normal_form(text: str, normal: str) -> None:
    assert parse_address(text).text == normal
    assert parse_address(normal).text == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "MAIN.",
        "MAIN..x",
        "MAIN. x",
        "MAIN.x:REAL",
        "MAIN.x:STRING(8)",
        "s=MAIN.x",
        "MAIN.\x1bx",
        "0x1,0x100000000",
        "1.2",
        ".",
    ],
)
def test_refusals_say_what_to_write(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert caught.value.code == "NX3401"
    assert caught.value.hint
    assert "NX3401" in catalogue()


def test_a_plc_is_one_link_whatever_its_ams_port() -> None:
    first, second = (
        AdsConnection.model_validate({"host": "10.0.0.7", "ams_net_id": "5.12.82.20.1.1", "port": port})
        for port in (851, 852)
    )
    assert KIND.link_of(first) == KIND.link_of(second) == "ads:10.0.0.7:48898"
    assert KIND.modes == ("subscribe", "cyclic", "poll")
    tag = AdsTag.model_validate({"address": "MAIN.x", "type": "int16", "max_delay": "50ms", "mode": "cyclic"})
    assert KIND.address_of(first, tag).options == {"max_delay": 50}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"address": "MAIN.s"}, None),  # the symbol says it
        ({"address": "MAIN.s", "encoding": "utf-8"}, "utf-8"),
        ({"address": "MAIN.s", "plc_type": "WSTRING"}, "utf-16-le"),
        ({"address": "0x4020,0x0"}, "cp1252"),
    ],
)
def test_a_text_that_is_written_says_what_it_can_hold(keys: dict[str, str], text: str | None) -> None:
    connection = AdsConnection.model_validate({"host": "10.0.0.7", "ams_net_id": "5.12.82.20.1.1"})
    tag = AdsTag.model_validate({"type": "string[8]", "writable": True, **keys})
    assert KIND.address_of(connection, tag).options.get("text") == text


@pytest.mark.parametrize(
    "keys",
    [
        {"host": "plc", "ams_net_id": "5.12.82.20.1"},
        {"host": "plc", "ams_net_id": "5.12.82.20.1.256"},
        {"host": "plc here", "ams_net_id": "5.12.82.20.1.1"},
        {"host": "plc"},
    ],
)
def test_connections_that_can_not_be_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AdsConnection.model_validate(keys)
