"""Targets, journals, Sparkplug, topics, probes, units: everything of discovery that needs no wire."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.discover.filters import Wanted, left_out, why_nothing
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.frontier import Frontier
from nexus_cli.discover.journal import Journal
from nexus_cli.discover.probe import candidates, default_tolerance, ranked
from nexus_cli.discover.sparkplug import BirthError, Metric, birth_of, metrics_of
from nexus_cli.discover.target import parse_target
from nexus_cli.discover.topics import from_topics
from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.modbus import sunspec
from nexus_cli.drivers.modbus.url import units_of
from nexus_cli.drivers.opcua import unece
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.quantities import known


@pytest.mark.parametrize(
    ("text", "protocol", "connection"),
    [
        ("opcua://h:4841/path", "opcua", {"endpoint": "opc.tcp://h:4841/path"}),
        ("opc.tcp://[::1]", "opcua", {"endpoint": "opc.tcp://[::1]:4840"}),
        ("modbus://h?unit=3&timeout=2s", "modbus", {"host": "h", "unit_id": 3, "timeout": "2s"}),
        (
            "modbus:///dev/ttyUSB0?unit=3&parity=none",
            "modbus",
            {"serial": "/dev/ttyUSB0", "unit_id": 3, "parity": "none"},
        ),
        ("modbus:///COM3", "modbus", {"serial": "COM3"}),
        ("s7://h?slot=2", "s7", {"host": "h", "slot": 2}),
        ("ads://h:852?net_id=5.1.2.3.1.1", "ads", {"host": "h", "port": 852, "ams_net_id": "5.1.2.3.1.1"}),
        ("ads://h:48898?ams=5.1.2.3.1.1", "ads", {"host": "h", "tcp_port": 48898, "ams_net_id": "5.1.2.3.1.1"}),
        (
            "ads://h:852?net_id=5.1.2.3.1.1&tcp_port=4000",
            "ads",
            {"host": "h", "port": 852, "ams_net_id": "5.1.2.3.1.1", "tcp_port": 4000},
        ),
        ("mqtt://user@h", "mqtt", {"url": "mqtt://h", "user": "user"}),
    ],
)
def test_addresses_become_connections(text: str, protocol: str, connection: dict[str, Any]) -> None:
    target = parse_target(text, kinds()).value
    assert target is not None
    assert (target.protocol, target.connection) == (protocol, connection)


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("htp://h", "NX6600", "htp"),
        ("modbus://", "NX6600", "no host"),
        ("modbus://h:x", "NX6600", "port"),
        ("modbus://h?unti=3", "NX6601", "unti"),
        ("opcua://me:secret@h", "NX6600", "password"),
    ],
)
def test_addresses_that_are_none(text: str, code: str, word: str) -> None:
    outcome = parse_target(text, kinds())
    assert outcome.value is None
    assert outcome.findings[0].code == code
    assert word in outcome.findings[0].message
    assert "secret" not in repr(outcome.findings)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rtu:///dev/ttyS1", "modbus:///dev/ttyS1?unit=1&baudrate=9600"),
        ("modbus://dev/ttyUSB0?unit=3", "modbus:///dev/ttyUSB0?unit=3"),
        ("modbus://COM3", "modbus:///COM3?unit=1&baudrate=9600"),
        ("modbus://h/3", "modbus://h?unit=3"),
        ("modbus:///dev/ttyUSB0?baud=4800", "baudrate=4800"),
        ("modbus:///dev/ttyUSB0?slave=4", "unit=4"),
        ("modbus:///dev/ttyUSB0?parity=E", "parity=even"),
        ("modbus://h?unit=9-1", "unit=1-10, or unit=1,3,7-9"),
        ("s7://h/0/1", "s7://h?rack=0&slot=1"),
        ("ads://5.1.2.3.1.1:852", "ads://10.0.0.7:852?net_id=5.1.2.3.1.1"),
        (
            "ads://10.0.0.7:852",
            "?net_id=10.0.0.7.1.1 behind the address, or --set ams_net_id=10.0.0.7.1.1; "
            "TwinCAT shows it under System > Routes",
        ),
    ],
)
def test_how_other_tools_write_it_is_answered_with_how_it_is_written_here(text: str, hint: str) -> None:
    outcome = parse_target(text, kinds())
    assert outcome.value is None
    assert outcome.findings[0].hint == hint


def test_a_range_of_units_is_asked_one_by_one() -> None:
    target = parse_target("modbus://h?unit=1,3,7-9,8", kinds()).value
    assert target is not None
    assert target.units == (1, 3, 7, 8, 9)
    assert target.connection == {"host": "h", "unit_id": 1}
    assert units_of("4") is None
    assert units_of("x-2") is None


@given(st.text(max_size=30))
def test_no_target_raises(text: str) -> None:
    parse_target(text, kinds())


def test_filters_are_globs_over_original_names() -> None:
    wanted = Wanted(include=("Filler/**", "Temp*"), exclude=("**/Diag/*",), depth=3)
    assert left_out(("Filler", "A", "x"), wanted) == ""
    assert left_out(("Other", "Temperature"), wanted) == ""
    assert left_out(("Other", "x"), wanted) == "not in --include"
    assert left_out(("Filler", "Diag", "x"), wanted) == "in --exclude"
    assert left_out(("Filler", "A", "B", "x"), wanted).startswith("deeper")


def test_filters_that_leave_nothing_say_what_was_there() -> None:
    names = [f"Motor/Speed-{number}" for number in range(6)]
    looked = Discovery(protocol="opcua", connection={}, source="x")
    looked.skipped = [Skipped("Status", "a property"), *(Skipped(name, "not in --include") for name in names)]
    hint = why_nothing([looked], Wanted(include=("Sped-1",)))
    assert hint.startswith("did you mean 'Speed-1'? 6 values there, left out by --include: Motor/Speed-0, ")
    assert hint.endswith("Motor/Speed-3, …")
    looked.skipped = looked.skipped[:1]
    assert why_nothing([looked], Wanted(include=("x*",))) == ""


def test_a_journal_goes_on_from_its_last_beat(tmp_path: Path) -> None:
    key = {"link": "l"}
    journal = Journal(tmp_path, key, root="i=85")
    assert not journal.resume
    journal.note(
        Browsed((), "", "", detail={"beat": True, "done": 1, "queued": [["n1", ["a"], True, False], ["n2", ["b"]]]})
    )
    journal.note(Browsed(("a",), "n1", "int32", "V", "d", True, {"values": {1: "on"}}))
    journal.note(Browsed((), "", "", detail={"beat": True, "done": 1, "queued": []}))
    journal.note(Browsed(("b",), "n2", "int32"))  # after the last beat: found again
    journal.close(complete=False)
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"found": [["c"')  # the interruption cut a line
    again = Journal(tmp_path, key, root="i=85")
    assert again.kept == [Browsed(("a",), "n1", "int32", "V", "d", True, {"values": {1: "on"}})]
    assert again.resume == {"queue": [["n2", ["b"]]], "seen": ["n1", "n2"]}
    again.close(complete=True)
    assert not again.path.exists()
    assert not Journal(tmp_path, key, root="i=85").resume


def test_units_of_the_table_are_units_of_the_language() -> None:
    assert unece.unit_of(4_408_652) == "degC"
    assert unece.unit_of(4_408_652, namespace="urn:other") == ""
    assert unece.unit_of(-1) == unece.unit_of(0) == ""
    assert [unit for unit in unece.units().values() if not known(unit)] == []


def varint(number: int) -> bytes:
    out = b""
    while True:
        number, low = number >> 7, number & 0x7F
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def metric(name: str, kind: int, unit: str = "") -> bytes:
    properties = field(1, b"engUnit") + field(2, field(1, 12) + field(8, unit.encode())) if unit else b""
    body = field(1, name.encode()) + field(2, 7) + field(4, kind)
    return body + (field(9, properties) if properties else b"") + varint(12 << 3 | 5) + struct.pack("<f", 1.5)


def birth(*metrics: bytes) -> bytes:
    return field(1, 1_700_000_000_000) + b"".join(field(2, one) for one in metrics) + field(3, 0)


def test_a_birth_is_decoded() -> None:
    payload = birth(metric("Motor/Speed", 9, "rpm"), metric("bdSeq", 8), metric("Data", 16))
    assert metrics_of(payload) == [Metric("Motor/Speed", 9, "rpm"), Metric("bdSeq", 8), Metric("Data", 16)]
    assert birth_of("spBv1.0/g/DBIRTH/n/d") == ("g", "n", "d")
    assert birth_of("spBv1.0/g/DDATA/n/d") is None


@given(st.binary(max_size=60))
def test_damaged_births_are_refused_not_raised(payload: bytes) -> None:
    try:
        metrics_of(payload)
    except BirthError:
        pass


def test_every_topic_is_found_or_skipped_by_name() -> None:
    messages = {
        "acme/chicago/pack/l1/scale/weight": b'{"value": 5, "unit": "kg", "timestamp": 1}',
        "acme/chicago/pack/l1/scale/on": b"true",
        "acme/chicago/pack/l1/scale/note": b"hello",
        "acme/chicago/pack/l1/scale/deep/x": b"1",
        "acme/chicago/pack/l1/Scale/x": b"1",
        "acme/chicago/pack/l1/own/x": b"1",
        "acme/chicago/pack/x": b"1",
        "acme/chicago/pack/l1/scale/bad": b"\xff",
        "acme/chicago/pack/l1/scale/object": b'{"a": 1}',
        "other/place/a/b/c/d": b"1",
        "_nexus/acme/chicago/health/gateway/g": b"{}",
        "spBv1.0/Plant A/DBIRTH/edge 1/press": birth(metric("Motor/Speed", 9, "rpm"), metric("bdSeq", 8)),
        "spBv1.0/Plant A/DDATA/edge 1/press": b"",
    }
    found = from_topics(messages, enterprise="acme", site="chicago", own=frozenset({"pack/l1/own"}))
    assert {(one.device, one.name): one.tag for one in found.found} == {
        ("pack/l1/scale", ("note",)): {"type": "string"},
        ("pack/l1/scale", ("on",)): {"type": "bool"},
        ("pack/l1/scale", ("weight",)): {"type": "float64", "unit": "kg"},
        ("plant-a/edge-1/press", ("Motor", "Speed")): {"type": "float32", "unit": "rpm"},
    }
    assert found.facts["heads"] == {"pack/l1/scale": {"topics": ["deep/**"]}}
    metrics = 2
    assert len(found.found) + len(found.skipped) == len(messages) - 1 + metrics
    assert all(reason for _, reason in found.skipped)


def test_probe_names_area_type_order_and_scale() -> None:
    raw = struct.pack(">f", 230.1)
    swapped = {100: raw[2:], 101: raw[:2], 102: struct.pack(">H", 2301)}
    found = ranked(list(candidates(swapped, area="holding", middle=100, expected=230.1, tolerance=0.05)))
    assert found[0].keys == {"address": "holding:100", "type": "float32", "order": "CDAB"}
    assert {"address": "holding:102", "type": "uint16", "scale": 0.1} in [one.keys for one in found]
    assert default_tolerance(50.0) == 0.5
    assert default_tolerance(230.1) == pytest.approx(0.2301)


def test_sunspec_groups_repeat_as_often_as_the_length_allows() -> None:
    if sunspec.models_folder() is None:
        pytest.skip("pysunspec2 is not installed")
    group = sunspec.definition_of(160)
    assert group is not None
    points = sunspec.points_of(group, 10 + 2 * 20, lambda _place: 2)
    paths = [point.path for point in points]
    assert ("mppt", "module 2", "DCW") in paths
    assert ("mppt", "module 3", "DCW") not in paths
    scaled = next(point for point in points if point.path == ("mppt", "module 2", "DCA"))
    assert scaled.scale_offset == 2
    assert scaled.offset == 10 + 20 + 9
    assert sunspec.definition_of(64_999) is None


def test_a_journal_that_can_t_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "discover", {"link": "l"}, root="i=85")
    journal.note(Browsed((), "", "", detail={"beat": True, "done": 1, "queued": []}))
    journal.close(complete=True)
    assert "can't be written" in journal.trouble
    assert not journal.noted


def test_a_frontier_asks_for_each_node_once() -> None:
    frontier = Frontier("i=85", resume={})
    assert frontier.batch() == [["i=85", []]]
    assert frontier.done(1, [["a", ["a"]], ["b", ["b"]], ["a", ["again", "a"]]]) == [["a", ["a"]], ["b", ["b"]]]
    assert frontier.batch() == [["a", ["a"]], ["b", ["b"]]]
    assert frontier.done(1, [["b", ["a", "b"]], ["i=85", ["loop"]]]) == []
    assert frontier.batch() == [["b", ["b"]]], "what is not done waits on"
    skipped = Browsed(("p",), "p", "", detail={"skipped": "a property"})
    assert frontier.is_new(skipped)
    assert not frontier.is_new(skipped), "it stands below two nodes"
    assert frontier.is_new(Browsed(("b",), "b", "", detail={"skipped": "this user may not read it"}))
    assert frontier.done(1, []) == frontier.batch() == []
    again = Frontier("i=85", resume={"queue": [["c", []]], "seen": ["b", "c"]}, kept=[skipped])
    assert not again.is_new(skipped)
    assert again.done(1, [["b", []], ["d", []]]) == [["d", []]]
