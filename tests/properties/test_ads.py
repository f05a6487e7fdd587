"""Laws of ADS: decode after encode is identity, garbage never raises anything but the driver's own errors, groups cover
every point once, entries survive their bytes."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.codec import Mismatch, compile_codec, holds, shape_for
from nexus_cli.drivers.ads.groups import GUARDS, group
from nexus_cli.drivers.ads.kind import PLC_TYPES
from nexus_cli.drivers.ads.plctypes import ELEMENTARY, Resolver, Shape, UnknownType, array_of, shape_by_name
from nexus_cli.drivers.ads.simulator.types import follow, structure
from nexus_cli.drivers.ads.symbol_table import (
    EntryError,
    SymbolEntry,
    TypeEntry,
    read_symbol,
    read_type,
    write_symbol,
    write_type,
)
from nexus_cli.drivers.base import DriverError, Point, Scope
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type

NUMBERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
CP1252 = [bytes((code,)).decode("cp1252", "ignore") for code in range(1, 256)]
PLAIN = st.text(st.sampled_from([one for one in CP1252 if one]), max_size=20)
WIDE = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
MOMENTS = st.integers(0, 2**32 - 1)


def scalar(base: str) -> st.SearchStrategy[Any]:
    if base in NUMBERS:
        return st.integers(*INTEGER_BOUNDS[base])
    if base == "bool":
        return st.booleans()
    return st.floats(allow_nan=False, allow_infinity=False, width=32 if base == "float32" else 64)


@st.composite
def declared_and_value(draw: st.DrawFn) -> tuple[DataType, Shape, Any]:
    """A type over its natural one of the PLC, and a value that it can hold."""
    base = draw(st.sampled_from([*NUMBERS, "bool", "float32", "float64", "string", "duration", "datetime"]))
    if base == "string":
        plc_type = draw(st.sampled_from(["STRING", "WSTRING"]))
        encoding = draw(st.sampled_from(["", "utf-8"])) if plc_type == "STRING" else ""
        text = draw(PLAIN if plc_type == "STRING" and not encoding else WIDE)
        declared = DataType("string", length=100)
        return declared, shape_for(declared, plc_type, encoding), text
    if base == "duration":
        declared = DataType("duration")
        if draw(st.booleans()):
            return declared, shape_for(declared, draw(st.sampled_from(["TIME", "TOD"]))), draw(MOMENTS)
        return declared, shape_for(declared, "LTIME"), draw(st.integers(0, 2**52)) / 1_000_000
    if base == "datetime":
        declared = DataType("datetime")
        if draw(st.booleans()):
            value = compile_codec(declared, shape_for(declared, "DT")).decode(struct.pack("<I", draw(MOMENTS)))
            return declared, shape_for(declared, draw(st.sampled_from(["DT", "DATE"]))), value
        raw = struct.pack("<Q", draw(st.integers(0, 2**64 // 1000 - 1)) * 1000)
        value = compile_codec(declared, shape_for(declared, "LDT")).decode(raw)
        return declared, shape_for(declared, "LDT"), value
    if draw(st.booleans()):
        items = draw(st.lists(scalar(base), min_size=1, max_size=6))
        declared = DataType(base, count=len(items))
        return declared, shape_for(declared), items
    return DataType(base), shape_for(DataType(base)), draw(scalar(base))


@given(declared_and_value())
def test_decode_after_encode_is_identity(case: tuple[DataType, Shape, Any]) -> None:
    declared, shape, value = case
    codec = compile_codec(declared, shape)
    raw = codec.encode(value)
    assert len(raw) == codec.size == shape.size
    assert codec.decode(raw) == value


@given(st.binary(max_size=40), st.sampled_from(["cp1252", "utf-8", "utf-16-le"]))
def test_any_bytes_are_a_text_or_no_text(raw: bytes, encoding: str) -> None:
    codec = compile_codec(DataType("string"), Shape("STRING", len(raw), text=encoding))
    with contextlib.suppress(ValueError):
        text = codec.decode(raw)
        assert isinstance(text, str)
        if encoding == "cp1252":
            back = codec.encode(text) if len(text) < len(raw) else raw
            assert back.partition(b"\0")[0] == raw.partition(b"\0")[0]


@given(
    st.sampled_from(sorted(ELEMENTARY)), st.sampled_from([*NUMBERS, "bool", "float32", "float64", "string"]), st.data()
)
def test_a_type_that_fits_can_hold_every_value(name: str, declared: str, data: st.DataObject) -> None:
    base = ELEMENTARY[name]
    shape = shape_by_name(name)
    if not holds(declared, base):
        with pytest.raises(Mismatch):
            compile_codec(parse_type(declared), shape)
        return
    value = compile_codec(parse_type(declared), shape).decode(
        data.draw(st.binary(min_size=base.size, max_size=base.size))
    )
    if declared in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[declared]
        assert isinstance(value, int)
        assert low <= value <= high


@given(
    st.sampled_from(["int16", "float32", "bool", "string[5]", "datetime", "duration", "int32[2]", "json"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.lists(st.integers()),
        st.dictionaries(st.text(), st.integers()),
    ),
)
def test_any_value_is_encoded_or_refused(type_name: str, value: Any) -> None:
    declared = parse_type(type_name)
    shape = structure("ST", {"a": shape_by_name("INT")}) if declared.base == "json" else shape_for(declared)
    codec = compile_codec(declared, shape)
    try:
        raw = codec.encode(value)
    except EncodeError:
        return
    assert len(raw) == shape.size


def test_the_kind_knows_the_types_that_fit() -> None:
    for name, fitting in PLC_TYPES.items():
        if name in ("STRING", "WSTRING"):
            continue
        for declared in [*NUMBERS, "bool", "float32", "float64", "duration", "datetime"]:
            assert (declared in fitting) is holds(declared, ELEMENTARY[name]), (name, declared)


FRAMES = st.lists(
    st.tuples(st.binary(min_size=8, max_size=8), st.integers(1, 9), st.integers(0, 2**32 - 1), st.binary(max_size=60)),
    max_size=6,
)


@given(FRAMES, st.data())
def test_frames_survive_any_cut(frames: list[tuple[bytes, int, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(
        frame.pack(target=address, source=address, command=command, flags=5, invoke_id=number, data=body)
        for address, command, number, body in frames
    )
    parser, found = frame.FrameParser(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += parser.feed(stream[:size])
        stream = stream[size:]
    assert [(one.target, one.command, one.invoke_id, one.data) for one in found] == frames


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_garbage_raises_only_driver_errors(chunks: list[bytes]) -> None:
    parser = frame.FrameParser(limit_bytes=1 << 16)
    try:
        for chunk in chunks:
            for one in parser.feed(chunk):
                frame.samples_of(one.data)
    except DriverError as error:
        assert error.scope is Scope.SESSION


@given(st.binary(max_size=300))
def test_any_notification_is_read_or_refused(body: bytes) -> None:
    try:
        samples = frame.samples_of(body)
    except DriverError as error:
        assert error.scope is Scope.SESSION
        return
    assert sum(len(one.data) + 8 for one in samples) <= len(body)


@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_entry_is_read_or_refused(data: bytes, length: int) -> None:
    for raw in (data, struct.pack("<I", length) + data):
        for read in (read_symbol, read_type):
            try:
                _, end = read(raw)
            except EntryError:
                continue
            assert 0 < end <= len(raw)


NAMES = st.text("abcXYZ_019. [](),", min_size=1, max_size=20)


@given(NAMES, NAMES, st.text("abc äöü", max_size=12), st.lists(st.tuples(NAMES, NAMES), max_size=3))
def test_a_symbol_survives_its_bytes(
    name: str, type_name: str, comment: str, attributes: list[tuple[str, str]]
) -> None:
    entry = SymbolEntry(
        name=name, type_name=type_name, comment=comment, group=0x4040, offset=7, size=4, ads=3,
        flags=0x1000 if attributes else 0, attributes=tuple(attributes),
    )  # fmt: skip
    raw = write_symbol(entry)
    assert read_symbol(raw + b"rest") == (entry, len(raw))


def types(depth: int) -> st.SearchStrategy[TypeEntry]:
    below = st.lists(types(depth - 1), max_size=3).map(tuple) if depth else st.just(())
    return st.builds(
        lambda name, comment, members, bounds: TypeEntry(
            name=name, type_name="INT", comment=comment, size=2, ads=2, flags=1, members=members, bounds=tuple(bounds)
        ),
        NAMES,
        NAMES,
        below,
        st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 9)), max_size=3),
    )


@given(types(2))
def test_a_type_survives_its_bytes(entry: TypeEntry) -> None:
    raw = write_type(entry)
    assert read_type(raw + b"rest") == (entry, len(raw))


@given(st.text("ARYOF []().,-STINGW0123456789 x", max_size=40), st.integers(0, 70), st.integers(0, 200))
def test_any_type_name_has_a_shape_or_none(name: str, ads: int, size: int) -> None:
    with contextlib.suppress(ValueError, UnknownType):
        shape = Resolver({}).shape(name, ads, size)
        assert shape.size == size


def test_types_that_hold_themselves_end() -> None:
    entry = TypeEntry(name="A", type_name="A2", size=4, ads=65)
    back = TypeEntry(name="A2", type_name="A", size=4, ads=65)
    member = TypeEntry(name="m", type_name="S", size=4, ads=65)
    own = TypeEntry(name="S", type_name="", size=4, ads=65, members=(member,))
    for name in ("A", "S"):
        with pytest.raises(ValueError):
            Resolver({"A": entry, "A2": back, "S": own}).shape(name, 65, 4)


@given(st.integers(1, 1200), st.one_of(st.none(), st.integers(4, 500)))
def test_groups_cover_every_point_once_and_keep_the_limit(count: int, limit: int | None) -> None:
    points = [Point(f"t{at}", f"MAIN.t{at}", "int16") for at in range(count)]
    config = DeviceConfig(path="a/l/d", protocol="ads", connection={"max_read": limit} if limit else {})
    requests = group(config, points)
    assert [point for request in requests for point in request.points] == points
    assert all(len(request.points) + GUARDS <= (limit or 500) for request in requests)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4)), min_size=1, max_size=3))
def test_elements_lie_row_by_row(bounds: list[tuple[int, int]]) -> None:
    shape = shape_by_name("INT")
    total = 1
    for _, count in bounds:
        total *= count
    whole = Shape("ARRAY", 2 * total, element=shape, bounds=tuple(bounds))
    indices: list[tuple[int, ...]] = [()]
    for low, count in bounds:
        indices = [(*index, at) for index in indices for at in range(low, low + count)]
    assert [follow(whole, [index])[0] for index in indices] == list(range(0, 2 * total, 2))
    raw = struct.pack(f"<{total}h", *range(total))
    assert compile_codec(DataType("int16", count=total), whole).decode(raw) == list(range(total))
    nested: Any = compile_codec(DataType("json"), whole).decode(raw)
    for _ in bounds[1:]:
        nested = [one for row in nested for one in row]
    assert nested == list(range(total))
    assert compile_codec(DataType("json"), whole).encode(compile_codec(DataType("json"), whole).decode(raw)) == raw


def test_an_array_of_arrays_is_read_flat_and_nested() -> None:
    whole = array_of(array_of(shape_by_name("INT"), 2), 3)
    raw = struct.pack("<6h", *range(6))
    assert compile_codec(DataType("int16", count=6), whole).decode(raw) == [0, 1, 2, 3, 4, 5]
    codec = compile_codec(DataType("json"), whole)
    assert codec.decode(raw) == [[0, 1], [2, 3], [4, 5]]
    assert codec.encode([[0, 1], [2, 3], [4, 5]]) == raw
    again = Resolver({}).shape("ARRAY [0..2] OF ARRAY [0..1] OF INT", 2, 12)
    assert compile_codec(DataType("json"), again).decode(raw) == [[0, 1], [2, 3], [4, 5]]
