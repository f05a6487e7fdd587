"""`--only` and the findings of others, a test that breaks off, tests that are not run live, and the test of `nexus init`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from nexus_cli.cli.views.site_tests import junit, text
from nexus_cli.project import test as verb
from nexus_cli.project.init import init
from nexus_cli.project.schema import schema_files
from nexus_cli.project.test import run_tests
from nexus_cli.project.test_live import run_live
from nexus_cli.project.testing.document import document
from tests.unit.project.testing.test_site_tests import OVEN, SITE

GOOD = (
    f"tests:\n  warm:\n    given: {{{OVEN}/temperature: 215}}\n    expect: {{sample: {{{OVEN}/temperature: 21.5}}}}\n"
)
TYPO = f"  typo:\n    given: {{{OVEN}/temprature: 215}}\n    expect: {{sample: {{{OVEN}/temperature: 21.5}}}}\n"
FAULT = f"tests:\n  lost:\n    given: {{{OVEN}/temperature: {{bad: link_lost}}}}\n    expect: {{sample: {{{OVEN}/temperature: {{quality: BAD}}}}}}\n"


def plain(words: str, _name: str) -> str:
    return words


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    return tmp_path


def write(site: Path, **files: str) -> None:
    for name, words in files.items():
        (site / "tests" / f"{name}.yaml").write_text(words, encoding="utf-8")


@pytest.mark.parametrize("only", ["good/*", "warm", "good/warm"])
def test_findings_of_others_are_left_out(site: Path, only: str) -> None:
    write(site, good=GOOD + TYPO, other="tests:\n" + TYPO)
    report, _ = run_tests(site, only=[only])
    codes = [one.code for one in report.findings]
    assert codes == (["NX1101"] if only == "good/*" else [])
    assert [one.case.id for one in report.tried] == ["good/warm"]
    assert report.passed is (only != "good/*")


def test_a_chosen_finding_stays(site: Path) -> None:
    write(site, good=GOOD, other="tests:\n" + TYPO)
    report, _ = run_tests(site, only=["other/*"])
    assert [one.code for one in report.findings] == ["NX1101"]
    assert not report.passed


def test_a_file_whose_tests_can_not_be_known_is_said_when_it_is_asked_for(site: Path) -> None:
    write(site, good=GOOD, cut="tests: {a: [")
    asked, _ = run_tests(site, only=["cut/*"])
    assert not asked.passed
    other, _ = run_tests(site, only=["good/*"])
    assert other.passed
    assert other.findings == ()


def test_an_exception_is_the_error_of_its_test(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(site, good=GOOD, more=GOOD.replace("warm", "hot"))
    real = verb.offline_record

    def broken(names: Any, case: Any) -> Any:
        if case.name == "warm":
            raise RuntimeError("a bug")
        return real(names, case)

    monkeypatch.setattr(verb, "offline_record", broken)
    report, _ = run_tests(site)
    assert [(one.case.name, one.passed) for one in report.tried] == [("warm", False), ("hot", True)]
    assert "RuntimeError: a bug" in report.tried[0].error
    assert "a bug" in junit(document(report))


async def test_without_a_test_for_simulators_nothing_is_started(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(site, lost=FAULT)

    def refuse(*_arguments: Any, **_more: Any) -> None:
        pytest.fail("a runtime was started")

    monkeypatch.setattr("nexus_cli.project.test_live.live_runtime", refuse)
    report = await run_live(site)
    found = document(report)
    jsonschema.validate(found, orjson.loads(schema_files()["test-report.schema.json"]))
    assert not report.passed
    assert [one["code"] for one in found["diagnostics"]] == ["NX1109", "NX1107"]
    assert found["summary"]["skipped"] == 1
    assert "<skipped message=" in junit(found)
    assert "not run live" in text(found, style=plain)


def test_the_test_of_a_new_site_passes(tmp_path: Path) -> None:
    init(tmp_path / "new")
    report, _ = run_tests(tmp_path / "new")
    assert report.passed
    assert sum(len(one.results) for one in report.tried) == 2


def test_a_folder_with_tests_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "mine.yaml").write_text("tests: {}", encoding="utf-8")
    init(tmp_path)
    assert [one.name for one in (tmp_path / "tests").iterdir()] == ["mine.yaml"]
