"""An OPC UA server that is neither reader's, with values that change once a second: npm node-opcua."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from tests.benchmarks.fleet import Fleet
from tests.benchmarks.responder import Facts, Given, Responder
from tests.node_peers import NODE_MODULES

PROGRAM = Path(__file__).parent / "opcua_server.js"
MARK = b"@ "


class NoServerError(Exception):
    """There is no node-opcua; says how to get it."""


class SubscribedField(Responder):
    """The server's process from outside; both readers use one port and are given every change."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its port."""
        self._process = process
        self.ports = [int(self._line())] * 2

    def move(self, moving: bool) -> None:
        """Change every value once a second, or none."""
        self._ask("move" if moving else "rest")

    def facts(self) -> Facts:
        """Changes so far, the same for both."""
        changes, cpu_s = self._ask("facts")
        return Facts([Given(0, changes, changes)] * 2, cpu_s)

    def wait_read(self, fleet: Fleet) -> None:
        """Subscriptions ask for nothing: there is nothing to wait for."""

    def _ask(self, line: str) -> tuple[int, float]:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()
        answer = orjson.loads(self._line())
        return answer["changes"], answer["cpu_s"]

    def _line(self) -> bytes:
        """Its next line that is meant for us."""
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if line.startswith(MARK):
                return line.removeprefix(MARK)
        raise RuntimeError("the OPC UA server ended")


@contextmanager
def subscribed_field(fleet: Fleet) -> Iterator[SubscribedField]:
    """The server, until the block ends.

    Raises:
        NoServerError: No Node.js, or no node-opcua.
    """
    node = shutil.which("node")
    if node is None or not (Path(NODE_MODULES) / "node-opcua").is_dir():
        raise NoServerError(f"no npm node-opcua in {NODE_MODULES}: `make peers`")
    process = subprocess.Popen(
        [node, PROGRAM, str(fleet.tags), fleet.namespace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": NODE_MODULES},
    )
    try:
        yield SubscribedField(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
