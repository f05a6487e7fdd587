"""What is offered for a path that does not exist, by every command that takes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.discover.importers import import_file
from nexus_cli.project.fmt import fmt
from nexus_cli.project.text import locate


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sites/plant").mkdir(parents=True)
    (tmp_path / "sites/plant/site.yaml").write_text("nexus: 1\n")
    (tmp_path / "monday.plan").write_text("")
    (tmp_path / ".hidden.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("sites/plnt", "did you mean 'sites/plant'?"),
        ("sites/plant/site.yml", "did you mean 'sites/plant/site.yaml'?"),
        ("mondy.plan", "did you mean 'monday.plan'?"),
        ("stes/plant/site.yaml", "there is no folder 'stes'; did you mean 'sites'?"),
        ("nowhere/at/all.yaml", "there is no folder 'nowhere'"),
        ("hidden.yaml", ""),
        ("monday.plan/site.yaml", ""),
        ("quite-another-thing", ""),
    ],
)
def test_near_names_are_offered(path: str, hint: str) -> None:
    assert hint_of_missing(path) == hint


def test_each_command_names_what_is_missing() -> None:
    mistyped = "sites/plant/site.yml"
    site = locate(mistyped).findings[0]
    style = fmt([mistyped], write=False).findings[0]
    table = import_file(Path(mistyped)).findings[0]
    for found in (site, style, table):
        assert mistyped in found.message and found.hint == "did you mean 'sites/plant/site.yaml'?"


def test_a_saved_plan_that_is_missing_is_no_reason_to_begin_a_site() -> None:
    found = locate("friday.bin").findings[0]
    assert found.message == "there is no file or folder 'friday.bin'"
    assert "nexus init" not in found.hint and "nexus plan --out friday.bin" in found.hint
