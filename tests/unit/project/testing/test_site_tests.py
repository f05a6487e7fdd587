"""`nexus test`: values through the chain, assertions, findings, coverage, report; no socket, no file written."""

from __future__ import annotations

import json
import math
import os
import socket
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.cli.main import cli
from nexus_cli.cli.views.site_tests import github, junit
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.schema import schema_files
from nexus_cli.project.test import run_tests
from nexus_cli.project.testing.document import Report, document
from nexus_cli.project.testing.judging import agree
from nexus_cli.project.testing.raw import UnfitValue, held
from tests.junit_form import refused

ROOT = Path(__file__).parents[4]
SITE = """nexus: 1
enterprise: acme
site: plant
areas:
  hall:
    lines:
      line-1:
        devices:
          oven:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              temperature: {address: "holding:0", type: int16, scale: 0.1, unit: degC, range: [-20, 300], deadband: 0.5, heartbeat: 5s}
              flow: {address: "holding:2", type: float32, unit: l/min}
              total: {address: "holding:4", type: uint64}
              open: {address: "coil:0", type: bool}
              spare: {address: "holding:9", type: int16, enabled: false}
            calculated:
              warm: {expr: "temperature > 20", type: bool}
          press:
            protocol: s7
            connection: {host: 10.0.0.10}
            tags:
              force: {address: DB1.DBD0, type: float32}
alerts:
  too-hot: {tag: hall/line-1/oven/temperature, above: 250, clear_below: 240, for: 3s}
access:
  roles: {operator: {read: ["hall/**"], write: []}}
  users: {panel: {role: operator}}
moved:
  - {from: hall/line-1/oven/temp, to: hall/line-1/oven/temperature}
"""
OVEN = "hall/line-1/oven"


def report_of(folder: Path, *tests: str, site: str = SITE, **options: Any) -> Report:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "site.yaml").write_text(site, encoding="utf-8")
    for number, text in enumerate(tests):
        (folder / f"tests/t{number}.yaml").write_text(text, encoding="utf-8")
    return run_tests(folder, **options)[0]


def one(folder: Path, given: object, expect: object, **extra: object) -> Report:
    return report_of(folder, json.dumps({"tests": {"it": {"given": given, "expect": expect, **extra}}}))


def passes(folder: Path, given: object, expect: object, **extra: object) -> bool:
    report = one(folder, given, expect, **extra)
    assert report.findings == (), [str(found.message) for found in report.findings]
    return report.passed


def codes(report: Report) -> list[str]:
    return [found.code for found in report.findings]


@pytest.mark.parametrize(
    ("path", "form", "value"),
    [
        ("oven/temperature", {"registers": [0xFFF6]}, -1),
        ("oven/temperature", {"raw": 215}, 21.5),
        ("oven/temperature", {"value": 21.5}, 21.5),
        ("oven/flow", {"registers": [0x4248, 0x0000]}, 50),
        ("oven/flow", {"bytes": "42 48 00 00"}, 50),
        ("press/force", {"bytes": "42480000"}, 50),
        ("oven/total", {"registers": [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]}, 2**64 - 1),
        ("oven/total", 2**53 + 1, 2**53 + 1),
        ("oven/open", {"bytes": "01"}, True),
    ],
)
def test_what_a_device_holds_becomes_the_value(tmp_path: Path, path: str, form: object, value: object) -> None:
    given = {f"hall/line-1/{path}": form}
    assert passes(tmp_path, given, {"sample": {f"hall/line-1/{path}": {"value": value, "quality": "GOOD"}}})


@pytest.mark.parametrize("wrong", [21.4, 22, True, "21.5", None])
def test_another_value_fails_and_says_how_it_came_about(tmp_path: Path, wrong: object) -> None:
    report = one(tmp_path, {f"{OVEN}/temperature": 215}, {"sample": {f"{OVEN}/temperature": wrong}})
    (result,) = report.tried[0].results
    assert not report.passed
    assert result.got == "value 21.5"
    assert result.how[0] == f"{OVEN}/temperature at 0s: raw 215, read as 215"
    assert "x 0.1 + 0" in result.how[1]


