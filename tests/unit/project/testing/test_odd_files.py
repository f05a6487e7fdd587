"""Test files that say something twice, or what no device holds and no sample is: findings, and the test does not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nexus_cli.project.test import run_tests
from nexus_cli.project.testing.document import Report
from tests.unit.project.testing.test_site_tests import SITE

TWICE = {
    "in a test": (
        "  a: {given: {hall/line-1/oven/open: true, hall/line-1/oven/open: false}, expect: {finding: []}}\n  b: {expect: {finding: []}}\n",
        {"a"},
    ),
    "deep in a test": (
        "  b: {expect: {finding: []}}\n  a:\n    expect:\n      finding: []\n      finding: [NX1017]\n",
        {"a"},
    ),
    "of the name": (
        "  a: {expect: {finding: []}}\n  b: {expect: {finding: []}}\n  a: {expect: {finding: [NX1017]}}\n",
        {"a"},
    ),
    "of `tests`": ("  a: {expect: {finding: []}}\ntests:\n  b: {expect: {finding: []}}\n", {"a"}),
}


@pytest.mark.parametrize("case", TWICE, ids=list(TWICE))
def test_a_test_whose_text_has_a_key_twice_does_not_run(tmp_path: Path, case: str) -> None:
    text, broken = TWICE[case]
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "x.yaml").write_text("tests:\n" + text)
    found, _ = run_tests(tmp_path)
    assert set(found.broken) == {f"x/{name}" for name in broken}
    assert not {one.case.name for one in found.tried} & broken
    assert ("b" in {one.case.name for one in found.tried}) == (case != "of `tests`")
    assert {one.code for one in found.findings} == {"NX0012"}
    assert not found.passed


def of_files(folder: Path, **texts: str) -> Report:
    (folder / "site.yaml").write_text(SITE)
    (folder / "tests").mkdir()
    for name, text in texts.items():
        (folder / "tests" / name.replace("__", ".")).write_text("tests:\n" + text)
    return run_tests(folder)[0]


OPEN = "{given: {hall/line-1/oven/open: true}, expect: {sample: {hall/line-1/oven/open: %s}}}\n"


@pytest.mark.parametrize(
    "texts",
    [
        {"x__yaml": f"  1: {OPEN % 'true'}  '1': {OPEN % 'false'}"},
        {"x__yaml": f"  1: {OPEN % 'true'}", "x__yml": f"  1: {OPEN % 'false'}"},
    ],
    ids=["a number and a text", "two endings"],
)
def test_of_two_tests_with_one_name_the_second_is_a_finding(tmp_path: Path, texts: dict[str, str]) -> None:
    found = of_files(tmp_path, **texts)
    assert [(one.case.id, one.passed) for one in found.tried] == [("x/1", True)]
    assert [(one.code, "there is a test 'x/1' already, at " in one.message) for one in found.findings] == [
        ("NX1100", True)
    ]
    assert not found.passed


def test_one_tag_given_under_two_spellings_is_a_finding(tmp_path: Path) -> None:
    body = "{given: {hall/line-1/oven/open: true, acme/plant/hall/line-1/oven/open: false}, expect: {finding: []}}"
    found = of_files(tmp_path, x__yaml=f"  a: {body}\n")
    assert [(one.code, one.message) for one in found.findings] == [("NX1100", "'hall/line-1/oven/open' is given twice")]
    assert found.broken == ("x/a",)


@pytest.mark.parametrize("number", ["4200", "0x10ff", "00420000", "1e10"])
def test_bytes_that_yaml_reads_as_a_number_are_refused(tmp_path: Path, number: str) -> None:
    body = f"{{given: {{hall/line-1/oven/flow: {{bytes: {number}}}}}, expect: {{finding: []}}}}"
    found = of_files(tmp_path, x__yaml=f"  a: {body}\n")
    assert [one.code for one in found.findings] == ["NX1104"]
    assert "42 48 00 00" in found.findings[0].hint


@pytest.mark.parametrize("form", [".nan", "{value: .inf}", "{value: -.inf, at: 1s}"])
@pytest.mark.parametrize("kind", ["sample", "row"])
def test_a_value_that_no_sample_has_is_a_finding_not_a_failure(tmp_path: Path, kind: str, form: str) -> None:
    wanted = f"[{form}]" if kind == "row" else form
    body = f"{{given: {{hall/line-1/oven/flow: .nan}}, expect: {{{kind}: {{hall/line-1/oven/flow: {wanted}}}}}}}"
    found = of_files(tmp_path, x__yaml=f"  a: {body}\n")
    assert [one.code for one in found.findings] == ["NX1106"]
    assert found.findings[0].hint == "{quality: BAD, reason: not_a_number}"
    right = "{quality: BAD, reason: not_a_number}" if kind == "sample" else "[{quality: BAD}]"
    good = f"{{given: {{hall/line-1/oven/flow: .nan}}, expect: {{{kind}: {{hall/line-1/oven/flow: {right}}}}}}}"
    (tmp_path / "tests" / "x.yaml").write_text(f"tests:\n  a: {good}\n")
    assert run_tests(tmp_path)[0].passed


def test_what_can_not_be_read_is_a_finding_and_the_other_files_run(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    (folder / "folder.yaml").mkdir(parents=True)
    (folder / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (folder / ".#good.yaml").symlink_to("editor@host.4711")  # the lock of an editor that has good.yaml open
    os.mkfifo(folder / "pipe.yaml")
    (tmp_path / "site.yaml").write_text(SITE)
    (folder / "good.yaml").write_text("tests:\n  a: {expect: {finding: []}}\n")
    found, _ = run_tests(tmp_path)
    assert sorted((one.code, Path(one.message.split("'")[1]).name) for one in found.findings) == [
        ("NX0001", "folder.yaml"),
        ("NX0001", "gone.yaml"),
        ("NX0001", "pipe.yaml"),
    ]
    assert [one.case.id for one in found.tried] == ["good/a"] and not found.passed
