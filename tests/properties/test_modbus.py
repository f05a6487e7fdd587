"""Laws of the Modbus codec and of grouping."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import SIZES, STRUCT_CODES
from nexus_cli.drivers.modbus.address import parse_address
from nexus_cli.drivers.modbus.codec import compile_registers
from nexus_cli.drivers.modbus.encode import encode_registers, half_masks, is_partial
from nexus_cli.drivers.modbus.field import Field, field_of
from nexus_cli.drivers.modbus.groups import BITS_PER_REGISTER, FUNCTIONS, group
from nexus_cli.drivers.modbus.order import ORDERS_16, ORDERS_32, ORDERS_64
from nexus_cli.drivers.modbus.simulator.memory import Unit
from nexus_cli.drivers.s7.address import parse_address as parse_s7
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.wire.sample import Value

ORDERS = {1: ORDERS_16, 2: ORDERS_16, 4: ORDERS_32, 8: ORDERS_64}
LETTERS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@st.composite
def point_and_value(draw: st.DrawFn) -> tuple[Point, Value]:
    """A point of any type, and a value that it can hold."""
    base = draw(st.sampled_from([*SIZES, "string", "bool"]))
    start = draw(st.integers(0, 400))
    if base == "bool":
        bit = draw(st.integers(0, 15))
        return Point("p", f"holding:{start}.{bit}", "bool", _order(draw, 2)), draw(st.booleans())
    if base == "string":
        text = draw(LETTERS).rstrip(" ")
        length = max(1, len(text.encode())) + draw(st.integers(0, 3))
        layout = draw(st.sampled_from(["high-first", "low-first", "high-byte", "low-byte"]))
        return Point("p", f"holding:{start}", f"string[{length}]", {"layout": layout}), text
    size = SIZES[base]
    single = (
        st.integers(*INTEGER_BOUNDS[base]) if base in INTEGER_BOUNDS else st.floats(width=size * 8, allow_nan=False)
    )
    options = _order(draw, size)
    if draw(st.booleans()):
        items = draw(st.lists(single, min_size=1, max_size=5))
        return Point("p", f"holding:{start}", f"{base}[{len(items)}]", options), items
    if size == 1 and draw(st.booleans()):
        options["byte"] = "high"
    return Point("p", f"holding:{start}", base, options), draw(single)


def _order(draw: st.DrawFn, size: int) -> dict[str, Any]:
    order = draw(st.sampled_from(ORDERS[size]))
    return {"order": order}


def written(field: Field, value: Value, before: bytes) -> bytes:
    """The registers of a field after a write."""
    if not is_partial(field):
        return encode_registers(field, value)
    and_mask, or_mask = half_masks(field, value)
    current = int.from_bytes(before[:2], "big")
    return (current & and_mask | or_mask & ~and_mask & 0xFFFF).to_bytes(2, "big")


@given(point_and_value(), st.binary(min_size=2, max_size=2))
def test_what_is_encoded_decodes_to_itself(pair: tuple[Point, Value], before: bytes) -> None:
    point, value = pair
    field = field_of(point)
    raw = written(field, value, before)
    assert len(raw) == field.count * 2
    assert compile_registers((field,), field.start)(raw) == ([value], {})


@given(st.lists(point_and_value(), min_size=1, max_size=8), st.binary(min_size=1600, max_size=1600))
def test_a_value_decodes_the_same_alone_and_in_a_block(pairs: list[tuple[Point, Value]], block: bytes) -> None:
    fields = tuple(field_of(point) for point, _ in pairs)
    together, _ = compile_registers(fields, 0)(block)
    for field, found in zip(fields, together, strict=True):
        (alone,), _ = compile_registers((field,), field.start)(block[field.start * 2 : (field.start + field.count) * 2])
        assert repr(found) == repr(alone)


@given(st.sampled_from(sorted(STRUCT_CODES)), st.data())
def test_natural_order_is_network_order(base: str, data: st.DataObject) -> None:
    size = SIZES[base]
    raw = data.draw(st.binary(min_size=size, max_size=size))
    if size == 1:
        return
    field = field_of(Point("p", "holding:0", base))
    (found,), _ = compile_registers((field,), 0)(raw)
    assert repr(found) == repr(struct.unpack(">" + STRUCT_CODES[base], raw)[0])


@st.composite
def many_points(draw: st.DrawFn) -> list[Point]:
    """Points of all areas, crowded enough that joining, gaps and overlaps happen."""
    points = []
    for number in range(draw(st.integers(0, 25))):
        area = draw(st.sampled_from(list(FUNCTIONS)))
        start = draw(st.integers(0, 300))
        type_ = (
            "bool"
            if area in ("coil", "discrete")
            else draw(st.sampled_from(["uint16", "float32", "uint64", "uint16[4]"]))
        )
        options: dict[str, Any] = {"unit_id": 5} if draw(st.integers(0, 9)) == 0 else {}
        points.append(Point(f"p{number}", f"{area}:{start}", type_, options))
    return points


@given(
    many_points(),
    st.integers(4, 125),
    st.integers(1, 2000),
    st.integers(0, 60),
    st.booleans(),
    st.booleans(),
)
def test_groups_cover_every_point_once_and_keep_the_limits(
    points: list[Point], max_read: int, max_bits: int, max_gap: int, fill_gaps: bool, single: bool
) -> None:
    connection = {"max_read": max_read, "max_read_bits": max_bits, "max_gap": max_gap, "single_field": single}
    device = DeviceConfig(path="a/l/d", protocol="modbus", connection=connection)
    requests = group(device, points, fill_gaps=fill_gaps)
    assert sorted(point.name for request in requests for point in request.points) == sorted(p.name for p in points)
    for request in requests:
        block = request.detail
        fields = [field_of(point) for point in request.points]
        in_bits = block.function in (1, 2)
        assert block.count <= (max_bits if in_bits else max_read)
        assert {FUNCTIONS[field.area] for field in fields} == {block.function}
        assert {1 if field.unit_id is None else field.unit_id for field in fields} == {block.unit_id}
        assert all(
            block.start <= field.start and field.start + field.count <= block.start + block.count for field in fields
        )
        covered = {at for field in fields for at in range(field.start, field.start + field.count)}
        widest = (max_gap * (BITS_PER_REGISTER if in_bits else 1)) if fill_gaps else 0
        hole = 0
        for at in range(block.start, block.start + block.count):
            hole = 0 if at in covered else hole + 1
            assert hole <= widest
        assert not single or len(fields) == 1
    assert group(device, list(reversed(points)), fill_gaps=fill_gaps) == requests or len(
        {point.name for point in points}
    ) != len(points)


@given(st.text(max_size=30), st.sampled_from([0, 1]))
def test_parsing_never_raises_anything_but_its_own_error(text: str, base: int) -> None:
    for parse in (lambda: parse_address(text, base=base), lambda: parse_s7(text)):
        try:
            parse()
        except AddressError as error:
            assert error.code.startswith("NX3")


@given(st.binary(max_size=40))
def test_a_simulated_unit_answers_any_bytes(pdu: bytes) -> None:
    from nexus_cli.drivers.modbus.simulator.responder import answer

    unit = Unit({})
    unit.add("t", Point("t", "holding:0", "uint16"), lambda _t_s: 1)
    unit.add("c", Point("c", "coil:0", "bool"), lambda _t_s: True)
    unit.ready(holes=False)
    reply = answer(unit, pdu, t_s=0.0)
    assert reply
    assert len(reply) <= 253
