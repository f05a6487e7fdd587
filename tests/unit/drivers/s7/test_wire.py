"""PDUs byte for byte, and how points become requests."""

from __future__ import annotations

import csv
import struct
from typing import Any

import pytest

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.s7 import userdata
from nexus_cli.drivers.s7.codec import compile_fields
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.field import field_of
from nexus_cli.drivers.s7.groups import group
from nexus_cli.drivers.s7.pdu import (
    Item,
    Malformed,
    connect_frame,
    error_of,
    read_items,
    read_job,
    setup_job,
    setup_reply,
    with_reference,
    write_codes,
    write_job,
)
from nexus_cli.drivers.s7.status import job_error, refusal
from nexus_cli.drivers.s7.writing import jobs_of, plan_write
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.plan.requests import request_count
from nexus_cli.runtime.gateway.devices.device import device_runtime, split
from tests.real_data import DATA


def hexed(frame: bytes) -> str:
    return frame.hex(" ")


# As captured from Snap7 and TIA clients (Wireshark's sample captures of s7comm).
def test_frames_are_as_captured() -> None:
    assert hexed(connect_frame(0x0100, 0x0102)) == ("03 00 00 16 11 e0 00 00 00 01 00 c0 01 0a c1 02 01 00 c2 02 01 02")
    assert hexed(with_reference(setup_job(480), 0x0100)) == (
        "03 00 00 19 02 f0 80 32 01 00 00 01 00 00 08 00 00 f0 00 00 01 00 01 01 e0"
    )
    assert hexed(with_reference(read_job([Item("DB", 1, 2, 4)]), 0x0500)) == (
        "03 00 00 1f 02 f0 80 32 01 00 00 05 00 00 0e 00 00 04 01 12 0a 10 02 00 04 00 01 84 00 00 10"
    )
    assert hexed(write_job([Item("DB", 1, 0, 1, 3)], [b"\1"])) == (
        "03 00 00 24 02 f0 80 32 01 00 00 00 00 00 0e 00 05 05 01 12 0a 10 01 00 01 00 01 84 00 00 03 00 03 00 01 01"
    )
    assert hexed(read_job([Item("T", 0, 10, 4)]))[-35:] == "12 0a 10 1d 00 02 00 00 1d 00 00 05"
    assert hexed(userdata.ask_szl(0x0424, 0)) == (
        "03 00 00 21 02 f0 80 32 07 00 00 00 00 00 08 00 08 00 01 12 04 11 44 01 00 ff 09 00 04 04 24 00 00"
    )


def test_answers_are_taken_apart_item_by_item() -> None:
    reply = bytes.fromhex(
        "0300002902f080 320300000001 0002 0014 0000 0403ff04 0018 010203 00 0a00 0000 ff04 0010 0405".replace(" ", "")
    )
    items = [Item("DB", 1, 0, 3), Item("DB", 2, 0, 1), Item("DB", 3, 0, 2)]
    assert error_of(reply) == 0
    assert list(read_items(reply, items)) == [(0xFF, b"\1\2\3"), (0x0A, b""), (0xFF, b"\4\5")]
    with pytest.raises(Malformed):
        list(read_items(reply, items[:2]))
    with pytest.raises(Malformed):
        list(read_items(reply[:-4], items))
    with pytest.raises(Malformed):
        write_codes(reply, 3)


def test_a_setup_that_grants_nothing_is_no_setup() -> None:
    head = "0300001b02f080 320300000001 0008 0000 0000 f0 00 0001 0001"
    assert setup_reply(bytes.fromhex(head + "00f0")) == 240
    with pytest.raises(Malformed):
        setup_reply(bytes.fromhex(head + "0000"))


def device(**connection: int) -> DeviceConfig:
    return DeviceConfig(path="a/l/d", protocol="s7", connection=dict(connection))


def test_a_run_of_reals_is_one_item_and_a_far_one_another() -> None:
    points = [Point(f"r{at}", f"%DB1:{at * 4}:REAL", "float32") for at in range(50)]
    points += [Point("far", "%DB1:1000:INT", "int16"), Point("m", "%M10.2:BOOL", "bool")]
    (request,) = group(device(), points)
    assert request.text == "read 3 items: DB1 0..199, DB1 1000..1001, M 10"
    (request,) = group(device(max_gap=1000), points)
    assert request.text == "read 3 items: DB1 0..199, DB1 1000..1001, M 10", "no gap is longer than a reply"
    (request,) = group(device(max_gap=1000, pdu=960), [point for point in points if point.name in ("r0", "far")])
    assert request.text == "read 2 items: DB1 0..3, DB1 1000..1001"
    (request,) = group(device(max_gap=32), [points[0], points[9]])
    assert request.text == "read DB1 0..39"


def test_long_runs_are_cut_between_values() -> None:
    points = [Point(f"r{at}", f"%DB1:{2 + at * 4}:REAL", "float32") for at in range(100)]
    assert [one.text for one in group(device(), points)] == ["read DB1 2..221", "read DB1 222..401"]
    assert [one.text for one in group(device(pdu=480), points)] == ["read DB1 2..401"]


