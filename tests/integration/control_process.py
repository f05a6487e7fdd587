"""Control in a process of its own, to be killed, or to stop itself at a line of its journal.

It is forked from a process that has imported control once for all tests of a worker (`multiprocessing`'s fork server):
an interpreter that begins from nothing uses almost two seconds of processor before it is control.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_cli.apply.engine import Timing
from nexus_cli.database import deployments
from nexus_cli.runtime.control.control import run_control
from nexus_cli.settings import Settings

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


class ControlProcess:
    """A process with a control, with the words of `subprocess.Popen`.

    Attributes:
        pid: Its process id.
    """

    def __init__(
        self, facts: Mapping[str, str], api: Mapping[str, str], timing: Mapping[str, float], stop_at: Sequence[str]
    ) -> None:
        """Start it.

        Args:
            facts: Settings; `home` as text.
            api: Tokens by principal.
            timing: See `Timing`.
            stop_at: When, step and state of the line at which it stops itself (SIGSTOP); empty for none.
        """
        arguments = (dict(facts), dict(api), dict(timing), list(stop_at))
        self._process = FORKS.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM: it ends by itself."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, also of a stopped one."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Wait for its end, `timeout` seconds at most."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"process {self.pid} lives after {timeout} s"


def _run(facts: dict[str, str], api: dict[str, str], timing: dict[str, float], stop_at: list[str]) -> None:
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    home = Path(facts.pop("home"))
    settings = Settings(**facts, home=home, principal="nexus.control", credentials={"api": api})
    write_journal, end_deployment = deployments.write_journal, deployments.end_deployment

    def stop(*place: str) -> None:
        if list(place) == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    async def line(conn: Any, deployment_id: int, step: str, state: str, **keys: Any) -> None:
        stop("before", step, state)
        await write_journal(conn, deployment_id, step, state, **keys)
        stop("inside", step, state)

    async def end(conn: Any, deployment_id: int, **keys: Any) -> None:
        stop("before", "end")
        await end_deployment(conn, deployment_id, **keys)
        stop("inside", "end")

    deployments.write_journal, deployments.end_deployment = line, end
    asyncio.run(run_control(settings, timing=Timing(**timing)))
