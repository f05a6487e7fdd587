"""Every command that speaks with a runtime knows that its folder may be a copy of another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from nexus_cli.cli import options
from nexus_cli.cli.main import COMMANDS

BY_THEMSELVES = {"up", "down", "status"}
"""They go by the processes, each in its own way."""
FILES_ALONE = {"access list", "access who-can", "access can", "access explain", "access render"}
"""Commands of a group that ask the site file."""
OF_NO_RUNTIME = {
    "init",
    "validate",
    "test",
    "comment",
    "fmt",
    "schema",
    "explain",
    "find",
    "discover",
    "adopt",
    "probe",
    "certs",
    "demo",
    "sim",
    "approve",
}


def _leaves(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from _leaves(each)
    else:
        yield command


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - BY_THEMSELVES - OF_NO_RUNTIME))
def test_a_command_of_the_runtime_asks_whose_it_is(name: str) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    for command in _leaves(getattr(import_module(module), attribute)):
        if f"{name} {command.name}" in FILES_ALONE:
            continue
        assert hasattr(command.callback, "of_runtime"), f"{name} {command.name}: changes_runtime or reads_runtime"


def test_a_change_is_refused_and_an_answer_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("nexus_cli.project.copied.original", lambda _address: tmp_path / ".nexus")
    with pytest.raises(Exception, match="nothing was changed"):
        options.changes_runtime("NEXUS_CONTROL_URL")(lambda: 0)()
    assert options.reads_runtime("NEXUS_BROKER_URL")(lambda: 7)() == 7
    assert (
        capsys.readouterr().err == f"this folder is a copy of {tmp_path}: the answer is from the runtime of that one\n"
    )


def test_the_runtime_of_another_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("NEXUS_") and name != "NEXUS_LOCKS"]:
        monkeypatch.delenv(name)
    for site in ("plant", "other"):
        (tmp_path / site / ".nexus").mkdir(parents=True)
        (tmp_path / site / ".nexus/runtime.json").write_text("{}", encoding="utf-8")

    @click.command("apply")
    @options.site_argument
    @options.changes_runtime("NEXUS_CONTROL_URL")
    def command(path: str | None) -> None:
        """Do nothing."""

    told = f"this is the runtime of {tmp_path}/plant, where the site is, not the one of {tmp_path}/other\n"
    for folder, argument, expected in (
        ("other", "../plant/q.plan", told),
        ("other", "q.plan", ""),
        ("plant", "../plant/q.plan", ""),
        (".", "plant/q.plan", ""),
    ):
        monkeypatch.chdir(tmp_path / folder)
        command.main([argument], standalone_mode=False)
        assert capsys.readouterr().err == expected, (folder, argument)
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("NEXUS_CONTROL_URL", "http://elsewhere")
    command.main(["../plant/q.plan"], standalone_mode=False)
    assert capsys.readouterr().err == ""
