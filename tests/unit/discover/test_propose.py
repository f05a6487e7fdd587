"""Names, keys and intervals of what would be added."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nexus_cli.discover.found import Discovery, Found
from nexus_cli.discover.naming import LONGEST, common_levels, plain, tag_name, unique
from nexus_cli.discover.propose import propose
from nexus_cli.drivers.opcua.kind import KIND as OPCUA
from nexus_cli.wire.topic import is_slug


def found(*name: str, device: str = "", **keys: object) -> Found:
    return Found(device=device, name=name, tag={"type": "float64", **keys})


def opcua(*values: Found) -> Discovery:
    return Discovery(protocol="opcua", connection={"endpoint": "opc.tcp://x:1"}, found=list(values), source="x")


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_every_name_is_a_slug(levels: list[str]) -> None:
    name = tag_name(levels)
    assert is_slug(name)
    assert len(name) <= LONGEST
    assert tag_name(levels) == name


def test_names_are_unique_and_tell_where_they_come_from() -> None:
    proposal = propose(opcua(found("Boiler #1", "Temp"), found("Boiler #1", "temp"), found("Boiler #2", "Temp °C")))
    names = [tag.name for tag in proposal.devices[0].tags]
    assert names == ["boiler-1.temp", "boiler-1.temp-2", "boiler-2.temp-deg-c"]
    assert proposal.devices[0].tags[2].keys["description"] == "Boiler #2/Temp °C"
    assert unique("a-b", {plain("a.b")}) == "a-b-2"


def test_elements_of_arrays_can_not_be_taken_for_others() -> None:
    originals = ["els[-1]", "els[0]", "els[1]", "Els", "els", "g[0,-1]", "g[0,1]", "g[-0]", "g[ - 3 , 2]", "t (-1)"]
    names = [tag.name for tag in propose(opcua(*(found("P", one) for one in originals))).devices[0].tags]
    assert names == [
        "els-neg1",
        "els-0",
        "els-1",
        "els",
        "els-dup2",
        "g-0-neg1",
        "g-0-1",
        "g-neg0",
        "g-neg3-2",
        "t-1",
    ]


@given(
    st.lists(st.lists(st.integers(-20, 20), min_size=2, max_size=2).map(tuple), min_size=1, max_size=8, unique=True),
    st.randoms(),
)
def test_an_element_s_name_depends_on_its_index_alone(indexes: list[tuple[int, int]], order: Random) -> None:
    originals = [f"a[{first},{second}]" for first, second in indexes]
    shuffled = [*originals, "A", "a"]
    order.shuffle(shuffled)
    named = {tag.original[0]: tag.name for tag in propose(opcua(*map(found, shuffled))).devices[0].tags}
    told = {
        f"a[{a},{b}]": "-".join(("a", *(f"neg{-one}" if one < 0 else f"{one}" for one in (a, b)))) for a, b in indexes
    }
    assert {one: named[one] for one in originals} == told


def test_shared_folders_are_left_out() -> None:
    assert common_levels([("Plant", "A", "x"), ("Plant", "B", "y")]) == 1
    assert common_levels([("Plant", "x"), ("Plant", "x")]) == 1
    names = [tag.name for tag in propose(opcua(found("P", "A", "x"), found("P", "A", "y"))).devices[0].tags]
    assert names == ["x", "y"]


def test_nothing_is_writable_and_no_text_of_a_device_becomes_a_reference() -> None:
    value = found("A", "x", writable=True, description="${file:/etc/passwd}", values={0: "${env:HOME}"})
    keys = propose(opcua(value)).devices[0].tags[0].keys
    assert "writable" not in keys
    assert "${" not in repr(keys)


def test_a_server_s_own_id_is_never_read_as_an_element_of_an_array() -> None:
    ids = ["ns=2;s=arr[1]", "ns=2;s=arr", 'ns=2;s="DB"."arr"[3]', "ns=2;s=x[0:3]", "ns=2;s=lonely[]", "ns=2;s=[7]"]
    tags = propose(opcua(*(found(f"v{at}", node=text) for at, text in enumerate(ids)))).devices[0].tags
    assert [tag.keys["node"] for tag in tags] == ids
    for tag in tags:
        read = OPCUA.address_of(None, TypeAdapter(OPCUA.tag).validate_python(tag.keys))
        assert (read.text, read.options) == (tag.keys["node"], {})
    assert [tag.keys.get("index") for tag in tags] == ["", None, None, "", "", ""]


def test_an_address_that_a_site_file_would_read_as_a_reference_is_skipped_and_named() -> None:
    proposal = propose(opcua(found("A", "x", node="ns=2;s=A${env:HOME}"), found("A", "y", node="ns=2;s=100%")))
    assert [tag.keys["node"] for tag in proposal.devices[0].tags] == ["ns=2;s=100%"]
    assert [(one.what, "A${env:HOME}" in one.reason) for one in proposal.skipped] == [("A/x", True)]


def test_the_original_name_stays_beside_the_device_s_own_description() -> None:
    keys = propose(opcua(found("A b", "X y", description="Inlet"))).devices[0].tags[0].keys
    assert keys["description"] == "Inlet"
    assert keys["labels"] == {"original": "A b/X y"}


def test_interval_and_mode_follow_count_and_protocol() -> None:
    few = propose(opcua(found("x")))
    assert few.devices[0].head["mode"] == "subscribe"
    many = propose(opcua(*(found(f"v{number}") for number in range(12_000))), requests=lambda *_: 240)
    assert many.devices[0].head == {
        "protocol": "opcua",
        "connection": {"endpoint": "opc.tcp://x:1"},
        "poll": "30s",
    }
    modbus = Discovery(protocol="modbus", connection={"host": "h"}, found=[found("x", address="holding:1")])
    assert "poll" not in propose(modbus, requests=lambda *_: 25).devices[0].head
    assert propose(modbus, requests=lambda *_: 26).devices[0].head["poll"] == "2s"
