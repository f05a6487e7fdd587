"""How long to wait for a start: as long as its parts make progress, also on a slow machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

LEAST_SHARE = 0.1
"""The share of each second that counts at least: on the busiest machine a part that never becomes ready is given up ten
times later."""

Delays = Callable[[Iterable[int]], Mapping[int, float]]
"""Seconds in which processes were runnable and waited for a processor, by process id."""


class StartupDeadline:
    """Counts the seconds without progress, without the time in which a part waited for a processor.

    Pure: the caller gives time and delays.
    """

    def __init__(self, *, limit_s: float, now_s: float) -> None:
        self._limit_s, self._before_s = limit_s, now_s
        self._delays: Mapping[int, float] = {}
        self.idle_s = 0.0

    def ended(self, *, now_s: float, delays_s: Mapping[int, float], stepped: bool) -> bool:
        """True once there was no progress for the limit.

        Args:
            now_s: Monotonic seconds.
            delays_s: Delays of each awaited process since its start.
            stepped: A part made progress since the last call.
        """
        passed_s = max(0.0, now_s - self._before_s)
        held_up_s = max((delay - self._delays.get(pid, 0.0) for pid, delay in delays_s.items()), default=0.0)
        self._before_s, self._delays = now_s, delays_s
        self.idle_s = 0.0 if stepped else self.idle_s + max(passed_s - held_up_s, passed_s * LEAST_SHARE)
        return self.idle_s > self._limit_s


def run_delays(pids: Iterable[int], *, children: bool = True) -> dict[int, float]:
    """How long each process (with its children) waited for a processor, in seconds; empty where the system does not
    measure it.

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
