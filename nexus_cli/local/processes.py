"""Detached processes with a pid file. A pid may have been reused, so it is stored with the start time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import write_private
from nexus_cli.local.identity import Identity

LOG_SIZE_BYTES = 5_000_000
"""Size at which a log is rotated; one older file is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The identity of a process that was running.

    Attributes:
        pid: Process id.
        started: Its start in clock ticks since boot (Linux), else seconds since 1970: distinguishes it from a later
            process with the same id, whatever the wall clock did meanwhile.
    """

    pid: int
    started: float


def identify(pid: int) -> Running | None:
    """The process with this id, or None when there is none (or only a zombie)."""
    try:
        if sys.platform == "linux":
            # proc(5): the name in parentheses may contain spaces; state is field 3, starttime field 22.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            return None if fields[0] in ("Z", "X") else Running(pid=pid, started=float(fields[19]))
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Running(pid=pid, started=process.create_time())
    except (OSError, psutil.Error, IndexError):
        return None


def is_alive(process: Running) -> bool:
    """True while this very process runs."""
    return identify(process.pid) == process


class PidFile:
    """`run/NAME.pid`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Running | None:
        """The process in the file, if it still runs."""
        process = self._named()
        return process if process is not None and is_alive(process) else None

    def _named(self) -> Running | None:
        try:
            data = orjson.loads(self.path.read_bytes())
            return Running(pid=int(data["pid"]), started=float(data["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, process: Running) -> None:
        """Write a process to the file."""
        write_private(self.path, orjson.dumps({"pid": process.pid, "started": process.started}), mode=0o644)

    def remove(self, owner: Running | None = None) -> None:
        """Remove the file; with an owner only if it names that process, so that a successor's file stays."""
        if owner is not None and self._named() not in (owner, None):
            return
        self.path.unlink(missing_ok=True)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    folder: Path | None = None,
    identity: Identity | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a new session, with stdout and stderr appended to a log.

    Args:
        command: Program and arguments; never a secret (arguments are world-readable).
        log: The log file; see `rotate`.
        environment: Its complete environment.
        folder: Working directory.
        identity: User to drop to.

    Raises:
        NexusError: NX6502, the program could not be started.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drop = identity.popen_arguments() if identity else {}
    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=folder,
                # Its own session: a Ctrl-C or the end of the terminal does not reach it.
                start_new_session=True,
                **drop,
            )
        except OSError as error:
            raise NexusError(
                f"{Path(command[0]).name} could not be started.", code="NX6502", cause=str(error), retriable=True
            ) from None


def stop(process: Running, *, signals: Sequence[tuple[signal.Signals, float]]) -> bool:
    """End a process: send each signal in turn, with its waiting time in seconds; True once it has ended.

    Blocking; for the command line and tests. The supervisor does the same without blocking.
    """
    for number, patience_s in signals:
        if not send(process, number):
            return True
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not is_alive(process):
                return True
            time.sleep(0.02)
    return not is_alive(process)


def send(process: Running, number: signal.Signals) -> bool:
    """Send a signal if this process still runs; False if not."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def rotate(log: Path, *, limit_bytes: int = LOG_SIZE_BYTES) -> bool:
    """Rotate a log above the limit: copy it to `.1`, then truncate it in place.

    The writer has the file open in append mode, so it continues at the new end; lines written between copy and
    truncation are lost, which is acceptable for a log.
    """
    try:
        if log.stat().st_size <= limit_bytes:
            return False
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)
    except OSError:
        return False
    return True


def last_line(log: Path) -> str:
    """The last error of a log's newest lines, else the last line; "" when there is none."""
    try:
        with log.open("rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - 2000))
            lines = opened.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    errors = (line.strip()[:300] for line in reversed(lines) if line.strip().startswith("error["))
    return next(errors, "") or (lines[-1].strip()[:300] if lines else "")
