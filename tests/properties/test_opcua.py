"""OPC UA laws: decoding is the inverse of the library's encoding, garbage never breaks out, groups cover all once."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nexus_cli.discover.found import Discovery, Found
from nexus_cli.discover.propose import propose
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.chunked import chunks
from nexus_cli.drivers.opcua.address import NodeAddress, parse_node
from nexus_cli.drivers.opcua.codec import EPOCH_TICKS, DateTime, DecodeError, read_data_value, read_node_id
from nexus_cli.drivers.opcua.groups import group
from nexus_cli.drivers.opcua.kind import KIND
from nexus_cli.drivers.opcua.limits import Limits
from nexus_cli.drivers.opcua.values import converter, plain
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.examples import examples

INTEGERS = {
    ua.VariantType.SByte: (8, True),
    ua.VariantType.Byte: (8, False),
    ua.VariantType.Int16: (16, True),
    ua.VariantType.UInt16: (16, False),
    ua.VariantType.Int32: (32, True),
    ua.VariantType.UInt32: (32, False),
    ua.VariantType.Int64: (64, True),
    ua.VariantType.UInt64: (64, False),
}


@st.composite
def typed(draw: st.DrawFn) -> tuple[ua.VariantType, Any]:
    kind = draw(
        st.sampled_from(
            [
                *INTEGERS,
                ua.VariantType.Boolean,
                ua.VariantType.Float,
                ua.VariantType.Double,
                ua.VariantType.String,
                ua.VariantType.ByteString,
                ua.VariantType.Guid,
            ]
        )
    )
    if kind in INTEGERS:
        bits, signed = INTEGERS[kind]
        low = -(2 ** (bits - 1)) if signed else 0
        one = st.integers(low, low + 2**bits - 1)
    else:
        one = {
            ua.VariantType.Boolean: st.booleans(),
            ua.VariantType.Float: st.floats(width=32, allow_nan=False),
            ua.VariantType.Double: st.floats(allow_nan=False),
            ua.VariantType.String: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            ua.VariantType.ByteString: st.binary(max_size=20),
            ua.VariantType.Guid: st.uuids(),
        }[kind]
    return kind, draw(st.one_of(one, st.lists(one, min_size=1, max_size=6)))


@given(typed(), st.integers(0, 2**32 - 1), st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)))
def test_decoding_is_the_inverse_of_the_librarys_encoding(
    value: tuple[ua.VariantType, Any], code: int, stamp: datetime
) -> None:
    kind, held = value
    sent = ua.DataValue(
        ua.Variant(held, kind), StatusCode=ua.StatusCode(code), SourceTimestamp=stamp, ServerTimestamp=stamp
    )
    data = bytes(struct_to_binary(sent))
    found, at = read_data_value(data, 0)
    assert at == len(data)
    expected = [str(item) for item in held] if isinstance(held, list) else str(held)
    assert found.value == (expected if kind is ua.VariantType.Guid else held)
    assert found.kind == kind.value
    assert found.array is isinstance(held, list)
    assert found.status == code
    assert found.source_us == (stamp - datetime(1970, 1, 1)) // timedelta(microseconds=1)


@given(st.binary(max_size=200))
@settings(max_examples=examples(500))
def test_garbage_raises_only_what_sessions_expect(data: bytes) -> None:
    try:
        found, at = read_data_value(data, 0)
    except (DecodeError, IndexError, struct.error, RecursionError):
        return
    assert 0 < at <= len(data) + 16
    plain(found.value, None)
    for type_ in ("float64", "int16[3]", "string", "json", "bool"):
        converter(type_)(found)


identifiers = st.one_of(
    st.tuples(st.just("i"), st.integers(0, 2**32 - 1).map(str)),
    st.tuples(
        st.just("s"),
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40),
    ),
    st.tuples(st.just("g"), st.uuids().map(str)),
)


@given(identifiers, st.integers(0, 65_535))
def test_node_ids_survive_text_and_bytes(identifier: tuple[str, str], index: int) -> None:
    kind, name = identifier
    address = NodeAddress("", index, kind, name)
    assert parse_node(address.text) == address
    node = ua.NodeId.from_string(address.text) if kind != "s" else ua.NodeId(name, index)
    data = bytes(ua.ua_binary.nodeid_to_binary(node))
    text, at = read_node_id(data, 0)
    assert at == len(data)
    assert parse_node(text) == address


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), identifiers)
def test_namespace_uris_survive_text(uri: str, identifier: tuple[str, str]) -> None:
    kind, name = identifier
    address = NodeAddress(uri, 0, kind, name)
    found = parse_node(address.text)
    assert found == address or uri == "http://opcfoundation.org/UA/"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
@example("arr[1]")
@example(" a ]")
@example("x[0:3] ")
@example('"DB"."a"[3]')
def test_whatever_a_server_calls_a_node_a_discovered_tag_means_it(name: str) -> None:
    """Brackets, quotes, percent, separators, blanks: an identifier is opaque from the server to the file and back."""
    node = NodeAddress("urn:plant;%5B", 0, "s", name).text
    found = Found(device="", name=("v",), tag={"node": node, "type": "int16"})
    proposal = propose(Discovery(protocol="opcua", connection={}, found=[found], source="x"))
    if "${" in name:
        assert len(proposal.skipped) == 1
        return
    keys = proposal.devices[0].tags[0].keys
    read = KIND.address_of(None, TypeAdapter(KIND.tag).validate_python(keys))
    assert parse_node(read.text) == NodeAddress("urn:plant;%5B", 0, "s", name)
    assert not read.options


@given(st.integers(0, 300), st.integers(1, 120))
def test_groups_cover_every_point_once_and_keep_the_limit(count: int, most: int) -> None:
    tags = {f"t{at}": TagConfig(type="int16", address=f"ns=2;i={at}") for at in range(count)}
    device = DeviceConfig(path="a/b/c", protocol="opcua", connection={"max_read": most}, tags=tags)
    requests = group(device, points_of(device))
    assert [point.name for request in requests for point in request.points] == list(tags)
    assert all(0 < len(request.points) <= most for request in requests)
    assert all(len(request.points) == len(request.detail.nodes) for request in requests)
    assert len(requests) == -(-count // most)


@given(st.lists(st.integers()), st.integers(-3, 50))
def test_chunks_join_to_the_whole(items: list[int], size: int) -> None:
    pieces = list(chunks(items, size))
    assert [item for piece in pieces for item in piece] == items
    assert all(0 < len(piece) <= max(1, size) for piece in pieces)


@given(st.dictionaries(st.sampled_from(["read", "write", "monitor", "browse"]), st.integers(0, 5000)))
def test_a_servers_word_only_ever_lowers(server: dict[str, int]) -> None:
    ours = Limits(read=100, write=100, monitor=100, browse=100)
    found = ours.within(server)
    for name, most in server.items():
        assert getattr(found, name) == (min(100, most) if most else 100)


def test_ticks_are_counted_from_1601() -> None:
    assert datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=EPOCH_TICKS // 10) == datetime(
        1970, 1, 1, tzinfo=UTC
    )
    assert plain(DateTime(EPOCH_TICKS), None) == "1970-01-01T00:00:00Z"
