"""Two programs that do the same work at once: what each used, window by window, as the operating system counts it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil

from tests.benchmarks.processes import cpu_s

LEAST = 0.001
"""Smallest share of a core that process times resolve in a window."""


class Window(NamedTuple):
    """Share of a core by program, in one window."""

    shares: dict[str, float]


class Memory(NamedTuple):
    """Of a program and its children, MiB: resident, and with what is shared divided among those who share it."""

    rss: float
    pss: float


def watch(programs: Mapping[str, psutil.Process], *, windows: int, seconds: float) -> list[Window]:
    """Windows one after the other, all programs in each, so that a busy machine meets all of them."""
    found = []
    before, began = cpu_s(programs), time.monotonic()
    for _ in range(windows):
        time.sleep(seconds)
        after, now = cpu_s(programs), time.monotonic()
        found.append(Window({name: (after[name] - before[name]) / (now - began) for name in programs}))
        before, began = after, now
    return found


def share(windows: Sequence[Window], name: str) -> float:
    """Median share of a core."""
    return statistics.median(window.shares[name] for window in windows)


def spread(windows: Sequence[Window], ours: str, theirs: str) -> str:
    """The ratio of each window, as a range."""
    ratios = sorted(window.shares[ours] / max(window.shares[theirs], LEAST) for window in windows)
    return f"{ratios[0]:.2f}-{ratios[-1]:.2f} x in {len(ratios)} windows"


def memory(program: psutil.Process) -> Memory:
    """Now. PSS is what Linux counts; elsewhere it is the resident size."""
    resident = proportional = 0.0
    for one in (program, *program.children(recursive=True)):
        try:
            full = one.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        resident += full.rss
        proportional += getattr(full, "pss", full.rss)
    return Memory(resident / 2**20, proportional / 2**20)
