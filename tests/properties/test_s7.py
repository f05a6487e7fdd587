"""Laws of the S7 codec, of grouping, and of what crosses the wire."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.s7 import pdu as wire
from nexus_cli.drivers.s7 import userdata
from nexus_cli.drivers.s7.codec import compile_fields
from nexus_cli.drivers.s7.datetimes import text_of
from nexus_cli.drivers.s7.encode import encode_bits, encode_bytes
from nexus_cli.drivers.s7.field import Field, field_of
from nexus_cli.drivers.s7.groups import Block, group, group_points
from nexus_cli.drivers.s7.pdu import FRAME_HEADER, MAX_ITEMS, Item, Malformed
from nexus_cli.drivers.s7.simulator.process_image import Image
from nexus_cli.drivers.s7.simulator.responder import Cpu
from nexus_cli.drivers.s7.strings import narrow_from
from nexus_cli.drivers.s7.writing import jobs_of, plan_write
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Value
from tests.same_numbers import same_numbers

NUMBERS = {
    "BYTE": ("uint8", "int8"),
    "CHAR": ("uint8",),
    "SINT": ("int8",),
    "USINT": ("uint8",),
    "WORD": ("uint16", "int16"),
    "INT": ("int16",),
    "UINT": ("uint16",),
    "DATE": ("uint16",),
    "S5TIME": ("uint16",),
    "DWORD": ("uint32", "int32", "float32"),
    "DINT": ("int32",),
    "UDINT": ("uint32",),
    "REAL": ("float32",),
    "TIME": ("int32",),
    "LWORD": ("uint64", "int64", "float64"),
    "LINT": ("int64",),
    "ULINT": ("uint64",),
    "LREAL": ("float64",),
    "LDT": ("int64",),
}
NARROW = st.text(st.sampled_from([narrow_from(bytes((byte,))) for byte in range(256)]), max_size=12)
WIDE = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",)), max_size=12)
PDUS = st.sampled_from([240, 480, 960])


def moment(first: datetime, last: datetime, *, step_ns: int) -> st.SearchStrategy[str]:
    """ISO texts between two moments, in steps."""
    seconds = int((last - first).total_seconds())
    return st.builds(
        lambda second, part: text_of(first + timedelta(seconds=second), part * step_ns),
        st.integers(0, seconds),
        st.integers(0, 1_000_000_000 // step_ns - 1),
    )


def at(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


SPECIAL: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "DATE": ("datetime", st.dates(at(1990).date(), at(2168).date()).map(lambda day: f"{day}T00:00:00Z")),
    "DT": ("datetime", moment(at(1990), at(2089, 12, 31), step_ns=1_000_000)),
    "DTL": ("datetime", moment(at(1970), at(2262), step_ns=1)),
    "LDT": ("datetime", moment(at(1678), at(2262), step_ns=1)),
    "TIME": ("duration", st.integers(-(2**31), 2**31 - 1)),
    "TOD": ("duration", st.integers(0, 86_399_999)),
    "LTIME": ("duration", st.integers(-(2**50), 2**50).map(lambda ns: ns / 1_000_000)),
    "LTOD": ("duration", st.integers(0, 86_399_999_999_999).map(lambda ns: ns / 1_000_000)),
    "BCD8": ("uint8", st.integers(0, 99)),
    "BCD16": ("int16", st.integers(-999, 999)),
    "BCD32": ("uint32", st.integers(0, 99_999_999)),
    "S5TIME": (
        "duration",
        st.tuples(st.sampled_from([10, 100, 1000, 10000]), st.integers(0, 999)).map(lambda p: p[0] * p[1]),
    ),
    "COUNTER": ("uint16", st.integers(0, 999)),
}


@st.composite
def point_and_value(draw: st.DrawFn) -> tuple[Point, Value]:
    """A point of any type, and a value that it can hold."""
    place = f"%DB{draw(st.integers(1, 3))}:{draw(st.integers(0, 300))}"
    kind = draw(st.sampled_from(["number", "number", "special", "BOOL", "STRING", "WSTRING", "CHAR", "WCHAR"]))
    many = draw(st.integers(0, 4)) == 0
    if kind == "BOOL":
        bit = draw(st.integers(0, 7))
        if many:
            bits = draw(st.lists(st.booleans(), min_size=1, max_size=20))
            return Point("p", f"{place}.{bit}:BOOL[{len(bits)}]", f"bool[{len(bits)}]"), bits
        return Point("p", f"{place}.{bit}:BOOL", "bool"), draw(st.booleans())
    if kind in ("STRING", "WSTRING"):
        text = (NARROW if kind == "STRING" else WIDE).filter(lambda one: not one.endswith("\0"))
        if many:
            texts = draw(st.lists(text, min_size=1, max_size=4))
            return Point("p", f"{place}:{kind}(13)[{len(texts)}]", f"string[13][{len(texts)}]"), texts
        length = draw(st.integers(12, 254))
        return Point("p", f"{place}:{kind}({length})", f"string[{length}]"), draw(text)
    if kind in ("CHAR", "WCHAR"):
        text = draw(NARROW if kind == "CHAR" else WIDE).replace("\0", "").rstrip(" \xff\uffff")
        return Point("p", f"{place}:{kind}[12]", "string[12]"), text
    if kind == "special":
        s7_type = draw(st.sampled_from(sorted(SPECIAL)))
        base, single = SPECIAL[s7_type]
    else:
        s7_type = draw(st.sampled_from(sorted(NUMBERS)))
        base = draw(st.sampled_from(NUMBERS[s7_type]))
        width = {"float32": 32, "float64": 64}.get(base, 0)
        single = st.floats(width=width, allow_nan=False) if width else st.integers(*INTEGER_BOUNDS[base])
    if many:
        items = draw(st.lists(single, min_size=1, max_size=5))
        return Point("p", f"{place}:{s7_type}[{len(items)}]", f"{base}[{len(items)}]"), items
    return Point("p", f"{place}:{s7_type}", base), draw(single)


def written(field: Field, value: Value, before: bytes) -> bytes:
    """The bytes of a field after a write."""
    if field.type != "BOOL":
        return encode_bytes(field, value)
    raw = bytearray(before[: field.size])
    for number, on in enumerate(encode_bits(field, value)):
        byte, bit = divmod(field.bit + number, 8)
        raw[byte] = raw[byte] | 1 << bit if on else raw[byte] & ~(1 << bit)
    return bytes(raw)


@given(point_and_value(), st.binary(min_size=4, max_size=4))
def test_what_is_encoded_decodes_to_itself(pair: tuple[Point, Value], before: bytes) -> None:
    point, value = pair
    field = field_of(point)
    raw = written(field, value, before)
    assert len(raw) == field.size
    assert compile_fields([(field, 0)])(raw) == ([value], {})


@given(st.lists(point_and_value(), min_size=1, max_size=10), st.binary(min_size=1200, max_size=1200))
def test_a_value_decodes_the_same_alone_and_in_a_block(pairs: list[tuple[Point, Value]], block: bytes) -> None:
    fields = [field_of(point) for point, _ in pairs]
    together, faults = compile_fields([(field, field.start) for field in fields])(block)
    for place, (field, found) in enumerate(zip(fields, together, strict=True)):
        (alone,), alone_faults = compile_fields([(field, 0)])(block[field.start : field.end])
        assert repr(found) == repr(alone)
        assert (place in faults) == bool(alone_faults)


@st.composite
def many_points(draw: st.DrawFn) -> list[Point]:
    """Points of all areas, crowded enough that joining, gaps and overlaps happen; some longer than any PDU."""
    points = []
    for number in range(draw(st.integers(0, 40))):
        area = draw(st.sampled_from(["DB1:", "DB2:", "DB7:", "M", "I", "Q", "T", "C"]))
        start = draw(st.integers(0, 900))
        if area in ("T", "C"):
            kind, base = ("TIMER", "duration") if area == "T" else ("COUNTER", "uint16")
            points.append(Point(f"p{number}", f"%{area}{start}:{kind}", base))
            continue
        suffix, base = draw(
            st.sampled_from(
                [
                    (".3:BOOL", "bool"),
                    (":INT", "int16"),
                    (":REAL", "float32"),
                    (":LREAL", "float64"),
                    (":DTL", "datetime"),
                    (":STRING(254)", "string[254]"),
                    (":REAL[300]", "float32[300]"),
                    (":BYTE[7]", "uint8[7]"),
                ]
            )
        )
        points.append(Point(f"p{number}", f"%{area}{start}{suffix}", base))
    return points


@given(many_points(), PDUS, st.integers(0, 60), st.booleans())
def test_groups_cover_every_point_once_and_keep_the_pdu(
    points: list[Point], pdu: int, max_gap: int, fill_gaps: bool
) -> None:
    device = DeviceConfig(path="a/l/d", protocol="s7", connection={"pdu": pdu, "max_gap": max_gap})
    requests = group(device, points, fill_gaps=fill_gaps)
    assert sorted(point.name for request in requests for point in request.points) == sorted(p.name for p in points)
    for request in requests:
        block: Block = request.detail
        assert tuple(field_of(point) for point in request.points) == block.fields
        if block.long:
            parts = block.parts(pdu)
            assert sum(part.size for part in parts) == block.items[0].size
            assert all(wire.read_reply_size([part.size]) <= pdu for part in parts)
        else:
            frame, _ = block.whole()
            assert len(frame.items) <= MAX_ITEMS
            assert len(frame.template) - FRAME_HEADER <= pdu
            assert frame.reply_size - FRAME_HEADER <= pdu
        for number, item in enumerate(block.items):
            fields = [field for field, span in zip(block.fields, block.spans, strict=True) if span == number]
            assert {field.place for field in fields} == {(item.area, item.db)}
            assert min(field.start for field in fields) == item.start
            assert max(field.end for field in fields) == item.start + item.size
            covered = {byte for field in fields for byte in range(field.start, field.end)}
            hole = 0
            for byte in range(item.start, item.start + item.size):
                hole = 0 if byte in covered else hole + 1
                assert hole <= (max_gap if fill_gaps else 0)
            assert fill_gaps or block.alone(number)
    again = group(device, list(reversed(points)), fill_gaps=fill_gaps)
    assert [(one.points, one.text) for one in again] == [(one.points, one.text) for one in requests]


@given(st.lists(point_and_value(), min_size=1, max_size=30), PDUS, st.integers(0, 60))
def test_a_cpu_answers_what_it_holds_and_the_quick_way_reads_the_same(
    pairs: list[tuple[Point, Value]], pdu: int, gap: int
) -> None:
    image, points = Image(), []
    for number, (point, value) in enumerate(pairs):
        named = Point(f"p{number}", point.address, point.type)
        points.append(named)
        image.add(named.name, named, lambda _t_s, value=value: value)  # type: ignore[misc]
        image.hold(named.name, value)
    cpu = Cpu(image, pdu=pdu)
    for request in group_points("a/l/d", points, pdu=pdu, gap=gap):
        block: Block = request.detail
        if block.long:
            continue
        frame, decode = block.whole()
        reply, _ = cpu.answer(frame.template[FRAME_HEADER:], granted=pdu, t_s=0.0)
        assert reply is not None
        assert len(reply) == frame.reply_size
        assert frame.heads(reply) == frame.good
        result = decode(reply)
        values, faults = list(result.values), result.faults
        answers = list(wire.read_items(reply, block.items))
        assert {code for code, _ in answers} == {wire.OK}
        slow = block.image()(b"".join(raw for _, raw in answers))
        assert repr((values, faults)) == repr(slow)
        if result.numbers is not None:
            same_numbers(result.numbers, values)
        for point, value in zip(request.points, values, strict=True):
            assert repr(value) == repr(image.value(point.name, t_s=0.0))


@given(point_and_value(), PDUS)
def test_writes_keep_the_pdu_and_are_read_back(pair: tuple[Point, Value], pdu: int) -> None:
    point, value = pair
    image = Image()
    image.add("p", point, lambda _t_s: value)
    space, cell = image.cell("p")
    cell.signal = None
    field = field_of(point)
    if field.type not in ("STRING", "WSTRING"):  # their maximum length stays: it must be there
        space.memory[:] = bytes(len(space.memory))
    cpu = Cpu(image, pdu=pdu)
    for job in jobs_of(plan_write(field, value), pdu):
        template = wire.write_job([write.item for write in job], [write.data for write in job])
        assert len(template) - FRAME_HEADER <= pdu
        reply, _ = cpu.answer(template[FRAME_HEADER:], granted=pdu, t_s=0.0)
        assert reply is not None
        assert set(wire.write_codes(reply, len(job))) == {wire.OK}
    assert image.value("p", t_s=0.0) == value


@given(st.binary(max_size=80), st.integers(1, 5))
def test_what_comes_is_read_or_refused(reply: bytes, count: int) -> None:
    items = [Item("DB", 1, 0, 4)] * count
    frame = b"\x03\0\0\0\x02\xf0\x80" + reply
    with contextlib.suppress(Malformed):
        assert len(list(wire.read_items(frame, items))) == count
    for read in (wire.error_of, wire.setup_reply, userdata.answer):
        with contextlib.suppress(Malformed):
            read(frame)
    with contextlib.suppress(Malformed):
        wire.write_codes(frame, count)
    for parse in (userdata.identity_of, userdata.order_code_of, userdata.protection_of, userdata.state_of):
        parse(reply)
    for take in (userdata.counts_of, userdata.numbers_of, userdata.block_of):
        take(reply)


@given(st.binary(max_size=80), st.sampled_from([b"", b"\x32\x01", b"\x32\x07", b"\x32\x01\0\0\0\1\0\x0e\0\0\x04\x01"]))
def test_a_simulated_cpu_answers_any_bytes(body: bytes, head: bytes) -> None:
    image = Image()
    image.add("t", Point("t", "%DB1:0:INT", "int16"), lambda _t_s: 1)
    reply, _ = Cpu(image, pdu=240).answer(head + body, granted=240, t_s=0.0)
    assert reply is None or 17 <= len(reply) <= 240 + FRAME_HEADER


@given(st.sampled_from(sorted(SPECIAL)), st.text(max_size=20), st.floats(), st.integers())
def test_what_can_not_be_written_is_refused_as_such(s7_type: str, text: str, number: float, whole: int) -> None:
    base, _ = SPECIAL[s7_type]
    field = field_of(Point("p", f"%DB1:0:{s7_type}", base))
    for value in (text, number, whole, None, [], True):
        with contextlib.suppress(EncodeError):
            assert len(encode_bytes(field, value)) == field.size