def test_64_bits_are_compared_exactly_and_are_text_in_the_live_payload(tmp_path: Path) -> None:
    given = {f"{OVEN}/total": 2**53 + 1}
    assert not passes(tmp_path, given, {"sample": {f"{OVEN}/total": 2**53}})
    assert passes(tmp_path, given, {"topic": {f"acme/plant/{OVEN}/total": {"value": str(2**53 + 1)}}})


def test_true_is_not_one(tmp_path: Path) -> None:
    assert not passes(tmp_path, {f"{OVEN}/open": True}, {"sample": {f"{OVEN}/open": 1}})


def test_a_number_that_is_none_is_bad(tmp_path: Path) -> None:
    bad = {"value": None, "quality": "BAD", "reason": "not_a_number"}
    assert passes(tmp_path, {f"{OVEN}/flow": {"registers": [0x7FC0, 0]}}, {"sample": {f"{OVEN}/flow": bad}})


def test_out_of_service_gives_no_value(tmp_path: Path) -> None:
    bad = {"quality": "BAD", "reason": "out_of_service"}
    assert passes(tmp_path, {f"{OVEN}/spare": 5}, {"sample": {f"{OVEN}/spare": bad}})


def test_calculated_tags_follow_their_inputs(tmp_path: Path) -> None:
    given = {f"{OVEN}/temperature": [{"raw": 150}, {"at": "2s", "raw": 210}, {"at": "4s", "bad": "device_timeout"}]}
    wanted = {f"{OVEN}/warm": {"value": True, "at": "3s"}, f"{OVEN}/temperature": {"quality": "BAD"}}
    assert passes(tmp_path, given, {"sample": wanted})


def test_deadband_range_and_heartbeat_make_the_rows(tmp_path: Path) -> None:
    given = {f"{OVEN}/temperature": [{"raw": 210}, {"at": "1s", "raw": 214}, {"at": "2s", "raw": 3010}]}
    doubtful = {"value": 301, "quality": "UNCERTAIN"}
    rows = [{"value": 21, "at": "0s"}, {**doubtful, "at": "2s"}, {**doubtful, "at": "7s"}]
    assert passes(tmp_path, given, {"row": {f"{OVEN}/temperature": rows}}, **{"for": "7s"})
    assert not passes(tmp_path, given, {"row": {f"{OVEN}/temperature": rows[:2]}}, **{"for": "7s"})


@pytest.mark.parametrize(("at", "state"), [("2s", "cleared"), ("4s", "active"), ("7s", "active"), ("8s", "cleared")])
def test_an_alarm_lasts_as_control_has_it(tmp_path: Path, at: str, state: str) -> None:
    given = {f"{OVEN}/temperature": [{"raw": 2600}, {"at": "5s", "raw": 2450}, {"at": "8s", "raw": 2300}]}
    assert passes(tmp_path, given, {"alarm": {"too-hot": {"state": state, "at": at}}})


def test_rights_are_those_of_the_site(tmp_path: Path) -> None:
    asked = [
        {"user": "panel", "may": "read", "path": f"{OVEN}/temperature"},
        {"user": "panel", "may_not": "write", "path": f"{OVEN}/temperature"},
    ]
    assert passes(tmp_path, {}, {"right": asked})
    assert not passes(tmp_path, {}, {"right": [{**asked[0], "user": "stranger"}]})
    assert not passes(tmp_path, {}, {"right": [{"user": "panel", "may": "write", "path": f"{OVEN}/temperature"}]})


def test_findings_of_validation_are_expected_by_code(tmp_path: Path) -> None:
    assert not passes(tmp_path, {}, {"finding": ["NX2203"]})


