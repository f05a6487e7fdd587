"""What a simulated unit answers, PDU by PDU."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.modbus.simulator.memory import Unit
from nexus_cli.drivers.modbus.simulator.responder import answer
from nexus_cli.drivers.modbus.simulator.server import crc16


def unit(*, holes: bool = False, **limits: Any) -> Unit:
    made = Unit(dict(limits))
    for name, address, type_, value in [
        ("a", "holding:10", "uint16", 0x1234),
        ("b", "holding:12", "float32", 1.0),
        ("c", "coil:3", "bool", True),
        ("d", "coil:5", "bool", True),
        ("e", "holding:15.2", "bool", True),
    ]:
        made.add(name, Point(name, address, type_), lambda _t_s, value=value: value)
    made.ready(holes=holes)
    return made


def ask(served: Unit, request: str) -> str:
    return answer(served, bytes.fromhex(request), t_s=0.0).hex()


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        ("03000a0001", "03021234"),
        ("03000a0006", "030c123400003f80000000000004"),
        ("0100030003", "010105"),
        ("0300090001", "8302"),
        ("03000a0007", "8302"),
        ("03000a0000", "8303"),
        ("03000a007e", "8303"),
        ("0400000001", "8402"),
        ("2b0e0100", "ab01"),
        ("03", "8303"),
        ("0500030000", "0500030000"),
        ("0500030001", "8503"),
        ("06000a5678", "06000a5678"),
        ("10000a000102abcd", "10000a0001"),
        ("10000a000204abcd", "9003"),
        ("16000a00f20025", "16000a00f20025"),
        ("0f00030003010a", "0f00030003"),
    ],
)
def test_requests_and_answers(request_: str, response: str) -> None:
    assert ask(unit(), request_) == response


def test_holes_answer_illegal_address_only_when_asked_for() -> None:
    assert ask(unit(), "03000a0002") == "030412340000"
    assert ask(unit(holes=True), "03000a0002") == "8302"
    assert ask(unit(holes=True), "03000c0002") == "03043f800000"


def test_a_write_stops_the_signals_it_touches_and_no_other() -> None:
    served = unit()
    ask(served, "10000c0002044000" + "0000")
    assert served.value("b", t_s=1.0) == 2.0
    assert served.value("a", t_s=1.0) == 0x1234
    ask(served, "0f00030003010a")
    assert [served.value(name, t_s=1.0) for name in "cd"] == [False, False]


def test_mask_write_by_the_formula_of_the_specification() -> None:
    served = unit()
    ask(served, "06000a0012")
    ask(served, "16000a00f20025")
    assert served.value("a", t_s=0.0) == 0x17


def test_devices_that_know_one_way_of_writing() -> None:
    assert ask(unit(write_function="single"), "10000a000102abcd") == "9001"
    assert ask(unit(write_function="multiple"), "06000a5678") == "8601"
    assert ask(unit(bit_write="read-modify-write"), "16000a00f20025") == "9601"
    assert ask(unit(max_read=2), "03000a0003") == "8303"


def test_injected_failures() -> None:
    served = unit()
    served.failure = 6
    assert ask(served, "03000a0001") == "8306"


def test_crc_of_the_specification() -> None:
    """Source: Modbus over Serial Line V1.02, appendix B: 02 07 gives 41 12 on the wire."""
    assert crc16(bytes.fromhex("0207")).hex() == "4112"
