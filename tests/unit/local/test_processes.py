"""Processes are known by id and start time, stopped by id, and their logs stay bounded."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.processes import PidFile, Running, identify, is_alive, rotate, spawn, stop
from tests.waiting import PATIENCE_S


def test_a_process_is_started_named_and_stopped(tmp_path: Path) -> None:
    child = spawn(
        [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(60)"],
        log=tmp_path / "logs" / "x.log",
        environment={},
    )
    running = identify(child.pid)
    assert running is not None
    file = PidFile(tmp_path / "run" / "x.pid")
    file.write(running)
    assert file.read() == running
    stop(running, signals=[(signal.SIGTERM, 5.0)])
    assert child.wait(PATIENCE_S) == -signal.SIGTERM
    assert not is_alive(running)
    assert file.read() is None


def test_a_reused_pid_is_not_ours(tmp_path: Path) -> None:
    file = PidFile(tmp_path / "x.pid")
    file.write(Running(pid=os.getpid(), started=1.0))
    assert file.read() is None
    assert stop(Running(pid=os.getpid(), started=1.0), signals=[(signal.SIGKILL, 0.1)])


def test_a_broken_pid_file_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "x.pid").write_text("{", encoding="utf-8")
    assert PidFile(tmp_path / "x.pid").read() is None


def test_a_missing_program_is_one_plain_sentence(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as caught:
        spawn([str(tmp_path / "nothing")], log=tmp_path / "x.log", environment={})
    assert caught.value.code == "NX6502"


def test_a_log_is_turned_over_and_the_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab") as writer:
        writer.write(b"a" * 100)
        writer.flush()
        assert rotate(log, limit_bytes=50)
        writer.write(b"after")
        writer.flush()
    assert log.read_bytes() == b"after"
    assert (tmp_path / "x.log.1").stat().st_size == 100
    assert not rotate(log, limit_bytes=50)
