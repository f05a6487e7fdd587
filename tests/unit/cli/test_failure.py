"""The one boundary: what a command says when something it did not foresee fails."""

from __future__ import annotations

import errno
import os

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


def test_the_outside_world_has_cause_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NexusError("It is gone.", code="NX6010", cause="refused", hint="start it")) == 6
    assert capsys.readouterr().err == "error[NX6010]: It is gone.\n  = cause: refused\n  = hint: start it\n"
