"""The part of the README's tour that needs no runtime."""

from __future__ import annotations

from pathlib import Path

from tests.readme import Terminal, offline, tour


def test_the_tour_until_the_first_server(tmp_path: Path) -> None:
    lines = offline(tour())
    assert [line.command.split()[:2] for line in lines if line.command.startswith("nexus")][:2] == [
        ["nexus", "init"],
        ["nexus", "validate"],
    ]
    terminal = Terminal(tmp_path, port=15020)
    for line in lines:
        terminal.type(line)
