"""Processes that are forked from one that has imported the whole package, once for each worker of a test run.

`python -m nexus_cli` uses one to two seconds of processor before its first line of work, and the tests start hundreds.
A fork is a process as any other: it is killed, stopped and waited for, it has its own folder, environment and exit
code. What it does not show is that the imports of a command or role are complete; `tests/integration/test_demo.py`,
`test_local_runtime.py` and `test_packaging.py` start interpreters.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_cli.cli.main import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


class Fork:
    """A forked process, with the words of `subprocess.Popen`.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        """Start it: `work` is a function of a module, its arguments can be pickled."""
        self._process = _CONTEXT.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As `Popen.returncode`: minus the signal that ended it; None while it lives."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, `timeout` seconds at most (`subprocess.TimeoutExpired`)."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def nexus(arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> Fork:
    """Start `nexus ARGUMENTS` in a folder; what it says goes to the end of a file."""
    return Fork(_nexus, list(arguments), str(folder), dict(environment), str(log), str(log))


def run_nexus(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `nexus ARGUMENTS` to its end, as `subprocess.run` with `capture_output` and an empty stdin."""
    with tempfile.TemporaryDirectory(prefix="nexus-said-") as kept:
        said, failed = Path(kept, "out"), Path(kept, "err")
        child = Fork(_nexus, list(arguments), str(folder), dict(environment), str(said), str(failed))
        try:
            code = child.wait(timeout_s)
        finally:
            child.kill()
        return subprocess.CompletedProcess(
            ["nexus", *arguments], code, *(path.read_text(encoding="utf-8") for path in (said, failed))
        )


def redirect(out: str, err: str) -> None:
    """In a fork: standard output and standard error go to the ends of these files."""
    for number, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    streams: dict[str, Any] = {"encoding": "utf-8", "closefd": False}
    sys.stdout = open(1, "w", **streams)  # noqa: SIM115 - as long as the process
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", **streams)  # noqa: SIM115


def _nexus(arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    redirect(out, err)
    sys.argv = ["nexus", *arguments]
    main()