def test_nineteen_scattered_values_fill_a_request_of_240_bytes_and_twenty_one_of_480() -> None:
    points = [Point(f"i{at}", f"%DB{at + 1}:0:INT", "int16") for at in range(60)]
    assert [len(one.points) for one in group(device(), points)] == [19, 19, 19, 3]
    assert [len(one.points) for one in group(device(pdu=480), points)] == [20, 20, 20]


def test_a_value_longer_than_a_reply_is_a_request_in_parts() -> None:
    point = Point("s", "%DB1:10:STRING(254)", "string[254]")
    (request,) = group(device(), [point])
    assert request.text == "read DB1 10..265 in 2 parts"
    assert [part.size for part in request.detail.parts(240)] == [222, 34]
    assert [part.size for part in request.detail.parts(480)] == [256]
    assert group(device(pdu=480), [point])[0].text == "read DB1 10..265"


def test_bits_of_one_byte_share_an_item_when_nothing_else_is_joined() -> None:
    points = [Point(f"b{bit}", f"%DB1:{bit // 8}.{bit % 8}:BOOL", "bool") for bit in range(16)]
    (request,) = group(device(), points, fill_gaps=False)
    assert [item.text for item in request.detail.items] == ["DB1 0", "DB1 1"]


def test_bits_are_written_as_bits_and_long_values_end_first() -> None:
    (write,) = plan_write(field_of(Point("b", "%DB1:3.5:BOOL", "bool")), True)
    assert write == (Item("DB", 1, 3, 1, 5), b"\1")
    whole = plan_write(field_of(Point("b", "%DB1:4.0:BOOL[16]", "bool[16]")), [True] + [False] * 15)
    assert whole == [(Item("DB", 1, 4, 2), b"\1\0")]
    writes = plan_write(field_of(Point("s", "%DB1:0:STRING(254)", "string[254]")), "x" * 254)
    assert writes == [(Item("DB", 1, 1, 255), b"\xfe" + b"x" * 254)], "the maximum length stays as it is"
    jobs = jobs_of(writes, 240)
    assert [[write.item.start for write in job] for job in jobs] == [[213], [1]]
    bits = plan_write(field_of(Point("b", "%DB1:0.1:BOOL[13]", "bool[13]")), [True] * 13)
    assert [len(job) for job in jobs_of(bits, 240)] == [12, 1]


def test_refusals_say_what_to_do() -> None:
    assert "OPC UA" in refusal(5, Item("DB", 7, 10, 2))
    assert "OPC UA" in refusal(10, Item("DB", 7, 10, 2))
    assert refusal(5, Item("M", 0, 10, 2)) == "M 10..11: beyond the end of area M"
    assert refusal(0x42, Item("T", 0, 10, 2)) == "T 5: return code 0x42"
    assert "PUT/GET" in job_error(0x8104, "read DB1 0").message
    assert "0x8702" in job_error(0x8702, "read DB1 0").message


def test_plan_knows_the_requests_of_a_device() -> None:
    tags = {f"r{at}": {"type": "float32", "address": f"%DB1:{at * 4}:REAL"} for at in range(100)}
    assert request_count({"path": "a/l/d", "protocol": "s7", "connection": {}, "tags": tags}) == 2


def test_a_gateway_asks_tag_by_tag_in_one_request_before_it_halves() -> None:
    tags = {f"i{at}": TagConfig(type="int16", address=f"%DB1:{at * 2}:INT") for at in range(10)}
    config = DeviceConfig(path="a/l/d", protocol="s7", tags=tags)
    one = device_runtime(config, "digest", DRIVER)
    ((job,),) = one.jobs.values()
    (apart,) = split(one, job, DRIVER)
    assert len(apart.request.detail.items) == 10
    assert [len(part.states) for part in split(one, apart, DRIVER)] == [5, 5]


LAYOUT = DATA / "s7-db-snap7" / "expected_layout_DB1.csv"
PACKED = {"Int": "h", "Real": "f", "Byte": "B", "Word": "H", "DWord": "I", "DInt": "i", "Char": "c"}
TYPES = {"Int": "int16", "Real": "float32", "Byte": "uint8", "Word": "uint16", "DWord": "uint32", "DInt": "int32"}


@pytest.mark.skipif(not LAYOUT.is_file(), reason=f"the layout of a real block is not at {LAYOUT}")
def test_a_real_block_decodes_to_its_start_values() -> None:
    memory, wanted, placed = bytearray(37), [], []
    for row in csv.DictReader(LAYOUT.open(encoding="utf-8")):
        at, kind, start = int(row["byte"]), row["type"], row["start_value"]
        value: Any = int(start[3:], 16) if start.startswith("16#") else start.strip("'")
        if kind == "Bool":
            memory[at] |= (start == "TRUE") << int(row["bit"])
            wanted.append(start == "TRUE")
            point = Point(row["name"], f"%DB1:{at}.{row['bit']}:BOOL", "bool")
        else:
            if kind != "Char":
                value = float(value) if kind == "Real" else int(value)
            struct.pack_into(">" + PACKED[kind], memory, at, value.encode() if kind == "Char" else value)
            wanted.append(pytest.approx(value) if kind == "Real" else value)
            point = Point(row["name"], f"%DB1:{at}:{kind.upper()}", TYPES.get(kind, "string"))
        placed.append((field_of(point), at))
    values, faults = compile_fields(placed)(bytes(memory))
    assert values == wanted
    assert not faults
    assert len(values) == 22