def test_a_stale_file_does_not_keep_the_others_from_running(tmp_path: Path) -> None:
    good = json.dumps(
        {"tests": {"it": {"given": {f"{OVEN}/temperature": 1}, "expect": {"sample": {f"{OVEN}/temperature": 0.1}}}}}
    )
    stale = (
        f"tests:\n  by the former path:\n    given: {{{OVEN}/temp: 5}}\n    expect: {{alarm: {{too-hot: cleared}}}}\n"
    )
    report = report_of(tmp_path, stale, good, "tests: {a: [", "\x00\xff", "")
    (moved,) = [found for found in report.findings if found.code == "NX1102"]
    assert moved.place is not None
    assert moved.place.line == 3
    assert moved.hint == f"write {OVEN}/temperature"
    assert [case.case.id for case in report.tried if case.passed] == ["t1/it"]
    assert not report.passed


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("tests: {}", "NX1103"),
        ("tests: {it: {}}", "NX1103"),
        ("tests: {it: {expect: {}}}", "NX1103"),
        ("tests: {it: {expect: {sample: {}}}}", "NX1103"),
        ("tests: {it: {expect: {right: []}}}", "NX1103"),
        ("tests: []", "NX1100"),
        ("[]", "NX1100"),
        ("test: {}", "NX1100"),
        (f"tests: {{it: {{expect: {{sample: {{{OVEN}/temperature: {{qualiti: BAD}}}}}}}}}}", "NX1100"),
        (f"tests: {{it: {{given: {{{OVEN}/warm: true}}, expect: {{alarm: {{too-hot: active}}}}}}}}", "NX1104"),
        (
            f"tests: {{it: {{given: {{{OVEN}/temperature: {{registers: [1, 2]}}}}, expect: {{alarm: {{too-hot: active}}}}}}}}",
            "NX1104",
        ),
        (f"tests: {{it: {{given: {{{OVEN}/temperature: .nan}}, expect: {{alarm: {{too-hot: active}}}}}}}}", "NX1104"),
        ("tests: {it: {for: 25h, expect: {alarm: {too-hot: cleared}}}}", "NX1105"),
        ("tests: {it: {expect: {finding: [NX0]}}}", "NX1106"),
    ],
)
def test_what_asserts_nothing_or_is_misspelt_is_a_finding(tmp_path: Path, text: str, code: str) -> None:
    report = report_of(tmp_path, text)
    assert code in codes(report)
    assert not report.passed
    assert report.tried == ()
    assert all(found.place is not None and found.hint for found in report.findings if found.code == code)


@given(text=st.text(max_size=200))
def test_no_text_ends_in_a_traceback_or_passes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    report = report_of(folder, text.encode("utf-8", "replace").decode(), site=SITE)
    assert not report.passed


@given(value=st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.none()))
def test_a_value_agrees_with_itself_alone(value: object) -> None:
    assert agree(value, value)
    assert not agree(value, [value])
    if not isinstance(value, bool):
        assert not agree(value, True)


def test_coverage_counts_what_no_test_touches(tmp_path: Path) -> None:
    given = {f"{OVEN}/temperature": 215}
    report = one(tmp_path, given, {"alarm": {"too-hot": "cleared"}})
    shares = {share.kind: share for share in report.coverage}
    assert (shares["tags"].touched, shares["tags"].total) == (1, 7)
    assert f"{OVEN}/flow" in shares["tags"].untouched
    assert shares["alarms"].untouched == ()
    assert shares["rights"].untouched == ("operator: read hall/**",)
    assert codes(run_tests(tmp_path, coverage_min=80)[0]) == ["NX1108", "NX1108"]


def test_the_demo_passes_and_answers_by_its_schema() -> None:
    schemas = {name: json.loads(text) for name, text in schema_files().items() if name.startswith("test-")}
    report = document(run_tests(ROOT / "sites/demo")[0])
    assert report["passed"]
    assert report["summary"]["failed"] == 0
    jsonschema.validate(report, schemas["test-report.schema.json"])


