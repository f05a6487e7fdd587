"""The live line of `fmt`: on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.cli.main import cli

SITE = "nexus: 1\nenterprise: acme\nsite: chicago\n"


@pytest.fixture
def sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield tmp_path


def formatted(stderr: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with os.fdopen(stderr, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        cli.main(["fmt", "--check", "."], standalone_mode=False)
        monkeypatch.undo()


def test_a_terminal_is_shown_which_file_it_is_at(sites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    formatted(theirs, monkeypatch)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal whose other side is closed
        while part := os.read(ours, 65_536):
            shown += part
    os.close(ours)
    assert b"formatting" in shown


def test_a_pipe_gets_no_line(sites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    formatted(theirs, monkeypatch)
    assert os.read(ours, 65_536) == b""
    os.close(ours)
