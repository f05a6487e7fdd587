"""A command whose output is closed, full or without a reader: it says so, and its exit code means what it does otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEXUS = "from nexus_cli.cli.main import main; main()"
FULL = Path("/dev/full")


def shell(tmp_path: Path, end: str, *arguments: str, code: str = NEXUS) -> subprocess.CompletedProcess[str]:
    """`python -c CODE ARGUMENTS`, followed by redirections."""
    line = f'exec "$0" -c "$1" {" ".join(arguments)} {end}'
    return subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, code], capture_output=True, text=True, cwd=tmp_path, check=False
    )


needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@needs_full
@pytest.mark.parametrize("arguments", [("explain", "NX0001"), ("explain", "NX0001", "--format", "json")])
def test_an_answer_that_can_not_be_written_is_no_bug(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    found = shell(tmp_path, "> /dev/full", *arguments)
    assert found.returncode == 6
    assert found.stderr.startswith("error[NX6000]: The answer can't be written to stdout.\n  = cause: No space left")


@pytest.mark.parametrize("arguments", [("explain", "NX0001"), ("explain", "NX0001", "--format", "json")])
def test_a_command_whose_reader_has_gone_does_not_end_well(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        found = subprocess.run(
            [sys.executable, "-c", NEXUS, *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    finally:
        os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.parametrize("end", ["2> /dev/full", "2>&-", "< /dev/null 2>&- <&-"])
@pytest.mark.parametrize(("arguments", "code"), [(("validate", "none.yaml"), 1), (("bogus",), 64)])
def test_the_exit_code_is_the_same_when_nothing_can_be_said(
    tmp_path: Path, arguments: tuple[str, ...], code: int, end: str
) -> None:
    if "full" in end and not FULL.exists():
        pytest.skip("no /dev/full here")
    assert shell(tmp_path, end, *arguments).returncode == code


def test_a_closed_stdout_is_read_by_nobody(tmp_path: Path) -> None:
    found = shell(tmp_path, ">&-", "explain", "NX0001")
    assert (found.returncode, found.stderr) == (0, "")


def test_no_file_of_the_command_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "from nexus_cli.cli.streams import open_closed, let_go; open_closed(); f = open('data', 'w'); print('for people'); "
        "f.write(str(f.fileno() > 2)); f.close(); let_go()"
    )
    found = shell(tmp_path, "<&- >&- 2>&-", code=code)
    assert found.returncode == 0 and (tmp_path / "data").read_text() == "True"
