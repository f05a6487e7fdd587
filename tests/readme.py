"""The tour of the README, taken as it is there: every `$` line of its ```console blocks is run, in order.

What a command prints must be what stands under it. `...` stands for any lines. Behind `nexus up` figures change from
run to run: there every number and every run of spaces counts as equal, and progress (stderr) is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.children import bare_environment

README = Path(__file__).parent.parent / "README.md"
PORT = "15020"
"""Where the first site of `nexus init` has its device; the tests take a free port instead."""
_TOUR = re.compile(r"^## Five minutes$(.*?)^## ", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```console$\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHANGING = ("nexus up", "nexus sim", "nexus tail", "nexus history", "nexus down")

_SAMPLES = re.compile(r"[\d,]+ samples? since \d{4}-\d\d-\d\d, about [\d.,]+ [kMG]?B")
"""How many there are depends on how long the plant has run."""


@dataclass(frozen=True)
class Line:
    """One command and what the README says it prints."""

    command: str
    expected: str


def tour() -> list[Line]:
    """The commands of the tour, in order."""
    found = _TOUR.search(README.read_text(encoding="utf-8"))
    assert found is not None, "the README has a tour: ## Five minutes"
    lines: list[Line] = []
    for block in _BLOCK.findall(found[1]):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            lines.append(Line(command, expected.strip("\n")))
    return lines


def offline(lines: list[Line]) -> list[Line]:
    """Those before the first that starts a server."""
    first = next(index for index, line in enumerate(lines) if line.command.startswith("nexus sim"))
    return lines[:first]


class Terminal:
    """A folder in which the commands are typed."""

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.port = str(port)
        self.background: list[subprocess.Popen[str]] = []
        kept = bare_environment(self.folder / "locks")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environ = {**kept, "NO_COLOR": "1", "COLUMNS": "100", "PATH": path}

    def type(self, line: Line) -> None:
        """Run one line and hold it against what the README says."""
        if line.command.startswith("cd "):
            self.folder = self.folder / line.command[3:]
            return
        if line.command.endswith("&"):
            self._start(line)
            return
        live = bool(self.background)
        done = subprocess.run(
            line.command,
            shell=True,  # the README's own text
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if live else subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        self._compare(line, done.stdout)
        site = self.folder / "plant" / "site.yaml"
        if line.command.startswith("nexus init"):
            site.write_text(site.read_text(encoding="utf-8").replace(PORT, self.port), encoding="utf-8")

    def _start(self, line: Line) -> None:
        process = subprocess.Popen(
            line.command.rstrip("& ").split(),
            cwd=self.folder,
            env={**self._environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.background.append(process)
        assert process.stdout is not None
        self._compare(line, "".join(process.stdout.readline() for _ in line.expected.splitlines()))

    def _compare(self, line: Line, seen: str) -> None:
        said, seen = _SAMPLES.sub("# samples", line.expected), seen.replace(self.port, PORT).strip("\n")
        seen = _SAMPLES.sub("# samples", seen)
        seen = "\n".join(each.rstrip() for each in seen.splitlines())
        if line.command.startswith(_CHANGING):
            said, seen = _figures_aside(said), _figures_aside(seen)
        pattern = re.escape(said).replace(re.escape("..."), r"[\s\S]*?")
        assert re.fullmatch(pattern, seen), f"$ {line.command}\nthe README says:\n{line.expected}\n\nseen:\n{seen}"

    def leave(self) -> None:
        """End what was left in the background."""
        for process in self.background:
            process.terminate()
            process.communicate(timeout=20)


def _figures_aside(text: str) -> str:
    text = re.sub(r"-?\d[\d.:]*(e[-+]?\d+)?", "#", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"\b(ms|s|min)\b", "s", text))
