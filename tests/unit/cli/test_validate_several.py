"""`nexus validate` of several sites, of the sites of changed files, and its JUnit form."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.sessions import run_inside

ROOT = Path(__file__).parents[3]
SITE = "nexus: 1\nenterprise: acme\nsite: {name}\nareas: {{a: {{lines: {{l: {{devices: {{d: {{protocol: modbus, connection: {{host: h}}, tags: {{v: {{address: 'input:0', type: {type}}}}}}}}}}}}}}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, kind in (("one", "uint16"), ("two", "uint16"), ("bad", 'uint17 <&\\"')):
        (tmp_path / name / "parts").mkdir(parents=True)
        text = SITE.format(name=name, type=kind if name != "bad" else '"uint17 <&"')
        (tmp_path / name / "site.yaml").write_text(text, encoding="utf-8")
        (tmp_path / name / "parts/x.yaml").write_text("areas: {}\n", encoding="utf-8")
    (tmp_path / "other.yaml").write_text("a: 1\n", encoding="utf-8")
    return tmp_path


def test_several_sites_have_one_answer(folder: Path) -> None:
    step = run_inside("nexus validate one two/site.yaml one", cwd=folder)
    assert (step.code, step.expected) == (0, "Valid. acme/one, acme/two: 2 devices, 2 tags.")
    found = json.loads(run_inside("nexus validate one two --format json", cwd=folder).expected)
    assert [site["name"] for site in found["site"]["sites"]] == ["acme/one", "acme/two"]
    step = run_inside("nexus validate one bad", cwd=folder)
    assert step.code == 1 and "bad/site.yaml:4:" in step.expected and "Not valid: 1 error" in step.expected
    assert run_inside("nexus validate one missing", cwd=folder).code == 1


def test_a_folder_of_sites_stands_for_them(folder: Path) -> None:
    step = run_inside("nexus validate .", cwd=folder)
    assert step.code == 1 and "bad/site.yaml:4:" in step.expected
    (folder / "bad/site.yaml").unlink()
    assert run_inside("nexus validate .", cwd=folder).expected == "Valid. acme/one, acme/two: 2 devices, 2 tags."
    step = run_inside("nexus plan .", cwd=folder)
    assert "it holds 2 sites, name one: one, two" in step.expected


def test_changed_files_name_the_sites_that_hold_them(folder: Path) -> None:
    step = run_inside(
        "nexus validate --containing one/parts/x.yaml one/site.yaml two/parts/x.yaml other.yaml", cwd=folder
    )
    assert (step.code, step.expected) == (0, "Valid. acme/one, acme/two: 2 devices, 2 tags.")
    assert run_inside("nexus validate --containing bad/parts/x.yaml", cwd=folder).code == 1
    step = run_inside("nexus validate --containing other.yaml", cwd=folder)
    assert (step.code, step.expected) == (0, "No site holds these files.")


def test_junit_has_a_case_a_finding_and_one_for_a_site_without(folder: Path) -> None:
    step = run_inside("nexus validate bad --format junit", cwd=folder)
    root = ElementTree.fromstring(step.expected)
    suite = root.find("testsuite")
    assert step.code == 1 and suite is not None
    assert suite.attrib == {
        "name": "bad/site.yaml",
        "file": "bad/site.yaml",
        "tests": "1",
        "failures": "1",
        "errors": "0",
    }
    case = suite.find("testcase")
    assert case is not None and case.attrib["classname"] == "bad/site.yaml" and case.attrib["name"] == "NX1006 4:117"
    failure = case.find("failure")
    assert failure is not None and str(failure.text).startswith("bad/site.yaml:4:117\n")
    assert failure is not None and "uint17 <&" in failure.attrib["message"] and "hint: " in str(failure.text)
    fine = ElementTree.fromstring(run_inside("nexus validate one --format junit", cwd=folder).expected)
    assert [case.attrib["name"] for case in fine.iter("testcase")] == ["valid"]


def test_the_hooks_of_pre_commit_name_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in hooks} == {"nexus-validate", "nexus-fmt"}
    for hook in hooks:
        assert run_inside(f"{hook['entry'].split(' -')[0]} --help", cwd=ROOT).code == 0
        assert hook["language"] == "python"