def test_junit_counts_what_it_has_and_control_characters_do_not_break_it(tmp_path: Path) -> None:
    text = json.dumps({"tests": {"a \u0007 <name>": {"expect": {"sample": {f"{OVEN}/flow": 1}}}, "empty": {}}})
    report = document(report_of(tmp_path, text))
    root = ElementTree.fromstring(junit(report))
    assert refused(junit(report)) == []
    cases = root.findall("testsuite/testcase")
    assert root.get("tests") == str(len(cases)) == "2"
    assert (root.get("failures"), root.get("errors")) == ("1", "1")
    assert all(case.get("classname") and case.get("name") and case.get("time") for case in cases)
    assert all(len(case.findall("failure") + case.findall("error")) <= 1 for case in cases)
    assert sum(line.startswith("::error file=") for line in github(report).splitlines()) == 2


def test_it_opens_no_socket_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = json.dumps(
        {"tests": {"it": {"given": {f"{OVEN}/temperature": 1}, "expect": {"sample": {f"{OVEN}/temperature": 0.1}}}}}
    )
    report_of(tmp_path, given)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    opened: list[str] = []
    real = os.open

    def watched(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(str(path))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(os, "open", watched)
    result = CliRunner().invoke(cli, ["test", str(tmp_path)])
    assert "1 test, 1 assertion: 1 passed" in result.output
    assert opened == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_junit_file_in_a_folder_that_is_not_there_yet_is_written(tmp_path: Path) -> None:
    given = json.dumps(
        {"tests": {"it": {"given": {f"{OVEN}/temperature": 1}, "expect": {"sample": {f"{OVEN}/temperature": 0.1}}}}}
    )
    report_of(tmp_path, given)
    file = tmp_path / "results" / "nexus" / "tests.xml"
    result = CliRunner().invoke(cli, ["test", str(tmp_path), "--junit", str(file)])
    assert (result.exception, "1 test, 1 assertion: 1 passed" in result.output) == (None, True)
    assert ElementTree.fromstring(file.read_text()).get("tests") == "1"


@pytest.mark.parametrize(
    ("type_", "raw", "fits"),
    [
        ("float32", 3.4028234663852886e38, True),
        ("float32", 1e39, False),
        ("float32", -1e39, False),
        ("float32", math.inf, True),
        pytest.param("float32", 10**400, False, id="float32-400-digits"),
        ("float64", 1e39, True),
        ("int16[3]", [1, 2, 3], True),
        ("int16[3]", [1, 2], False),
        ("int16[3]", [1, 2, 3, 4], False),
        ("int16[3]", [1, 2, 40000], False),
        ("int16[3]", [1, 2, "x"], False),
        ("int16[3]", [1, 2, True], False),
        ("uint64[2]", [2**64 - 1, 0], True),
        ("float32[2]", [1, 1e39], False),
    ],
)
def test_a_raw_value_is_one_that_the_device_can_hold(type_: str, raw: Any, fits: bool) -> None:
    tag = TagConfig(address="holding:0", type=type_)
    device = DeviceConfig(path="hall/line-1/oven", protocol="modbus", tags={"one": tag})
    if fits:
        assert held(device, "one", {"raw": raw}) == (raw, None)
    else:
        with pytest.raises(UnfitValue):
            held(device, "one", {"raw": raw})


def test_two_values_of_one_moment_are_a_finding_that_says_so(tmp_path: Path) -> None:
    twice = [{"at": "1s", "raw": 1}, {"at": "1s", "raw": 2}]
    report = one(tmp_path, {f"{OVEN}/total": twice}, {"sample": {f"{OVEN}/total": 2}})
    assert [(item.code, item.message) for item in report.findings] == [
        ("NX1105", f"'{OVEN}/total' is given at 1s twice")
    ]
