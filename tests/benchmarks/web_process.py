"""The processes of web's benchmark: its server, asked line by line, and its clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from tests.servers import free_port

END_S = 30.0


@dataclass
class WebProcess:
    """A server of `web_server`."""

    port: int
    process: subprocess.Popen[str]
    paths: Path

    def ask(self, line: str) -> dict[str, Any]:
        """One line, and its answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None  # pipes were asked for
        stdin.write(line + "\n")
        stdin.flush()
        return _line(stdout)

    def clients(self, kind: str, count: int, seconds: float) -> tuple[dict[str, Any], float]:
        """Run clients of `web_clients`; gives what they counted, and the CPU seconds of the server meanwhile."""
        arguments = [str(self.port), kind, str(count), str(seconds), str(self.paths)]
        command = [sys.executable, "-m", "tests.benchmarks.web_clients", *arguments]
        self.ask(f"time {int(kind == 'read' and count == 1)}")
        before = self.ask("stats")["cpu_s"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None  # as above
            if kind == "watch":
                _line(other.stdout)
                before = self.ask("stats")["cpu_s"]
            found = _line(other.stdout)
            used = self.ask("stats")["cpu_s"] - before
        return found, used


def _line(stream: IO[str]) -> dict[str, Any]:
    line = stream.readline()
    if not line:
        raise RuntimeError("a process of the benchmark has ended")
    found: dict[str, Any] = orjson.loads(line)
    return found


@contextmanager
def web_process(kind: str, resources: Path, paths: Path, *, broker: str = "") -> Iterator[WebProcess]:
    """A server while the block runs."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.web_server",
        kind,
        str(port),
        str(resources),
        *([broker] * bool(broker)),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # a pipe was asked for
        _line(process.stdout)
        yield WebProcess(port, process, paths)
    finally:
        assert process.stdin is not None  # a pipe was asked for
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
