"""On PYTHONPATH of a process under test: its wall clock is off by what the file NEXUS_TEST_CLOCK says, in seconds, and its
kernel calls it synchronised when the word `synchronised` follows. Without the word it does not, whatever machine this is.

The monotonic clock is left alone, as when an operator or NTP sets the time of a machine.
"""

import os
import time

_FILE = os.environ.get("NEXUS_TEST_CLOCK", "")
_time_ns = time.time_ns


def _words() -> list[str]:
    try:
        with open(_FILE, encoding="ascii") as file:
            return file.read().split()
    except (OSError, ValueError):
        return []


def _offset_ns() -> int:
    try:
        return int(float(_words()[0]) * 1e9)
    except (IndexError, ValueError):
        return 0


if _FILE:
    from nexus_cli.runtime import kernel_clock

    time.time_ns = lambda: _time_ns() + _offset_ns()
    time.time = lambda: (_time_ns() + _offset_ns()) / 1e9
    kernel_clock.ask = lambda: kernel_clock.KernelClock("synchronised" in _words())
