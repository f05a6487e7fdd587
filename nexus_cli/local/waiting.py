"""`nexus up` waits until everything works, or there is no more progress."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from nexus_cli.access.grants import WEB, WORKER
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import EXTERNAL, SUPERVISOR, Home, Runtime
from nexus_cli.local.processes import last_line
from nexus_cli.local.running import read_state, supervisor_of
from nexus_cli.local.service_state import ServiceState, States
from nexus_cli.local.start import Progress
from nexus_cli.local.startup_deadline import Delays, StartupDeadline, run_delays
from nexus_cli.setting_values import MOCK

LOOK_S = 0.05
COUNT_S = 1.0
"""How often the time is counted, in seconds, since that reads the state of all processes."""
QUIET_S = 15.0
"""After this long without a line, in seconds, one shows what `up` waits for."""
UNKNOWN = ServiceState(state="")
"""Of a service that the supervisor does not have yet."""
HOPELESS = 6
"""A service that ended this often while `up` waits (about ten seconds) will not start later either."""


class Steps:
    """Detects progress: a state, or a reason, that a service did not have before. A restart is not progress."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()

    def new(self, state: States) -> bool:
        """True when there was progress since the last call."""
        now = {
            (name, seen.state, re.sub(r"\d+", "", seen.detail))
            for name, seen in state.items()
            if seen.state != "backoff"
        }
        before = len(self._seen)
        self._seen |= now
        return len(self._seen) > before


def wait_running(
    home: Home,
    runtime: Runtime,
    *,
    timeout_s: float,
    progress: Progress,
    given_up: Callable[[], bool] = lambda: False,
    delays: Delays = run_delays,
) -> None:
    """Wait until all services work, or the wait is given up. Blocking.

    Args:
        home: The folder of the runtime.
        runtime: The runtime.
        timeout_s: Longest wait without progress, in seconds, not counting time in which a part waited for a processor.
        progress: Called with each change.
        given_up: Returns True to end the wait.
        delays: How long processes waited for a processor.

    Raises:
        NexusError: NX6513 with the first service that does not work and the reason; running services keep running.
    """
    expected = _expected(runtime)
    shown: dict[str, str] = {}
    steps, counted_s = Steps(), time.monotonic()
    deadline, quiet_since_s, stepped = StartupDeadline(limit_s=timeout_s, now_s=counted_s), counted_s, False
    while True:
        state = read_state(home)
        for name, seen in state.items():
            if shown.get(name) != seen.state:
                shown[name], quiet_since_s = seen.state, time.monotonic()
                progress(name, seen.state, seen.detail)
        waiting = [name for name in sorted(expected) if state.get(name, UNKNOWN).state != "running"]
        if not waiting or given_up():
            return
        supervisor = supervisor_of(home)
        _refuse_hopeless(home, state, waiting, supervised=supervisor is not None)
        stepped, now_s = steps.new(state) or stepped, time.monotonic()
        if now_s - counted_s > COUNT_S:
            pids = [supervisor.pid if supervisor else 0, *(state.get(name, UNKNOWN).pid for name in waiting)]
            if deadline.ended(now_s=now_s, delays_s=delays(pids), stepped=stepped):
                raise _not_ready(home, state, _first(state, waiting), timeout_s)
            counted_s, stepped = now_s, False
        if now_s - quiet_since_s > QUIET_S:
            first, quiet_since_s = _first(state, waiting), now_s
            progress(first, "slow", state.get(first, UNKNOWN).detail)
        time.sleep(LOOK_S)


def _expected(runtime: Runtime) -> set[str]:
    expected = {
        "control",
        "historian",
        *(["web"] if WEB in runtime.http_ports else []),
        *(["worker"] if WORKER in runtime.http_ports else []),
        *(f"gateway-{name}" for name in runtime.gateways),
        *(["simulator"] if runtime.environment == MOCK else []),
    }
    expected |= {"broker"} if runtime.broker_kind != EXTERNAL else set()
    return expected | ({"database"} if runtime.database_kind != EXTERNAL else set())


def _first(state: States, waiting: list[str]) -> str:
    """The service to report: one that is starting and has a reason comes before those that wait for it."""
    active = [name for name in waiting if state.get(name, UNKNOWN).state != "waiting"] or waiting
    return next((name for name in active if state.get(name, UNKNOWN).detail), active[0])


def _refuse_hopeless(home: Home, state: States, waiting: list[str], *, supervised: bool) -> None:
    """
    Raises:
        NexusError: NX6513, waiting longer would not help.
    """
    if not supervised:
        raise NexusError(
            "The supervisor ended before everything worked.",
            code="NX6513",
            cause=last_line(home.log_file(SUPERVISOR)),
            hint="`nexus down` elsewhere ends it too; else `nexus logs supervisor` has more",
        )
    hopeless = next((name for name in waiting if state.get(name, UNKNOWN).restarts >= HOPELESS), None)
    if hopeless is not None:
        raise NexusError(
            f"{hopeless} ends as soon as it is started.",
            code="NX6513",
            cause=state[hopeless].detail,
            hint=f"`nexus logs {home.log_of(hopeless)}` has more; it is tried again until `nexus down`",
        )


def _not_ready(home: Home, state: States, name: str, timeout_s: float) -> NexusError:
    return NexusError(
        f"{name} made no progress for {timeout_s:.0f} s.",
        code="NX6513",
        cause=state.get(name, UNKNOWN).detail or "the supervisor does not answer",
        hint=f"`nexus logs {home.log_of(name)}` has more; the rest runs, and the same `nexus up` waits for it again",
    )
