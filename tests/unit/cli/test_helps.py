"""What `--help` says of every command: its exit codes, and of a group each command in a whole sentence."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from nexus_cli.cli.main import COMMANDS, cli


def every(command: click.Command, context: click.Context, name: str) -> Iterator[tuple[str, click.Command, str]]:
    """A command, those below it, and their help at 80 columns."""
    here = click.Context(command, parent=context, info_name=name.rpartition(" ")[2], terminal_width=80)
    yield name, command, command.get_help(here)
    for below, each in command.commands.items() if isinstance(command, click.Group) else ():
        yield from every(each, here, f"{name} {below}")


def runs(command: click.Command) -> bool:
    """False for a group that only holds others."""
    return not isinstance(command, click.Group) or command.invoke_without_command


@pytest.fixture(scope="module")
def helps() -> list[tuple[str, click.Command, str]]:
    top = click.Context(cli, info_name="nexus", terminal_width=80)
    found = [(name, cli.get_command(top, name)) for name in COMMANDS]
    return [each for name, command in found if command for each in every(command, top, name)]


def test_no_command_of_a_group_is_cut(helps: list[tuple[str, click.Command, str]]) -> None:
    groups = [(name, text) for name, command, text in helps if isinstance(command, click.Group)]
    assert len(groups) > 15
    cut = [
        (name, line)
        for name, text in groups
        for line in text.partition("\nCommands:\n")[2].splitlines()
        if line.endswith("...")
    ]
    assert cut == []


def test_every_help_names_its_exit_codes(helps: list[tuple[str, click.Command, str]]) -> None:
    run = [(name, text) for name, command, text in helps if runs(command)]
    assert len(run) > 100
    assert [name for name, text in run if "Exit codes:" not in text] == []
