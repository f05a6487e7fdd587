"""A file that a person or a CI job names and that can't be written is an error with a code, never a bug of nexus."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.output_file import append_summary, write_text
from nexus_cli.project.schema import write

DEMO = str(Path(__file__).parents[3] / "sites" / "demo")


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A path below a file: nobody can write it, root neither."""
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file" / "below"


@pytest.mark.parametrize(
    "arguments",
    [["test", DEMO, "--junit", "BLOCKED"], ["schema", "--out", "BLOCKED"]],
    ids=["junit", "schema"],
)
def test_an_option(arguments: list[str], blocked: Path) -> None:
    result = CliRunner().invoke(cli, [str(blocked) if each == "BLOCKED" else each for each in arguments])
    assert isinstance(result.exception, NexusError)
    assert (result.exception.code, result.exception.exit_code) == ("NX6523", 1)
    assert blocked.parent.read_text() == "mine"


def test_the_result_is_shown_although_the_file_is_not_written(blocked: Path) -> None:
    result = CliRunner().invoke(cli, ["test", DEMO, "--junit", str(blocked)])
    assert "7 passed" in result.output


def test_the_summary_of_a_job(blocked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(blocked))
    result = CliRunner().invoke(cli, ["validate", DEMO, "--format", "github"])
    assert isinstance(result.exception, NexusError)
    assert result.exception.code == "NX6523"
    assert "GITHUB_STEP_SUMMARY" in result.exception.hint


def test_what_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "report.xml", "ä\n")
    assert (tmp_path / "new" / "report.xml").read_bytes() == "ä\n".encode()
    append_summary(str(tmp_path / "summary.md"), "one\n")
    append_summary(str(tmp_path / "summary.md"), "two\n")
    assert (tmp_path / "summary.md").read_text() == "one\ntwo\n"


def test_pages_of_codes_replace_no_page_of_a_person(tmp_path: Path) -> None:
    for name in ("mine.md", "CONTRIBUTING.md", "NX0000.md"):
        (tmp_path / name).write_text("words")
    write(tmp_path, {"NX0001.md": "a page", "README.md": "an index"})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["CONTRIBUTING.md", "NX0001.md", "README.md", "mine.md"]
