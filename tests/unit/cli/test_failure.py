"""The one boundary: what a command says when something it did not foresee fails."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nexus_cli.cli.failure import MACHINE, report
from nexus_cli.diagnostics.errors import NexusError


@pytest.mark.parametrize("number", MACHINE)
def test_a_disk_that_refuses_is_no_bug(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    code = report(OSError(number, os.strerror(number), "/plant/.nexus"))
    told = capsys.readouterr().err
    assert code == 6
    assert told.splitlines()[0] == "error[NX6000]: '/plant/.nexus' can't be used."
    assert os.strerror(number) in told and MACHINE[number] in told


def test_anything_else_is_our_bug_and_is_kept_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (KeyError("x"), OSError(errno.EBADF, "bad descriptor")):
        assert report(error) == 70
        assert "error[NX9000]: this is a bug in nexus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seen", "hint"),
    [
        ({"state": "starting"}, "control is starting: try again in a few seconds; `nexus status` shows it"),
        ({"state": "waiting", "detail": "waits for the database"}, "control is starting (waits for the database): "),
        ({"state": "backoff", "detail": "exit code 1"}, "control ended and is started again (exit code 1): "),
        ({"state": "running"}, "is the runtime up?"),
        ({}, "is the runtime up?"),
    ],
)
def test_a_control_that_starts_is_said_to_start(
    seen: dict[str, str],
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path))
    monkeypatch.delenv("NEXUS_CONTROL_URL", raising=False)
    monkeypatch.setattr("nexus_cli.project.control_start.read_state", lambda _: {"control": seen})
    error = NexusError("Control at http://x does not answer.", code="NX6400", hint="is the runtime up?")
    assert report(error) == 6
    assert f"  = hint: {hint}" in capsys.readouterr().err
    monkeypatch.setenv("NEXUS_CONTROL_URL", "http://elsewhere")
    report(error)
    assert "= hint: is the runtime up?" in capsys.readouterr().err


def test_the_outside_world_has_cause_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NexusError("It is gone.", code="NX6010", cause="refused", hint="start it")) == 6
    assert capsys.readouterr().err == "error[NX6010]: It is gone.\n  = cause: refused\n  = hint: start it\n"
