"""A request's column of doubles is what the decoder of single points makes of the same answer."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.ads.codec import compile_codec, shape_for
from nexus_cli.drivers.ads.read_plan import places_of
from nexus_cli.drivers.base import Point
from nexus_cli.drivers.columns import LEAST, Place, compile_columns
from nexus_cli.drivers.fixed_layout import SIZES
from nexus_cli.drivers.modbus.codec import compile_registers
from nexus_cli.drivers.modbus.field import field_of as modbus_field
from nexus_cli.drivers.modbus.groups import group as modbus_group
from nexus_cli.drivers.modbus.order import ORDERS_16, ORDERS_32, ORDERS_64
from nexus_cli.drivers.opcua.codec import EPOCH_TICKS, SCALARS, read_data_value
from nexus_cli.drivers.opcua.layout import layout_of
from nexus_cli.drivers.opcua.values import converter, kinds_of
from nexus_cli.drivers.s7.codec import compile_fields, compile_numbers
from nexus_cli.drivers.s7.field import field_of as s7_field
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import parse_type
from tests.same_numbers import same_numbers

ORDERS = {1: ORDERS_16, 2: ORDERS_16, 4: ORDERS_32, 8: ORDERS_64}
NUMBERS = sorted(set(SIZES) - {"int64", "uint64"})
COUNT = st.integers(LEAST, 40)


@st.composite
def modbus_points(draw: st.DrawFn, *, types: tuple[str, ...] = (*NUMBERS, "bool")) -> list[Point]:
    """Numbers and bits of registers, in any order of bytes; they may overlap, and often lie in a row."""
    points = []
    start, kind, order = 0, "", ""
    for number in range(draw(COUNT)):
        if not kind or draw(st.integers(0, 3)) == 0:
            start, kind = draw(st.integers(0, 60)), draw(st.sampled_from(types))
            order = draw(st.sampled_from(ORDERS[SIZES.get(kind, 2)]))
        options: dict[str, Any] = {"order": order}
        address = f"holding:{start % 90}"
        if kind == "bool":
            address += f".{draw(st.integers(0, 15))}"
        elif SIZES[kind] == 1 and draw(st.booleans()):
            options["byte"] = "high"
        points.append(Point(f"p{number}", address, kind, options))
        start += max(1, SIZES.get(kind, 2) // 2)
    return points


@given(modbus_points(), st.binary(min_size=260, max_size=260))
def test_modbus_registers(points: list[Point], memory: bytes) -> None:
    device = DeviceConfig(path="a/l/d", protocol="modbus", connection={"host": "h"}, tags={})
    for request in modbus_group(device, points):
        block = request.detail
        raw = memory[block.start * 2 :][: block.count * 2]
        found = block.decode(raw)
        plain, faults = compile_registers(tuple(modbus_field(point) for point in request.points), block.start)(raw)
        assert repr(list(found.values)) == repr(plain) and not faults and not found.faults
        assert (found.numbers is not None) == (len(plain) >= LEAST)
        if found.numbers is not None:
            same_numbers(found.numbers, plain)


@given(st.lists(st.integers(0, 300), min_size=LEAST, max_size=60), st.binary(min_size=40, max_size=40))
def test_modbus_bits(places: list[int], memory: bytes) -> None:
    device = DeviceConfig(path="a/l/d", protocol="modbus", connection={"host": "h"}, tags={})
    points = [Point(f"p{number}", f"coil:{at}", "bool") for number, at in enumerate(places)]
    (request,) = modbus_group(device, points)
    block = request.detail
    found = block.decode(memory)
    packed = int.from_bytes(memory, "little")
    wanted = [bool(packed >> int(point.address.split(":")[1]) - block.start & 1) for point in request.points]
    assert list(found.values) == wanted and all(type(one) is bool for one in found.values)
    assert found.numbers is not None
    same_numbers(found.numbers, wanted)


@given(modbus_points(types=("int16", "uint32", "float32")), st.integers(0, 39), st.integers(0, 3))
def test_modbus_points_that_are_more_than_a_number_are_decoded_one_by_one(
    points: list[Point], which: int, what: int
) -> None:
    at = which % len(points)
    options = ({"none": [7]}, {"scale_from": "holding:3", "raw_type": "int16"}, {}, {})[what]
    kind = ("uint16", "float64", "int64", "string[4]")[what]
    points[at] = Point(points[at].name, points[at].address.split(".")[0], kind, options)
    device = DeviceConfig(path="a/l/d", protocol="modbus", connection={"host": "h"}, tags={})
    for request in modbus_group(device, points):
        if points[at] in request.points:
            assert request.detail.numbers is None


S7_TYPES = {
    "BOOL": "bool",
    "BYTE": "uint8",
    "SINT": "int8",
    "WORD": "uint16",
    "INT": "int16",
    "DWORD": "uint32",
    "DINT": "int32",
    "REAL": "float32",
    "LREAL": "float64",
    "TIME": "duration",
}


@given(st.lists(st.tuples(st.sampled_from(sorted(S7_TYPES)), st.integers(0, 90), st.integers(0, 7)), min_size=LEAST))
def test_s7_fields(found: list[tuple[str, int, int]]) -> None:
    memory = bytes(number * 37 % 256 for number in range(128))
    placed = []
    for number, (kind, at, bit) in enumerate(found):
        address = f"%DB1:{at}.{bit}:BOOL" if kind == "BOOL" else f"%DB1:{at}:{kind}"
        placed.append((s7_field(Point(f"p{number}", address, S7_TYPES[kind])), at))
    values, faults = compile_fields(placed)(memory)
    columns = compile_numbers(placed)
    assert columns is not None and not faults
    same_numbers(columns(memory), values)


DECLARED = {
    "BOOL": "bool",
    "SINT": "int8",
    "USINT": "uint8",
    "INT": "int16",
    "UINT": "uint16",
    "DINT": "int32",
    "UDINT": "uint32",
    "REAL": "float32",
    "LREAL": "float64",
}


@given(st.lists(st.sampled_from(sorted(DECLARED)), min_size=LEAST, max_size=60), st.integers(0, 40), st.data())
def test_ads_symbols(types: list[str], start: int, data: st.DataObject) -> None:
    codecs = [compile_codec(parse_type(DECLARED[one]), shape_for(parse_type(DECLARED[one]), one)) for one in types]
    size = start + sum(codec.size for codec in codecs)
    answer = data.draw(st.binary(min_size=size, max_size=size))
    columns = compile_columns(places_of(codecs, start))
    assert columns is not None
    same_numbers(columns(answer), struct.unpack_from("<" + "".join(codec.code for codec in codecs), answer, start))


def test_what_a_double_does_not_hold_and_few_points_have_no_column() -> None:
    one = Place("f", (0, 1, 2, 3))
    assert compile_columns([one] * LEAST) is not None
    assert compile_columns([one] * (LEAST - 1)) is None
    assert compile_columns([*[one] * LEAST, Place("q", tuple(range(8)))]) is None
    assert compile_columns([*[one] * LEAST, None]) is None


def test_a_column_is_the_takers_own() -> None:
    columns = compile_columns([Place("d", tuple(range(at + 7, at - 1, -1))) for at in range(0, 8 * LEAST, 8)])
    assert columns is not None
    answer = struct.pack(f"<{LEAST}d", *range(LEAST))
    first = columns(answer)
    first[:] = 0
    assert columns(answer).tolist() == list(range(LEAST))


OPCUA_BASES = {"bool": 1, "int8": 2, "uint8": 3, "int16": 4, "uint16": 5, "int32": 6, "uint32": 7, "float32": 10}
OPCUA_BASES |= {"float64": 11}


def opcua_answer(bases: list[str], raws: bytes, *, timed: bool, statuses: tuple[int, ...] = ()) -> bytes:
    """An answer to Read with these values, whose bytes are cut from `raws`."""
    out = struct.pack("<i", len(bases))
    at = 0
    for number, base in enumerate(bases):
        kind = OPCUA_BASES[base]
        size = SCALARS[kind].size
        bad = number in statuses
        out += bytes((1 | 4 * timed | 2 * bad, kind)) + raws[at : at + size]
        out += struct.pack("<I", 0x80000000) if bad else b""
        out += struct.pack("<q", EPOCH_TICKS + int.from_bytes(raws[at : at + 6], "little")) if timed else b""
        at += size
    return out + struct.pack("<i", -1)


@given(
    st.lists(st.sampled_from(sorted(OPCUA_BASES)), min_size=LEAST, max_size=50),
    st.booleans(),
    st.integers(0, 49),
    st.data(),
)
def test_opcua_answers(bases: list[str], timed: bool, which: int, data: st.DataObject) -> None:
    size = 8 * len(bases)
    first, second = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    points = [Point(f"p{number}", f"s={number}", base) for number, base in enumerate(bases)]
    kinds = kinds_of(points)
    assert kinds is not None
    layout = layout_of(opcua_answer(bases, first, timed=timed), kinds)
    assert layout is not None
    answer = opcua_answer(bases, second, timed=timed)
    taken = layout.take(memoryview(answer))
    values, times, at = [], [], 4
    for point in points:
        found, at = read_data_value(answer, at)
        values.append(converter(point.type)(found))
        times.append(found.source_us)
    assert taken is not None
    same_numbers(taken[0], values)  # type: ignore[arg-type]
    assert taken[1] == (times if timed else None)
    place = which % len(bases)
    assert layout.take(memoryview(opcua_answer(bases, second, timed=timed, statuses=(place,)))) is None
    assert layout.take(memoryview(opcua_answer(bases[:-1], second, timed=timed))) is None
    other = "float64" if bases[place] == "float32" else "float32"
    assert (
        layout.take(memoryview(opcua_answer([*bases[:place], other, *bases[place + 1 :]], second, timed=timed))) is None
    )
    assert layout.take(memoryview(answer)[: len(answer) // 2]) is None
    assert layout_of(answer[: len(answer) // 2], kinds) is None
    assert layout_of(opcua_answer(bases, second, timed=timed, statuses=(place,)), kinds) is None
