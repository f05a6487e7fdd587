"""How long a start is waited for: as long as its parts come forward, on a slow machine too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

LEAST_SHARE = 0.1
"""Of a second that passes so much counts at least: what never becomes ready is given up on the busiest machine, ten times
later."""

Delays = Callable[[Iterable[int]], Mapping[int, float]]
"""Seconds in which processes could have run and the machine had no processor for them, by process id."""


class StartupDeadline:
    """Counts the seconds without a step forward. Time in which a part waited for a processor is the machine's, not its own.

    Pure: the caller gives time and delays.
    """

    def __init__(self, *, limit_s: float, now_s: float) -> None:
        self._limit_s, self._before_s = limit_s, now_s
        self._delays: Mapping[int, float] = {}
        self.idle_s = 0.0

    def ended(self, *, now_s: float, delays_s: Mapping[int, float], stepped: bool) -> bool:
        """True once nothing came forward for the limit.

        Args:
            now_s: Seconds of a clock that never jumps.
            delays_s: Of each process that is waited for, since its start.
            stepped: A part came forward since the last call.
        """
        passed_s = max(0.0, now_s - self._before_s)
        held_up_s = max((delay - self._delays.get(pid, 0.0) for pid, delay in delays_s.items()), default=0.0)
        self._before_s, self._delays = now_s, delays_s
        self.idle_s = 0.0 if stepped else self.idle_s + max(passed_s - held_up_s, passed_s * LEAST_SHARE)
        return self.idle_s > self._limit_s


def run_delays(pids: Iterable[int], *, children: bool = True) -> dict[int, float]:
    """How long each process (and each of its children) waited for a processor; empty where the system does not say.

    Source: Linux, Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat: nanoseconds on the processor, nanoseconds
    waiting for one, timeslices.
    """
    found: dict[int, float] = {}
    for pid in _with_children(pids) if children else set(pids):
        try:
            found[pid] = int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            continue
    return found


def _with_children(pids: Iterable[int]) -> set[int]:
    known = {pid for pid in pids if pid > 0}
    for pid in tuple(known):
        try:
            known |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        except psutil.Error:
            continue
    return known
