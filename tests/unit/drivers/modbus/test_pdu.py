"""Requests and answers as bytes, beside pymodbus's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from nexus_cli.drivers.modbus.pdu import (
    checksum,
    identification_of,
    identification_request,
    read_head,
    read_request,
    rtu_answer,
    rtu_frame,
    write_request,
)
from nexus_cli.drivers.modbus.writing import WritePlan

REGISTERS = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123)
BITS = st.lists(st.booleans(), min_size=1, max_size=1968)


def understood(request: bytes) -> Any:
    """What pymodbus's server makes of a request."""
    pdu: ModbusPDU | None = DecodePDU(True).decode(request[1:])
    assert pdu is not None
    return pdu


@given(st.sampled_from([1, 2, 3, 4]), st.integers(0, 0xFFFF), st.integers(1, 125))
def test_reads_are_what_pymodbus_understands(function: int, start: int, count: int) -> None:
    pdu = understood(read_request(9, function, start, count))
    assert (pdu.function_code, pdu.address, pdu.count) == (function, start, count)
    assert read_head(function, count) == bytes((function, count * 2 if function > 2 else (count + 7) // 8))


@given(st.integers(0, 0xFFFF), REGISTERS, BITS)
def test_writes_are_what_pymodbus_understands(start: int, registers: list[int], bits: list[bool]) -> None:
    pdu = understood(write_request(1, WritePlan(function=16, start=start, registers=tuple(registers))))
    assert (pdu.function_code, pdu.address, pdu.registers) == (16, start, registers)
    pdu = understood(write_request(1, WritePlan(function=6, start=start, registers=(registers[0],))))
    assert (pdu.function_code, pdu.address, pdu.registers) == (6, start, registers[:1])
    pdu = understood(write_request(1, WritePlan(function=15, start=start, bits=tuple(bits))))
    assert (pdu.function_code, pdu.address, pdu.bits[: len(bits)]) == (15, start, bits)
    pdu = understood(write_request(1, WritePlan(function=5, start=start, bits=(bits[0],))))
    assert (pdu.function_code, pdu.address, pdu.bits[:1]) == (5, start, bits[:1])
    plan = WritePlan(function=22, start=start, and_mask=registers[0], or_mask=registers[-1])
    pdu = understood(write_request(1, plan))
    assert (pdu.function_code, pdu.address, pdu.and_mask, pdu.or_mask) == (22, start, registers[0], registers[-1])


def test_an_identification_is_what_pymodbus_says() -> None:
    pdu = understood(identification_request(1, 4))
    assert (pdu.sub_function_code, pdu.read_code, pdu.object_id) == (14, 2, 4)
    told = ReadDeviceInformationResponse(2, {0: b"ACME", 1: b"PM-1", 2: b"2.0"})
    page = identification_of(b"\x2b" + told.encode())
    assert page.objects == {0: b"ACME", 1: b"PM-1", 2: b"2.0"} and page.following is None
    long = ReadDeviceInformationResponse(2, {number: bytes(100) for number in range(5)})
    assert identification_of(b"\x2b" + long.encode()).following == 2


@pytest.mark.parametrize("cut", range(1, 18))
def test_an_identification_that_is_cut_is_none(cut: int) -> None:
    whole = b"\x2b" + ReadDeviceInformationResponse(2, {0: b"ACME", 1: b"PM-1"}).encode()
    with pytest.raises(ValueError, match="identification"):
        identification_of(whole[:cut])


@given(st.binary(max_size=256))
def test_the_checksum_is_pymodbus_s_and_closes_its_own_frame(data: bytes) -> None:
    assert checksum(data) == FramerRTU.compute_CRC(data).to_bytes(2, "big")
    assert checksum(rtu_frame(data)) == b"\0\0"


@given(
    st.sampled_from([b"\3\2\1\2", b"\x83\2", b"\6\0\1\0\2", b"\x10\0\1\0\2", b"\x16\0\1\0\2\0\3", b"\1\1\5"]),
    st.binary(max_size=10),
    st.integers(0, 40),
)
def test_an_rtu_answer_is_found_behind_noise_when_all_of_it_is_there(answer: bytes, noise: bytes, missing: int) -> None:
    noise = noise.replace(b"\7", b"")
    data = noise + rtu_frame(b"\7" + answer)
    assert rtu_answer(data, unit=7, function=answer[0] & 0x7F) == answer
    assert rtu_answer(data, unit=8, function=answer[0] & 0x7F) is None
    cut = data[: max(0, len(data) - 1 - missing)]
    assert rtu_answer(cut, unit=7, function=answer[0] & 0x7F) is None


def test_a_frame_to_another_function_is_given_when_it_is_all_that_came() -> None:
    other = rtu_frame(b"\1\4\2\0\1")
    assert rtu_answer(other, unit=1, function=3) == b"\4\2\0\1"
    assert rtu_answer(b"\xff" + other, unit=1, function=3) is None


def test_a_frame_within_a_frame_is_data() -> None:
    inner = rtu_frame(b"\1\3\2\0\7")
    outer = rtu_frame(b"\1\3\x08" + inner + b"\0")
    assert [rtu_answer(outer[:size], unit=1, function=3) for size in range(len(outer))] == [None] * len(outer)
    assert rtu_answer(outer, unit=1, function=3) == b"\3\x08" + inner + b"\0"


@given(st.dictionaries(st.integers(0, 255), st.binary(max_size=40), max_size=4))
def test_an_rtu_identification_ends_where_its_objects_end(objects: dict[int, bytes]) -> None:
    body = b"\x2b\x0e\2\x83\0\0" + bytes((len(objects),))
    body += b"".join(bytes((number, len(text))) + text for number, text in objects.items())
    frame = rtu_frame(b"\1" + body)
    assert all(rtu_answer(frame[:size], unit=1, function=43) is None for size in range(len(frame)))
    answer = rtu_answer(frame + b"\0\0", unit=1, function=43)
    assert answer == body and identification_of(answer).objects == objects
