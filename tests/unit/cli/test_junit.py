"""The JUnit view: any text of a finding comes back from an XML reader as it was."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nexus_cli.cli.views.junit import junit
from tests.junit_form import refused


@pytest.mark.parametrize("summary", ["a < b & c > d", 'say "on"', "the plant's", 'the plant\'s "on"', "one\n\ttwo\r"])
def test_a_summary_is_read_back_as_it_was(summary: str) -> None:
    finding = {"code": "NX2001", "severity": "error", "summary": summary, "detail": ""}
    found = ElementTree.fromstring(junit({"diagnostics": [finding], "site": None})).find(".//failure")
    assert found is not None
    assert found.get("message") == summary


def test_a_character_that_xml_has_not_is_a_question_mark() -> None:
    finding = {"code": "NX2001", "severity": "warning", "summary": "a\x01b", "detail": ""}
    found = ElementTree.fromstring(junit({"diagnostics": [finding], "site": None})).find(".//system-out")
    assert found is not None
    assert found.text == "warning: a?b"


def test_a_strict_reader_takes_it() -> None:
    place = {"filename": "site.yaml", "start": {"line": 3, "column": 5}}
    findings = [
        {"code": "NX2001", "severity": "error", "summary": "one", "detail": "do this", "range": place},
        {"code": "NX2002", "severity": "warning", "summary": "two", "detail": ""},
    ]
    for some in (findings, findings[:1], []):
        text = junit({"diagnostics": some, "site": None})
        assert refused(text) == []
    (suite,) = ElementTree.fromstring(junit({"diagnostics": findings[:1], "site": None}))
    assert suite.get("file") == "site.yaml"
    (failure,) = suite.iter("failure")
    assert (failure.text or "").startswith("site.yaml:3:5\n")
    assert refused(
        '<testsuites><testsuite name="a" tests="1"><testcase name="b" line="2"/></testsuite></testsuites>'
    ) == [
        "testsuite lacks errors",
        "testsuite lacks failures",
        "testcase has line",
    ]
