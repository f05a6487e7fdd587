"""Control in a process of its own, to be killed, or to stop itself at a line of its journal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_cli.apply.timing import Timing
from nexus_cli.database import deployments
from nexus_cli.runtime.api import request_guard
from nexus_cli.runtime.control.control import run_control
from nexus_cli.settings import Settings
from tests.forks import Fork, redirect


def control_process(
    facts: Mapping[str, str],
    api: Mapping[str, str],
    timing: Mapping[str, float],
    stop_at: Sequence[str],
    *,
    pause_s: float = request_guard.PAUSE_S,
) -> Fork:
    """Start it.

    Args:
        facts: Settings; `home` as text.
        api: Tokens by principal.
        timing: See `Timing`.
        stop_at: When, step and state of the line at which it stops itself (SIGSTOP); empty for none.
        pause_s: Longest pause within a body.
    """
    return Fork(_run, dict(facts), dict(api), dict(timing), list(stop_at), pause_s)


def _run(
    facts: dict[str, str], api: dict[str, str], timing: dict[str, float], stop_at: list[str], pause_s: float
) -> None:
    redirect(os.devnull, os.devnull)
    request_guard.PAUSE_S = pause_s
    home = Path(facts.pop("home"))
    settings = Settings(**facts, home=home, principal="nexus.control", credentials={"api": api})
    write_journal, end_deployment = deployments.write_journal, deployments.end_deployment

    def stop(*place: str) -> None:
        if list(place) == stop_at:
            stop_at.clear()  # once: after an outage of the database the same line is written again
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
