"""CLI sessions as text: `$ nexus …`, what it prints, and `[exit N]`.

In expected output `[..]` stands for any part of a line. With NEXUS_SNAPSHOT=1 the tests write what they see
instead of comparing; look at the diff before committing it.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
from click.testing import CliRunner

from tests.forks import nexus

REGENERATE = bool(os.environ.get("NEXUS_SNAPSHOT"))
_EXIT = re.compile(r"\[exit (\d+)\]\Z")


@dataclass(frozen=True)
class Step:
    """One command of a session and what it should answer."""

    command: str
    expected: str
    code: int


def parse(text: str) -> list[Step]:
    """The steps of a session; a step without `[exit N]` ends with 0."""
    steps: list[Step] = []
    command, lines = "", []
    for line in [*text.splitlines(), "$ "]:
        if not line.startswith("$ "):
            lines.append(line)
            continue
        if command:
            steps.append(_step(command, lines))
        command, lines = line[2:].strip(), []
    return steps


def _step(command: str, lines: list[str]) -> Step:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    code = 0
    if lines and (match := _EXIT.match(lines[-1])):
        code, lines = int(match[1]), lines[:-1]
    return Step(command, "\n".join(lines).strip("\n"), code)


def render(steps: list[Step]) -> str:
    """The text of a session."""
    blocks = [
        f"$ {step.command}\n" + (f"{step.expected}\n" if step.expected else "") + f"[exit {step.code}]\n"
        for step in steps
    ]
    return "\n".join(blocks)


def agrees(expected: str, actual: str) -> bool:
    """True when the output is as expected, `[..]` standing for anything within a line."""
    pattern = re.escape(expected).replace(re.escape("[..]"), r"[^\n]*")
    return re.fullmatch(pattern, actual) is not None


def run_process(command: str, *, cwd: Path) -> Step:
    """Run `nexus …` (or `cat FILE`) in a process of its own, a fork (`tests/forks.py`); stderr is part of the output."""
    words = shlex.split(command)
    if words[0] == "cat":
        return Step(command, (cwd / words[1]).read_text(encoding="utf-8").strip("\n"), 0)
    assert words[0] == "nexus", f"a session runs nexus, not {words[0]}"
    ours = {key for key in os.environ if key.startswith("NEXUS_") and key != "NEXUS_LOCKS"}
    environ = {key: value for key, value in os.environ.items() if key not in {*ours, "FORCE_COLOR"}}
    with tempfile.TemporaryDirectory(prefix="nexus-said-") as kept:
        said = Path(kept, "all")
        child = nexus(words[1:], folder=cwd, environment={**environ, "NO_COLOR": "1", "COLUMNS": "100"}, log=said)
        try:
            code = child.wait(120)
        finally:
            child.kill()
        return Step(command, _trim(said.read_text(encoding="utf-8")), code)


def run_inside(command: str, *, cwd: Path) -> Step:
    """Run `nexus …` in this process: fast, for commands that only read files."""
    from nexus_cli.cli.main import cli

    words = shlex.split(command)
    assert words[0] == "nexus", f"a session runs nexus, not {words[0]}"
    before = Path.cwd()
    os.chdir(cwd)
    try:
        result = CliRunner().invoke(cli, words[1:], standalone_mode=False, env={"NO_COLOR": "1"})
    finally:
        os.chdir(before)
    if isinstance(result.exception, click.ClickException):
        return Step(command, _trim(result.output + result.exception.format_message()), 64)
    if result.exception is not None:
        raise result.exception
    return Step(command, _trim(result.output), int(result.return_value or 0))


def _trim(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.splitlines()).strip("\n")
